package hub

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// simSession is a session as the simulation knows it.
type simSession struct {
	device.Session

	id       iot.Identity
	bell     bell
	accepted []string // bodies that Append took
	closed   bool
}

// simWorld is the model beside the hub.
type simWorld struct {
	rig    *rig
	holder map[iot.Identity]*simSession // who must be alive
	all    []*simSession
	log    map[string][]string // by device: bodies in the order the log must have them
	next   int
}

// TestSimWholeHub plays random programs of opens, appends, goodbyes and revocations
// against a whole hub in memory. After every step exactly the latest opener of an
// identity that neither left nor was revoked is alive; at the end the log holds what
// was accepted, in order, and nothing else.
func TestSimWholeHub(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &simWorld{rig: newRig(t, nil), holder: map[iot.Identity]*simSession{}, log: map[string][]string{}}
		defer w.rig.close()
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			w.step(t, rt)
			w.check(rt)
		}
		w.checkLog(t, rt)
	})
}

var simIdentities = []iot.Identity{{Device: "a"}, {Device: "a", Module: "m"}, {Device: "b"}}

func (w *simWorld) step(t *testing.T, rt *rapid.T) {
	t.Helper()
	id := rapid.SampledFrom(simIdentities).Draw(rt, "identity")
	switch rapid.SampledFrom([]string{"open", "open", "append", "append", "close", "revoke", "late"}).Draw(rt, "step") {
	case "open":
		h := hello(id, rapid.SampledFrom([]device.Transport{device.MQTT, device.MQTTWS, device.AMQP}).Draw(rt, "transport"))
		s := &simSession{id: id}
		s.Session, s.bell = w.rig.open(t, h)
		w.holder[id], w.all = s, append(w.all, s)
	case "append":
		if len(w.all) == 0 {
			return
		}
		w.append(rt, rapid.SampledFrom(w.all).Draw(rt, "session"))
	case "close", "late":
		if len(w.all) == 0 {
			return
		}
		s := rapid.SampledFrom(w.all).Draw(rt, "session")
		s.Close(device.Goodbye{Kind: device.GoodbyeLost})
		s.closed = true
		if w.holder[s.id] == s {
			delete(w.holder, s.id)
		}
	case "revoke":
		w.rig.presence.RevokeDevice(id.Device, fault.DeviceDisabled, "the simulation says so")
		for _, other := range simIdentities {
			if other.Device == id.Device {
				delete(w.holder, other)
			}
		}
	}
}

func (w *simWorld) append(rt *rapid.T, s *simSession) {
	w.next++
	body := fmt.Sprint(w.next)
	n, err := s.Append([]iot.Raw{{Source: iot.SourceBag, Body: []byte(body)}})
	alive := w.holder[s.id] == s
	if (n == 1) != alive || (err == nil) != alive {
		rt.Fatalf("append by a session that is alive=%v: %d, %v", alive, n, err)
	}
	if n == 1 {
		s.accepted = append(s.accepted, body)
		w.log[s.id.Device] = append(w.log[s.id.Device], body)
	}
}

// check compares who is alive with the model.
func (w *simWorld) check(rt *rapid.T) {
	for _, s := range w.all {
		if alive := s.Err() == nil; alive != (w.holder[s.id] == s) {
			rt.Fatalf("a session of %s is alive=%v, the holder is another=%v: %v", s.id, alive, w.holder[s.id] != s, s.Err())
		}
	}
	if got := w.rig.presence.Connected(); got != len(w.holder) {
		rt.Fatalf("%d sessions are counted as connected, want %d", got, len(w.holder))
	}
}

// checkLog waits until everything accepted is durable, then reads it back.
func (w *simWorld) checkLog(t *testing.T, rt *rapid.T) {
	t.Helper()
	for _, s := range w.all {
		s.bell.until(t, "accepted messages become durable", func() bool { return s.Durable() == uint64(len(s.accepted)) })
	}
	total := 0
	want := map[int][]string{}
	for dev, bodies := range w.log {
		p := w.rig.log.Partition(dev)
		want[p] = append(want[p], bodies...)
		total += len(bodies)
	}
	if total == 0 {
		return
	}
	for dev := range w.log {
		p := w.rig.log.Partition(dev)
		got := w.rig.bodies(t, dev, len(want[p]))
		if w.rig.log.Partition("a") == w.rig.log.Partition("b") { // one partition holds both, in any interleaving
			slices.Sort(got)
			slices.Sort(want[p])
		}
		if !slices.Equal(got, want[p]) {
			rt.Fatalf("partition %d holds %v, want %v", p, got, want[p])
		}
	}
}
