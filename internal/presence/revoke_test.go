package presence

import (
	"fmt"
	"sync"
	"testing"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

func TestRevokeFencesTheHolder(t *testing.T) {
	r := newRig(t)
	d, m := r.connect(t, dev("d"), device.MQTT), r.connect(t, iot.Identity{Device: "d", Module: "m"}, device.MQTT)
	other := r.connect(t, dev("d2"), device.MQTT)
	r.Revoke(m.party.Identity, fault.IotHubUnauthorized, "its key was changed")
	if e := m.ended.Load(); e == nil || e.Code != fault.IotHubUnauthorized || e.Reason != "its key was changed" || e.By != nil {
		t.Errorf("the module's session ended with %+v", e)
	}
	if d.code() != -1 {
		t.Error("the device was revoked with its module")
	}
	m = r.connect(t, m.party.Identity, device.AMQP)
	r.RevokeDevice("d", fault.DeviceDisabled, "the device was disabled")
	r.RevokeDevice("d", fault.DeviceNotFound, "and then deleted")
	for _, f := range []*fake{d, m} {
		if f.code() != fault.DeviceDisabled || f.fences.Load() != 1 {
			t.Errorf("%v ended with %v after %d fences, want %v", f.party.Identity, f.code(), f.fences.Load(), fault.DeviceDisabled)
		}
	}
	if other.code() != -1 {
		t.Error("another device was revoked as well")
	}
	r.Revoke(dev("nobody"), fault.DeviceNotFound, "")
	r.RevokeDevice("nobody", fault.DeviceNotFound, "")
	d.goodbye()
	r.ear.check(t, 1)
	if e, err := r.engine.Claims().Holder(t.Context(), "d"); err != nil || !e.IsZero() {
		t.Errorf("the store still has %v as the holder (%v)", e, err)
	}
}

func TestRevokeWhereChoosesByParty(t *testing.T) {
	r := newRig(t)
	var fs []*fake
	for i := range 20 {
		f := newFake(dev(fmt.Sprint("d", i)), device.MQTT)
		if i%2 == 0 {
			f.party.Proof.Authority = "ca1"
		}
		r.claim(t, f)
		fs = append(fs, f)
	}
	r.RevokeWhere(func(p *device.Party) bool { return p.Proof.Authority == "ca1" }, fault.IotHubUnauthorized, "the CA was removed")
	for i, f := range fs {
		if revoked := f.code() == fault.IotHubUnauthorized; revoked != (i%2 == 0) {
			t.Errorf("session %d revoked: %v", i, revoked)
		}
	}
	r.ear.check(t, 10)
}

// TestRevokeDuringAClaimDoesNotWait: it concerns the session that holds at the time,
// and not the newcomer that the registry has judged since.
func TestRevokeDuringAClaimDoesNotWait(t *testing.T) {
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
	close(slow.gate)
	<-claimed
	if e := old.ended.Load(); e == nil || e.Code != fault.DeviceDisabled || e.By != nil {
		t.Errorf("the old session ended with %+v, want 403012 and nobody", e)
	}
	if young.code() != -1 {
		t.Errorf("the newcomer ended with %v", young.code())
	}
	r.ear.check(t, 1)
}

// held is a Sink that holds a claim up when it is told of the newcomer.
type held struct {
	Sink
	told, on chan struct{}
}

func (h *held) Connected(p device.Party) {
	h.told <- struct{}{}
	<-h.on
	h.Sink.Connected(p)
}

// TestRevokeWhileTheNewcomerIsSeated: the newcomer is fenced by the time Claim returns,
// and not before the sink has heard of it.
func TestRevokeWhileTheNewcomerIsSeated(t *testing.T) {
	h := &held{told: make(chan struct{}), on: make(chan struct{})}
	r := newRig(t, func(c *Config) {
		h.Sink = c.Sink
		c.Sink = h
	})
	f := newFake(dev("d"), device.MQTT)
	claimed := make(chan struct{})
	go func() {
		defer close(claimed)
		r.claim(t, f)
	}()
	<-h.told
	r.RevokeDevice("d", fault.DeviceDisabled, "disabled")
	if f.code() != -1 {
		t.Error("the newcomer was fenced before the sink had heard of it")
	}
	close(h.on)
	<-claimed
	if f.code() != fault.DeviceDisabled {
		t.Errorf("after Claim the revoked newcomer's code is %v", f.code())
	}
	r.ear.check(t, 0)
}

// TestRevokeRaces lets newcomers, goodbyes and revocations meet. Whoever had a seat is
// ended once, and after the last revocation nobody holds.
func TestRevokeRaces(t *testing.T) {
	r := newRig(t)
	ids := []iot.Identity{{Device: "a"}, {Device: "a", Module: "m"}, {Device: "b"}}
	var mu sync.Mutex
	var all []*fake
	var claimers, revokers sync.WaitGroup
	over := make(chan struct{})
	for i := range 6 {
		claimers.Go(func() {
			for n := range 300 {
				f := r.connect(t, ids[(i+n)%len(ids)], device.MQTT)
				mu.Lock()
				all = append(all, f)
				mu.Unlock()
				if n%3 == 0 {
					f.goodbye()
				}
			}
		})
	}
	for range 2 {
		revokers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				switch n % 3 {
				case 0:
					r.Revoke(ids[n/3%len(ids)], fault.IotHubUnauthorized, "keys")
				case 1:
					r.RevokeDevice("a", fault.DeviceDisabled, "disabled")
				case 2:
					r.RevokeWhere(func(p *device.Party) bool { return p.Identity.Device == "b" }, fault.IotHubUnauthorized, "ca")
				}
			}
		})
	}
	claimers.Wait()
	close(over)
	revokers.Wait()
	r.RevokeDevice("a", fault.DeviceDisabled, "disabled")
	r.RevokeDevice("b", fault.DeviceDisabled, "disabled")
	for _, f := range all {
		if f.code() == -1 || f.fences.Load() > 1 {
			t.Fatalf("a session ended with %v after %d fences", f.code(), f.fences.Load())
		}
	}
	r.ear.check(t, 0)
	if n := r.places(); n != 0 || r.Connected() != 0 {
		t.Errorf("%d places and %d sessions are left", n, r.Connected())
	}
}
