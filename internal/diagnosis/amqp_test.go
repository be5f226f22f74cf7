package diagnosis

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// overAMQP is a client that does the same over AMQP, where its idle time-out stands in
// place of the keep-alive.
func overAMQP(a actor) actor {
	return a.with(func(x *actor) { x.over, x.keep = device.AMQP, 0 })
}

// detached is the answer to the hub's detach, on a connection that lives on.
func detached() *Afterlife {
	a := life(device.AfterlifeAlive, 12*time.Millisecond)
	a.Kept, a.Bytes = true, 40
	return a
}

// closing is how a client that takes the detach for the end of its connection answers.
func closing() *Afterlife {
	a := detached()
	a.Kept, a.Farewell = false, true
	return a
}

// unanswered: nothing was said of the links, but other devices of the connection are
// heard of.
func unanswered() *Afterlife {
	a := life(device.AfterlifeSilent, 5*time.Second)
	a.Kept, a.Bytes = true, 4000
	return a
}

// TestAMQPIsJudged: what is seen of a client over AMQP, where a displacement ends links
// and not a socket, and of clients of which one speaks AMQP and the other MQTT.
func TestAMQPIsJudged(t *testing.T) {
	mqtt := node(1, home)
	one, other := overAMQP(mqtt), overAMQP(node(9, home))
	anew := func(a actor) actor {
		return a.with(func(x *actor) { x.token, x.lineage, x.expires = x.token+1, x.lineage+1, x.expires+time.Minute })
	}
	once := func(a, b actor, then *Afterlife) *scene {
		return begin(a).active(time.Minute).displace(time.Minute, b, then)
	}
	dotNet := one.with(func(x *actor) { x.kind = ".NET/1.42.0 (.NET 8.0.1; Linux; X64)" })
	for name, c := range map[string]struct {
		scene *scene
		want  iot.Verdict
		seen  []Signal
		not   []Signal
	}{
		"half-open": {
			begin(one).displace(10*time.Minute, one, silent()), halfOpen,
			[]Signal{SignalSilent, SignalQuiet, SignalSameClient},
			[]Signal{SignalLate},
		},
		"the process is gone":              {once(one, anew(one), reset()), restart, []Signal{SignalReset, SignalNewStart}, nil},
		"its other devices are heard of":   {once(one, anew(one), unanswered()), iot.VerdictUndecided, []Signal{SignalLate}, []Signal{SignalSilent}},
		"moved its links to another link":  {once(one, one.with(func(x *actor) { x.lineage = 3 }), detached()), handover, []Signal{SignalLiveLoser}, nil},
		"closes because of the detach":     {once(one, anew(one), closing()), iot.VerdictUndecided, []Signal{SignalLiveLoser}, []Signal{SignalFarewell}},
		"closes and comes back, and again": {duel(one, other, 12, time.Second, closing), twoClients, []Signal{SignalReturnEdge, SignalBothAlive}, []Signal{SignalFarewell}},
		"heard of a minute ago":            {begin(one).displace(time.Minute, one, silent()), halfOpen, nil, []Signal{SignalQuiet}},
		"heard of two minutes ago":         {begin(one).displace(2*time.Minute, one, silent()), halfOpen, []Signal{SignalQuiet}, nil},
		"an API version on some links only": {
			once(one.with(func(x *actor) { x.api = "2020-09-30" }), one, nil), iot.VerdictUndecided, []Signal{SignalSameSoftware}, []Signal{SignalNewSoftware},
		},
		"MQTT by the same SDK over AMQP": {once(mqtt, anew(one), nil), iot.VerdictUndecided, []Signal{SignalSameSoftware}, []Signal{SignalNewSoftware}},
		"MQTT by the same SDK as it names itself over AMQP": {
			once(mqtt, anew(one.with(func(x *actor) { x.kind = "Azure-IoT-Device/1.18.4 (node v20.20.2; Debian 12; x64)" })), nil),
			iot.VerdictUndecided,
			[]Signal{SignalSameSoftware},
			[]Signal{SignalNewSoftware},
		},
		"MQTT by another SDK over AMQP": {once(mqtt, dotNet, nil), iot.VerdictUndecided, []Signal{SignalNewSoftware}, []Signal{SignalSameSoftware}},
		"another version over AMQP":     {once(one, one.with(func(x *actor) { x.kind = "azure-iot-device/1.19" }), nil), iot.VerdictUndecided, []Signal{SignalNewSoftware}, nil},
		"a duel of MQTT and AMQP": {
			duel(mqtt, overAMQP(node(9, home)), 12, time.Second, detached), twoClients,
			[]Signal{SignalReturnEdge, SignalSetupReturns, SignalBothAlive, SignalDialsBack},
			[]Signal{SignalNewSoftware},
		},
		"MQTT half-open, back over AMQP": {begin(mqtt).displace(10*time.Minute, anew(one), silent()), halfOpen, nil, []Signal{SignalNewSoftware}},
	} {
		t.Run(name, func(t *testing.T) {
			j := Classify(c.scene.history())
			if j.Verdict != c.want {
				t.Errorf("got %s %.2f (then %s %.2f), want %s", j.Verdict, j.Confidence, j.RunnerUp, j.Second, c.want)
			}
			for _, s := range c.seen {
				if !j.Ledger.has(s) {
					t.Errorf("no %s in %v", s, j.Ledger)
				}
			}
			for _, s := range c.not {
				if j.Ledger.has(s) {
					t.Errorf("%s is in %v", s, j.Ledger)
				}
			}
		})
	}
}

