package hubtest_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/berth-iot/berth/internal/device"
)

var update = flag.Bool("update", false, "write the seeds again")

const seedDir = "testdata/fuzz/FuzzTwoClients"

// The steps of the two clients, short enough to be read as a script.
func a(do kind, arg uint8) step { return step{do: do, arg: arg} }
func b(do kind, arg uint8) step { return step{who: 1, do: do, arg: arg} }

// hurry makes a step one in a rush.
func hurry(s step) step {
	s.rush = true
	return s
}

func garbage(text string) step {
	return step{do: doGarbage, data: []byte(text)}
}

// Arguments that have no name in the steps.
const (
	dev1, module1, dev2 = 0, 1, 2

	five, twoAcked, fiveAcked, twentyAcked = 2 << 1, 1<<1 | 1, 2<<1 | 1, 3<<1 | 1 // of doPublish
	mailQoS0, mailQoS1, calls, twins       = 0, 0x10, 1, 2                        // of doListen over MQTT
	allOf                                  = 2 << 2                               // of doAck
	aSecond, aLock, longSilence            = 1, 5, 6                              // of doWait
)

// join is the argument of a connect as the first device, with all there is.
func join(do kind) uint8 {
	if do == doAMQP {
		return amqpInbox
	}
	return mqttWill
}

// takeover is a client that holds an identity, with messages that it has and telemetry on
// its way, and another that takes it; the first goes on, comes back, and both settle all.
func takeover(first, second kind) []step {
	return []step{
		a(first, join(first)), a(doListen, mailQoS1), a(doPublish, fiveAcked), a(doCommand, dev1), a(doCommand, dev1), a(doCommand, dev1), a(doAck, 0),
		hurry(a(doPublish, fiveAcked)),
		b(second, join(second)), b(doListen, mailQoS1), b(doPublish, fiveAcked),
		a(doPublish, fiveAcked), a(doAck, allOf), b(doAck, 0),
		a(first, join(first)), a(doPublish, five), a(doAck, allOf), b(doPing, 0), b(doPublish, twoAcked), b(doBye, 0), a(doPublish, twoAcked), a(doBye, 0),
	}
}

// behind is what a holder had begun when it was displaced, and does when it is not any more.
func behind(first, second kind) []step {
	return []step{
		a(first, join(first)), a(doListen, mailQoS1), a(doCommand, dev1), a(doPublish, twoAcked),
		a(doSlow, 0), a(doPublish, fiveAcked), a(doAck, 0), b(second, join(second)), b(doPublish, fiveAcked), a(doSlow, 0),
		b(doPublish, twoAcked), b(doAck, allOf), a(doPublish, twoAcked),
	}
}

// odds is every way to break the protocol, with the other client on the same hub.
func odds(do kind, n int, other step) []step {
	all := []step{other}
	for i := range n {
		all = append(all, a(do, join(do)), a(doPublish, twoAcked), a(doOdd, uint8(i)))
	}
	return all
}

