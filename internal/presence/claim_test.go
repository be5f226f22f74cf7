package presence

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

func TestTakeoverFencesTheHolderFirst(t *testing.T) {
	tests := []struct {
		loser, winner device.Transport
		want          fault.Code
	}{
		{device.MQTT, device.MQTT, fault.ConnectionForcefullyClosedOnNewConnection},
		{device.MQTTWS, device.MQTT, fault.ConnectionForcefullyClosedOnNewConnection},
		{device.MQTT, device.AMQP, fault.ConnectionForcefullyClosedOnNewConnection},
		{device.AMQP, device.MQTT, fault.LinkCreationConflict},
		{device.AMQPWS, device.AMQP, fault.LinkCreationConflict},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s by %s", test.loser, test.winner), func(t *testing.T) {
			r := newRig(t)
			old := r.connect(t, dev("d"), test.loser)
			if old.code() != -1 {
				t.Fatalf("the only session ended with %v", old.code())
			}
			young := r.connect(t, dev("d"), test.winner)
			if got := old.code(); got != test.want {
				t.Errorf("when Claim returned the loser's code was %v, want %v", got, test.want)
			}
			if by := old.ended.Load().By; by == nil || by.Epoch != young.party.Epoch || by.Conn != young.party.Conn {
				t.Errorf("the loser was told %+v took over, want the newcomer", by)
			}
			if !old.seat.Epoch().Less(young.seat.Epoch()) {
				t.Errorf("epoch %v came after %v", young.seat.Epoch(), old.seat.Epoch())
			}
			if old.seat.Displaced() || !young.seat.Displaced() {
				t.Errorf("displaced: the loser %v, the newcomer %v", old.seat.Displaced(), young.seat.Displaced())
			}
			r.ear.check(t, 1)
			if n := r.Connected(); n != 1 {
				t.Errorf("%d sessions connected, want 1", n)
			}
		})
	}
}

func TestDevicesAndModulesStandAlone(t *testing.T) {
	r := newRig(t)
	var fs []*fake
	for _, id := range []iot.Identity{{Device: "d"}, {Device: "d", Module: "m"}, {Device: "d", Module: "n"}, {Device: "m"}} {
		fs = append(fs, r.connect(t, id, device.MQTT))
	}
	for _, f := range fs {
		if f.code() != -1 {
			t.Errorf("%v ended with %v", f.party.Identity, f.code())
		}
	}
	r.ear.check(t, 4)
}

func TestStaleGoodbyeIsHarmlessAndSilent(t *testing.T) {
	r := newRig(t)
	old := r.connect(t, dev("d"), device.MQTT)
	young := r.connect(t, dev("d"), device.MQTT)
	for range 3 {
		old.seat.Release(device.Ending{Party: old.party})
	}
	if young.code() != -1 || r.Connected() != 1 {
		t.Fatalf("a late goodbye ended the winner: %v", young.code())
	}
	r.ear.check(t, 1)
	young.goodbye()
	young.goodbye()
	r.ear.check(t, 0)
	if young.fences.Load() != 0 {
		t.Error("a session that said goodbye was fenced as well")
	}
	if n := r.places(); n != 0 {
		t.Errorf("%d places are kept of nobody", n)
	}
	if e, err := r.engine.Claims().Holder(t.Context(), "d"); err != nil || !e.IsZero() {
		t.Errorf("the store still has %v as the holder (%v)", e, err)
	}
}