// TestContainerIDTellsNothing: it is random for each connection of most clients.
func TestContainerIDTellsNothing(t *testing.T) {
	a := overAMQP(node(1, home)).party(0, 0)
	b := a
	a.ClientID, b.ClientID = "9b1c", "77aa"
	if got := differ(&a, &b); got != 0 {
		t.Errorf("differ in %v", got.list())
	}
}

// TestLinksComeBackOnTheirOldConnection: a client over AMQP may keep its socket when it is
// displaced, and attach its links there again.
func TestLinksComeBackOnTheirOldConnection(t *testing.T) {
	s := duel(overAMQP(node(1, home)), overAMQP(node(9, office)), 10, time.Second, detached)
	for i := range s.all {
		for _, p := range []*Party{&s.all[i].Loser, &s.all[i].Winner} {
			p.Accepted = start.Add(-time.Hour)
		}
	}
	if j := Classify(s.history()); j.Verdict != twoClients || !j.Ledger.has(SignalDialsBack) {
		t.Errorf("got %s, %v", j.Verdict, j.Ledger)
	}
}

// TestManyIdentitiesOfOneConnection: what is told of one session of a connection is taken
// for no other one, of whatever identity.
func TestManyIdentitiesOfOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		gateway := overAMQP(node(1, home))
		ids := []iot.Identity{{Device: "d1"}, {Device: "d2"}, {Device: "d3"}}
		var losers []string
		for _, id := range ids {
			r.connect(id, gateway)
			r.holder[id].Conn.ID = 7
		}
		time.Sleep(3 * time.Minute)
		for _, id := range ids {
			losers = append(losers, r.connect(id, node(5, home)))
		}
		r.word(ids[1], losers[1], detached())
		r.word(ids[0], losers[0], silent())
		r.connect(ids[0], gateway) // comes back on its connection, and is displaced again
		r.word(ids[0], r.connect(ids[0], node(5, home)), detached())
		got := map[string][]string{}
		for _, id := range ids {
			for _, c := range r.explain(id, time.Time{}).Conflicts {
				got[id.Device] = append(got[id.Device], c.Afterlife)
			}
		}
		want := map[string][]string{"d1": {"silent", "pending", "alive"}, "d2": {"alive"}, "d3": {"pending"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