// seeds are the scripts from which the fuzzer begins.
func seeds() map[string][]step {
	mqtt, amqp := doMQTT, doAMQP
	return map[string][]step{
		"takeover_mqtt_by_mqtt": takeover(mqtt, mqtt), "takeover_mqtt_by_amqp": takeover(mqtt, amqp),
		"takeover_amqp_by_mqtt": takeover(amqp, mqtt), "takeover_amqp_by_amqp": takeover(amqp, amqp),
		"behind_the_fence_mqtt_by_mqtt": behind(mqtt, mqtt), "behind_the_fence_mqtt_by_amqp": behind(mqtt, amqp),
		"behind_the_fence_amqp_by_mqtt": behind(amqp, mqtt), "behind_the_fence_amqp_by_amqp": behind(amqp, amqp),
		"duel": {
			a(mqtt, mqttWill), b(mqtt, mqttWill), a(amqp, 0), b(amqp, 0), a(mqtt, mqttClean), b(amqp, amqpSASL), a(doPublish, twoAcked), b(doPublish, twoAcked),
			a(mqtt, 0), b(mqtt, 0), a(doPublish, twoAcked),
		},
		"rush": {
			hurry(a(mqtt, mqttWill)), hurry(a(doPublish, fiveAcked)), hurry(b(mqtt, 0)), hurry(b(doPublish, fiveAcked)), hurry(a(mqtt, 0)), a(doPublish, twentyAcked),
			hurry(b(amqp, 0)), hurry(a(mqtt, 0)), hurry(b(doPublish, five)), hurry(a(doPublish, fiveAcked)), hurry(b(amqp, 0)), b(doPublish, twentyAcked),
		},
		"answered_late": { // the newcomer is displaced before it knows that it holds anything
			a(mqtt, 0), b(doSlow, 1), b(mqtt, mqttWill), a(mqtt, 0), a(doPublish, twoAcked), b(doSlow, 0), b(doPublish, twoAcked),
			b(doSlow, 1), b(amqp, 0), a(mqtt, 0), b(doSlow, 0), b(doPublish, twoAcked), a(doPublish, twoAcked),
		},
		"refused": {
			a(mqtt, mqttWill), a(doPublish, twoAcked), b(mqtt, credBad), b(mqtt, credExpired), b(mqtt, mqttAlien), b(amqp, credBad), b(amqp, credExpired|amqpSASL),
			b(amqp, amqpNoLogin), b(doPublish, twoAcked), a(doPublish, twoAcked), a(amqp, 0), b(mqtt, credBad), b(amqp, credBad), a(doPublish, twoAcked),
		},
		"neighbours": {
			a(mqtt, dev1), b(mqtt, module1), a(doPublish, fiveAcked), b(doPublish, fiveAcked), b(amqp, dev2), b(doPublish, fiveAcked),
			a(doCommand, dev2), a(doCommand, module1), a(doCommand, dev1), b(doListen, 0), a(doListen, mailQoS1), b(doAck, 0), a(doAck, 0), b(doCut, 0), a(doPublish, twoAcked),
		},
		"gateway": { // one connection with all three; one is taken, the others go on
			a(amqp, credPolicy), a(doAttach, module1), a(doAttach, dev2), a(doAttach, dev2|toInbox<<2), a(doPublish, fiveAcked), a(doPublish, fiveAcked|1<<3), a(doPublish, fiveAcked|2<<3),
			b(mqtt, module1), a(doPublish, fiveAcked), a(doPublish, fiveAcked|1<<3), b(doPublish, fiveAcked), a(doAttach, module1), a(doPublish, fiveAcked|2<<3), b(doPublish, twoAcked),
		},
		"tokens": {
			a(amqp, amqpNoLogin), a(doToken, dev1|credBad), a(doToken, dev1), a(doAttach, dev1), a(doPublish, twoAcked), a(doToken, dev2), a(doAttach, dev2), a(doToken, dev1|credPolicy),
			a(doAttach, module1), a(doPublish, twoAcked|2<<3), a(doToken, dev1|credExpired), b(mqtt, dev2), a(doPublish, twoAcked),
		},
		"goodbyes": {
			a(mqtt, mqttWill), b(mqtt, dev2|mqttWill), a(doBye, 0), b(doPublish, 1), a(mqtt, mqttWill), a(doPublish, fiveAcked), a(doCut, 0), b(doPublish, 1),
			a(mqtt, mqttWill), a(doHalf, 0), b(doPublish, 1), a(amqp, 0), a(doBye, 0), a(amqp, 0), a(doCut, 0), a(amqp, 0), a(doHalf, 0), a(doPublish, 1), b(doBye, 0),
		},
		"garbage": {
			garbage("GET / HTTP/1.1\r\n\r\n"), b(mqtt, mqttWill), garbage("AMQP"), a(amqp, 0), garbage("\x00\x00\x00\x08\x02\x00\x00\x00\xff"),
			a(mqtt, dev2), garbage("\x32\x05\x00\x01x\x00\x01"), a(mqtt, dev2), garbage("\xf0\x00"), b(doPublish, twoAcked), b(doBye, 0),
		},
		"pieces": { // what comes in pieces, and what others do between them
			a(doHold, 0), a(mqtt, mqttWill), a(doHold, 30), a(mqtt, 0), b(mqtt, 0), a(doPing, 0), a(doPublish, twoAcked), b(doPublish, 1),
			b(mqtt, 0), b(doHold, 9), b(doPublish, twoAcked), a(mqtt, 0), b(doPing, 0), a(doTrickle, 3), a(doPublish, fiveAcked), a(doTrickle, 0),
			a(amqp, 0), a(doHold, 11), a(doPublish, twoAcked), b(amqp, 0), a(doPublish, twoAcked), b(doTrickle, 1), b(doPublish, twoAcked), b(doHold, 5), b(doBye, 0), a(mqtt, 0),
		},
		"outcomes": {
			a(amqp, amqpInbox), a(doCommand, dev1), a(doCommand, dev1), a(doCommand, dev1), a(doCommand, dev1), a(doAck, 1), a(doAck, 2), a(doAck, 3|1<<2), a(doAck, 0),
			a(doUnlisten, 3), a(doListen, toInbox), a(doAck, allOf), b(mqtt, 0), a(doCommand, dev1), b(doListen, mailQoS1), b(doUnlisten, 0), b(doAck, allOf), b(doListen, mailQoS1), b(doAck, allOf),
		},
		"many_releases": {
			a(amqp, amqpInbox), a(doCommand, dev1), a(doAck, 1), a(doAck, 1), a(doAck, 1), a(doAck, 1), a(doAck, 1), a(doAck, 3), a(doAck, 3), a(doAck, 3), a(doAck, 3), a(doAck, 3), a(doAck, 3),
		},
		"at_most_once": {
			a(mqtt, mqttClean), a(doListen, mailQoS0), a(doListen, calls), a(doListen, twins), a(doCommand, dev1), b(amqp, amqpInbox|amqpSettled), a(doCommand, dev1), b(doPublish, five), a(mqtt, 0), b(doUnlisten, 2),
		},
		"kept_subscription": {
			a(mqtt, 0), a(doListen, mailQoS1), a(doCommand, dev1), a(doCut, 0), a(doCommand, dev1), a(mqtt, 0), b(mqtt, 0), b(doAck, 0), a(mqtt, mqttClean), a(doCommand, dev1), b(mqtt, 0), b(doListen, mailQoS1|3), b(doAck, allOf),
		},
		"silence": {
			a(mqtt, mqttWill), b(amqp, dev2), a(doListen, mailQoS1), a(doCommand, dev1), a(doWait, aSecond), b(doPublish, twoAcked), a(doWait, aLock), a(doAck, 0), a(doWait, longSilence), a(doWait, 7), b(doPublish, 1),
		},
		"does_not_read": {
			a(mqtt, 0), a(doListen, mailQoS1), a(doStall, 0), a(doCommand, dev1), a(doPublish, fiveAcked), b(mqtt, 0), b(doPublish, fiveAcked), b(doListen, mailQoS1), b(doAck, 0), a(doStall, 0),
			b(amqp, 0), b(doStall, 0), b(doPublish, fiveAcked), a(amqp, 0), a(doPublish, twoAcked), a(doWait, 4), b(doStall, 0),
		},
		"barred": {
			a(mqtt, mqttWill), b(amqp, dev2), a(doBar, dev1), a(doPublish, 1), b(doPublish, 1), a(mqtt, 0), a(amqp, 0), a(doCommand, dev1), b(doBar, dev1), a(mqtt, 0), a(doPublish, 1), hurry(a(doBar, dev1)), b(mqtt, 0),
		},
		"disk_fails": {
			a(mqtt, mqttWill), b(amqp, dev2), a(doFail, 0), a(doPublish, fiveAcked), b(doPublish, fiveAcked), a(mqtt, 0), a(doPublish, five), b(mqtt, dev1), a(doFail, 0), a(mqtt, 0), a(doPublish, fiveAcked), b(amqp, dev2), b(doPublish, twoAcked),
		},
		"odd_mqtt": odds(mqtt, 12, b(mqtt, dev2)),
		"odd_amqp": odds(amqp, 15, b(amqp, dev2)),
	}
}