// TestTakeoverStorm lets eight clients fight for one identity while others come and
// go, as the bystander test of arbitration: everybody who claims is ended, once, and
// knows by whom; the bystanders notice nothing.
func TestTakeoverStorm(t *testing.T) {
	const fighters, bouts, bystanders = 8, 1000, 4
	r := newRig(t)
	all := make([][]*fake, fighters)
	var fight, watch sync.WaitGroup
	for i := range fighters {
		fight.Go(func() {
			for range bouts {
				all[i] = append(all[i], r.connect(t, dev("duel"), device.MQTT))
			}
		})
	}
	over := make(chan struct{})
	rounds := make([]int, bystanders)
	for i := range bystanders {
		watch.Go(func() {
			id := dev(fmt.Sprintf("bystander%d", i))
			for {
				f := r.connect(t, id, device.MQTT)
				f.goodbye()
				if f.fences.Load() != 0 {
					t.Errorf("%v was fenced", id)
				}
				rounds[i]++
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	fight.Wait()
	close(over)
	watch.Wait()
	live := 0
	for _, fs := range all {
		for _, f := range fs {
			if f.code() == -1 {
				live++
				continue
			}
			if f.fences.Load() != 1 || f.ended.Load().By == nil {
				t.Fatalf("a loser was fenced %d times, by %v", f.fences.Load(), f.ended.Load().By)
			}
			if !less(t, f.party.Epoch, f.ended.Load().By.Epoch) {
				t.Fatalf("%s was taken over by %s", f.party.Epoch, f.ended.Load().By.Epoch)
			}
		}
	}
	if live != 1 {
		t.Errorf("%d sessions live, want 1", live)
	}
	for i, n := range rounds {
		if n < 10 {
			t.Errorf("bystander %d came round %d times during the storm", i, n)
		}
	}
	r.ear.check(t, 1)
}

func less(t *testing.T, a, b string) bool {
	t.Helper()
	parse := func(s string) (e store.Epoch) {
		if _, err := fmt.Sscanf(s, "%d.%d", &e.Generation, &e.Counter); err != nil {
			t.Fatal(err)
		}
		return e
	}
	return parse(a).Less(parse(b))
}

func TestSlowClaimHoldsUpNobodyElse(t *testing.T) {
	var slow *slowClaims
	r := newRig(t, func(c *Config) {
		slow = &slowClaims{Claims: c.Claims, identity: "slow", entered: make(chan struct{}), gate: make(chan struct{})}
		c.Claims = slow
	})
	first := newFake(dev("slow"), device.MQTT)
	claimed := make(chan struct{})
	go func() {
		defer close(claimed)
		r.claim(t, first)
	}()
	<-slow.entered
	r.connect(t, dev("quick"), device.MQTT).goodbye()
	slow.gate <- struct{}{}
	<-claimed

	// The holder leaves while a newcomer's claim is under way: it does not wait, and it
	// is the goodbye that counts.
	second := newFake(dev("slow"), device.MQTT)
	claimed = make(chan struct{})
	go func() {
		defer close(claimed)
		r.claim(t, second)
	}()
	<-slow.entered
	first.goodbye()
	close(slow.gate)
	<-claimed
	if first.fences.Load() != 0 || r.ear.last().Code != 0 || r.ear.last().By != nil {
		t.Errorf("a goodbye became %+v", r.ear.last())
	}
	r.ear.check(t, 1)
}

func TestClaimGivenUp(t *testing.T) {
	var slow *slowClaims
	r := newRig(t, func(c *Config) {
		slow = &slowClaims{Claims: c.Claims, identity: "d", entered: make(chan struct{}, 1), gate: make(chan struct{})}
		c.Claims = slow
	})
	first := newFake(dev("d"), device.MQTT)
	claimed := make(chan struct{})
	go func() {
		defer close(claimed)
		r.claim(t, first)
	}()
	<-slow.entered
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the client went away"))
	late := newFake(dev("d"), device.MQTT)
	if _, err := r.Claim(ctx, &late.party, late, device.MQTT); fault.Of(err) != fault.ServerError || !errors.Is(err, context.Cause(ctx)) {
		t.Errorf("claim with a context that ended: %v", err)
	}
	close(slow.gate)
	<-claimed
	if first.code() != -1 {
		t.Error("a claim that was given up ended the holder")
	}
	r.ear.check(t, 1)
}

func TestClaimFailsAndTheHolderStays(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.MQTT)
	down := errors.New("the store is down")
	r.engine.Fail(func(op storetest.Op) error {
		if op == storetest.ClaimsClaim {
			return down
		}
		return nil
	})
	late := newFake(dev("d"), device.MQTT)
	if _, err := r.Claim(t.Context(), &late.party, late, device.MQTT); fault.Of(err) != fault.ServerError || !errors.Is(err, down) {
		t.Errorf("claim of a store that is down: %v", err)
	}
	if f.code() != -1 || late.fences.Load() != 0 {
		t.Error("a claim that failed had effect")
	}
	r.engine.Fail(nil)
	r.connect(t, dev("d"), device.MQTT)
	r.ear.check(t, 1)
}

// overtaken is a claim that came to the arbiter later than a greater one: a store of
// several nodes can do that.
type overtaken struct {
	store.Claims
	epochs []store.Epoch
}

func (c *overtaken) Claim(context.Context, string) (store.Epoch, error) {
	e := c.epochs[0]
	c.epochs = c.epochs[1:]
	return e, nil
}

func TestOvertakenClaimIsRefused(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Claims = &overtaken{Claims: c.Claims, epochs: []store.Epoch{{Generation: 1, Counter: 2}, {Generation: 1, Counter: 1}}}
	})
	f := r.connect(t, dev("d"), device.MQTT)
	late := newFake(dev("d"), device.AMQP)
	if _, err := r.Claim(t.Context(), &late.party, late, device.AMQP); fault.Of(err) != fault.LinkCreationConflict {
		t.Errorf("an overtaken claim: %v, want %v", err, fault.LinkCreationConflict)
	}
	if f.code() != -1 || late.fences.Load() != 0 {
		t.Error("an overtaken claim had effect")
	}
	r.ear.check(t, 1)
}

func TestCloseEndsEverything(t *testing.T) {
	r := newRig(t)
	var fs []*fake
	for i := range 50 {
		fs = append(fs, r.connect(t, dev(fmt.Sprint("d", i)), device.MQTT))
	}
	var racing sync.WaitGroup
	for range 4 {
		racing.Go(func() {
			for {
				f := newFake(dev("late"), device.MQTT)
				if _, err := r.Claim(context.Background(), &f.party, f, device.MQTT); err != nil {
					if fault.Of(err) != fault.ServiceUnavailable {
						t.Errorf("claim while stopping: %v", err)
					}
					return
				}
			}
		})
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	racing.Wait()
	for _, f := range fs {
		if f.code() != fault.ConnectionForcefullyClosed {
			t.Fatalf("%v ended with %v", f.party.Identity, f.code())
		}
	}
	r.ear.check(t, 0)
	if n := r.places(); n != 0 || r.Connected() != 0 {
		t.Errorf("%d places and %d sessions are left", n, r.Connected())
	}
	if err := r.Close(t.Context()); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// TestCloseWaitsForAClaimUnderWay: its session is ended before anybody can use it.
func TestCloseWaitsForAClaimUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow *slowClaims
		r := openRig(t, storetest.New(), func(c *Config) {
			slow = &slowClaims{Claims: c.Claims, identity: "d", entered: make(chan struct{}), gate: make(chan struct{})}
			c.Claims = slow
		})
		f := newFake(dev("d"), device.MQTT)
		claimed, closed := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(claimed)
			r.claim(t, f)
		}()
		<-slow.entered
		go func() {
			defer close(closed)
			if err := r.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		impatient := errors.New("no more time")
		cancel(impatient)
		if err := r.Close(ctx); !errors.Is(err, impatient) {
			t.Errorf("Close with a context that ended: %v", err)
		}
		close(slow.gate)
		<-claimed
		if f.code() != fault.ConnectionForcefullyClosed {
			t.Errorf("a claim under way at Close ended with %v", f.code())
		}
		<-closed
		r.ear.check(t, 0)
	})
}
