package presence

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// TestGoodbyeRacingWithATakeoverEndsOnce: whoever is first, the old session ends once,
// for one reason, and the newcomer holds.
func TestGoodbyeRacingWithATakeoverEndsOnce(t *testing.T) {
	const rounds = 300
	r := newRig(t)
	for n := range rounds {
		old, young := r.connect(t, dev("d"), device.MQTT), newFake(dev("d"), device.MQTT)
		var both sync.WaitGroup
		both.Go(func() { old.seat.Release(device.Ending{Party: old.party, Reason: "goodbye"}) })
		both.Go(func() { r.claim(t, young) })
		both.Wait()
		r.ear.check(t, 1)
		last := r.ear.last()
		if last.Party.Epoch != old.party.Epoch {
			t.Fatalf("round %d: %s ended last, want %s", n, last.Party.Epoch, old.party.Epoch)
		}
		if fenced := old.fences.Load() == 1; fenced != (last.By != nil) || fenced != (last.Code != 0) {
			t.Fatalf("round %d: fenced %v, and the sink was told %+v", n, fenced, last)
		}
		if young.code() != -1 {
			t.Fatalf("round %d: the newcomer ended with %v", n, young.code())
		}
		young.goodbye()
	}
	if n := r.places(); n != 0 {
		t.Errorf("%d places are kept of nobody", n)
	}
}

// TestFiftyOthersComeAndGoDuringATakeoverStorm: half of the others are modules of the
// very device that is fought for, and share its part of the map.
func TestFiftyOthersComeAndGoDuringATakeoverStorm(t *testing.T) {
	const fighters, bouts, others, least, most = 8, 500, 50, 10, 100
	r := newRig(t)
	duel := iot.Identity{Device: "duel"}
	var fight, rest sync.WaitGroup
	var over atomic.Bool
	last := make([]*fake, fighters)
	for i := range fighters {
		fight.Go(func() {
			for n := range bouts {
				if n%16 == i && last[i] != nil {
					last[i].goodbye() // too late for most
				}
				f := r.connect(t, duel, device.AMQP)
				if before := last[i]; before != nil && !before.seat.Epoch().Less(f.seat.Epoch()) {
					t.Errorf("epoch %s came after %s", f.seat.Epoch(), before.seat.Epoch())
				}
				last[i] = f
			}
		})
	}
	for o := range others {
		rest.Go(func() {
			id := iot.Identity{Device: fmt.Sprint("other", o)}
			if o%2 == 0 {
				id = iot.Identity{Device: duel.Device, Module: id.Device}
			}
			for n := 0; n < least || n < most && !over.Load(); n++ {
				f := r.connect(t, id, device.MQTT)
				f.goodbye()
				if f.fences.Load() != 0 {
					t.Errorf("%s was fenced, and nobody else wants it", id)
				}
			}
		})
	}
	fight.Wait()
	over.Store(true)
	rest.Wait()
	r.ear.check(t, 1)
	live := 0
	for _, f := range last {
		if f.code() == -1 {
			live++
		}
	}
	if live != 1 || r.Connected() != 1 {
		t.Errorf("%d sessions live and %d are connected, want 1", live, r.Connected())
	}
}

// TestFirstReasonToEndCounts: while somebody is at work on the identity reasons pile
// up; the session is fenced once, for the first, though it has said goodbye since.
func TestFirstReasonToEndCounts(t *testing.T) {
	var slow *slowClaims
	r := newRig(t, func(c *Config) {
		slow = &slowClaims{Claims: c.Claims, entered: make(chan struct{}), gate: make(chan struct{})}
		c.Claims = slow
	})
	old, young := r.connect(t, dev("d"), device.MQTT), newFake(dev("d"), device.MQTT)
	slow.identity = "d"
	claimed := make(chan struct{})
	go func() {
		defer close(claimed)
		r.claim(t, young)
	}()
	<-slow.entered
	r.Revoke(dev("d"), fault.DeviceDisabled, "disabled")
	r.Revoke(dev("d"), fault.DeviceNotFound, "deleted")
	old.seat.Release(device.Ending{Party: old.party})
	if err := r.StoreSubscriptions(t.Context(), old.seat, nil); fault.Of(err) != fault.DeviceDisabled {
		t.Errorf("a session that is about to be fenced wrote with %v", err)
	}
	close(slow.gate)
	<-claimed
	if old.code() != fault.DeviceDisabled || old.fences.Load() != 1 || r.ear.last().Code != fault.DeviceDisabled {
		t.Errorf("fenced %d times with %v, and the sink was told %v", old.fences.Load(), old.code(), r.ear.last().Code)
	}
	r.ear.check(t, 1)
}