// TestTwoClientsSeeds makes sure that the seeds on the disk are those above, which a person
// can read. Others beside them are what the fuzzer found.
func TestTwoClientsSeeds(t *testing.T) {
	for name, steps := range seeds() {
		if len(steps) > maxSteps {
			t.Errorf("%s has %d steps, of which %d are played", name, len(steps), maxSteps)
		}
		want := fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", encodeScript(steps))
		file := filepath.Join(seedDir, name)
		if *update {
			must(t, os.MkdirAll(seedDir, 0o755))
			must(t, os.WriteFile(file, want, 0o644))
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the table says; run go test ./internal/hubtest -run TestTwoClientsSeeds -update: %v", file, err)
		}
	}
}

// TestTwoClientsSeedsDoEverything: a fuzzer goes on from what its seeds do. Every step is
// among them, and every pair of transports takes over.
func TestTwoClientsSeedsDoEverything(t *testing.T) {
	shelf := newShelf(t)
	done := map[kind]bool{}
	pairs := map[[2]device.Transport]bool{}
	for _, name := range slices.Sorted(maps.Keys(seeds())) {
		steps := seeds()[name]
		for _, s := range steps {
			done[s.do] = true
		}
		if got := decodeScript(encodeScript(steps)); !bytes.Equal(encodeScript(got), encodeScript(steps)) {
			t.Errorf("%s is read as\n%s", name, tell(got))
		}
		for _, spells := range fight(t, shelf, steps).witness.spells {
			for _, s := range spells {
				if s.end != nil && s.end.By != nil {
					pairs[[2]device.Transport{s.party.Conn.Transport, s.end.By.Conn.Transport}] = true
				}
			}
		}
	}
	for k := range kinds {
		if !done[k] {
			t.Errorf("no seed has the step %s", kindNames[k])
		}
	}
	for _, loser := range []device.Transport{device.MQTT, device.AMQP} {
		for _, winner := range []device.Transport{device.MQTT, device.AMQP} {
			if !pairs[[2]device.Transport{loser, winner}] {
				t.Errorf("no client over %s takes over from one over %s", winner, loser)
			}
		}
	}
}
