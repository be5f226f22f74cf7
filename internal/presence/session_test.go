package presence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

func subsOf(filters ...string) (subs []device.Subscription) {
	for i, f := range filters {
		subs = append(subs, device.Subscription{To: device.Stream(1 + i), Filter: f, QoS: uint8(i % 2)})
	}
	return subs
}

// kept is what must be kept of the identity "d"; nil wants no session at all.
func (r *rig) kept(t *testing.T, want []device.Subscription) {
	t.Helper()
	got, present, err := r.Subscriptions(t.Context(), dev("d"))
	if err != nil {
		t.Fatal(err)
	}
	if present != (want != nil) {
		t.Fatalf("a session is kept: %v, want %v", present, want != nil)
	}
	if diff := cmp.Diff(want, got); len(want)+len(got) > 0 && diff != "" {
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
}

func TestSubscriptionsAreKept(t *testing.T) {
	r := newRig(t)
	var applied atomic.Int32
	count := func(op storetest.Op) error {
		if op == storetest.RecordsApply {
			applied.Add(1)
		}
		return nil
	}
	r.engine.Fail(count)
	r.kept(t, nil)
	f := r.connect(t, dev("d"), device.MQTT)
	subs := subsOf("devices/d/messages/devicebound/#", "$iothub/methods/POST/#")
	steps := []struct {
		what   string
		do     func() error
		writes int32
		kept   []device.Subscription
	}{
		{"drop nothing", func() error { return r.DropSession(t.Context(), f.seat) }, 0, nil},
		{"keep a session without subscriptions", func() error { return r.StoreSubscriptions(t.Context(), f.seat, nil) }, 1, subsOf()},
		{"the same again", func() error { return r.StoreSubscriptions(t.Context(), f.seat, nil) }, 0, subsOf()},
		{"subscribe", func() error { return r.StoreSubscriptions(t.Context(), f.seat, subs) }, 1, subs},
		{"the same again", func() error { return r.StoreSubscriptions(t.Context(), f.seat, subs) }, 0, subs},
		{"unsubscribe one", func() error { return r.StoreSubscriptions(t.Context(), f.seat, subs[:1]) }, 1, subs[:1]},
		{"drop", func() error { return r.DropSession(t.Context(), f.seat) }, 1, nil},
		{"drop again", func() error { return r.DropSession(t.Context(), f.seat) }, 0, nil},
		{"subscribe anew", func() error { return r.StoreSubscriptions(t.Context(), f.seat, subs) }, 1, subs},
	}
	for _, s := range steps {
		applied.Store(0)
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		if n := applied.Load(); n != s.writes {
			t.Errorf("%s: %d writes, want %d", s.what, n, s.writes)
		}
		want := s.kept
		if want == nil && s.what[0] != 'd' {
			want = []device.Subscription{}
		}
		r.kept(t, want)
	}
	r = rigOver(t, r.engine.Restart())
	r.kept(t, subs)
}

func TestFencedSeatMayNotWrite(t *testing.T) {
	r := newRig(t)
	old := r.connect(t, dev("d"), device.MQTT)
	if err := r.StoreSubscriptions(t.Context(), old.seat, subsOf("a")); err != nil {
		t.Fatal(err)
	}
	young := r.connect(t, dev("d"), device.MQTT)
	for what, err := range map[string]error{
		"store": r.StoreSubscriptions(t.Context(), old.seat, subsOf("b")),
		"drop":  r.DropSession(t.Context(), old.seat),
	} {
		if fault.Of(err) != fault.ConnectionForcefullyClosedOnNewConnection {
			t.Errorf("%s by the loser: %v", what, err)
		}
	}
	r.kept(t, subsOf("a"))
	young.goodbye()
	if err := r.StoreSubscriptions(t.Context(), young.seat, subsOf("b")); fault.Of(err) != fault.ClientClosedRequest {
		t.Errorf("store after a goodbye: %v", err)
	}
	r.kept(t, subsOf("a"))
}

// TestWriteBelowTheRecordIsRefused: another node's session has written since.
func TestWriteBelowTheRecordIsRefused(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.AMQP)
	above := session{epoch: store.Epoch{Generation: f.seat.epoch.Generation, Counter: f.seat.epoch.Counter + 1}, subs: subsOf("theirs")}
	put(t, r, sessionKey(dev("d")), string(above.encode()))
	if err := r.StoreSubscriptions(t.Context(), f.seat, subsOf("mine")); fault.Of(err) != fault.LinkCreationConflict {
		t.Errorf("store below the record: %v", err)
	}
	if err := r.DropSession(t.Context(), f.seat); fault.Of(err) != fault.LinkCreationConflict {
		t.Errorf("drop below the record: %v", err)
	}
	r.kept(t, subsOf("theirs"))
}

// TestWriteUnderWayAtTakeover: a write that passed its check before the takeover is in
// what the newcomer reads, and what the newcomer drops stays dropped.
func TestWriteUnderWayAtTakeover(t *testing.T) {
	for _, clean := range []bool{false, true} {
		t.Run(fmt.Sprintf("clean=%v", clean), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { writeUnderWay(t, clean) })
		})
	}
}

func writeUnderWay(t *testing.T, clean bool) {
	t.Helper()
	r := openRig(t, storetest.New())
	defer r.stopForTest()
	old := r.connect(t, dev("d"), device.MQTT)
	gate := r.holdApply()
	go func() {
		if err := r.StoreSubscriptions(context.Background(), old.seat, subsOf("a")); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	young := r.connect(t, dev("d"), device.MQTT) // does not wait for the write
	var got []device.Subscription
	read := make(chan struct{})
	go func() {
		defer close(read)
		if clean {
			if err := r.DropSession(context.Background(), young.seat); err != nil {
				t.Error(err)
			}
		}
		var err error
		if got, _, err = r.Subscriptions(context.Background(), dev("d")); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Subscriptions(ctx, dev("d")); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever waits for the write can give up, but got %v", err)
	}
	close(gate)
	<-read
	want := subsOf("a")
	if clean {
		want = nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the newcomer reads (-want +got):\n%s", diff)
	}
}

func TestSessionLimits(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.MQTT)
	for what, subs := range map[string][]device.Subscription{
		"too many":      make([]device.Subscription, maxSubscriptions+1),
		"too long":      subsOf(strings.Repeat("x", maxFilter+1)),
		"quality three": {{Filter: "a", QoS: 3}},
	} {
		if err := r.StoreSubscriptions(t.Context(), f.seat, subs); fault.Of(err) != fault.InvalidOperation {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.kept(t, nil)
}

func TestDamagedSessionHeals(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.MQTT)
	put(t, r, sessionKey(dev("d")), "\x01garbage")
	if _, _, err := r.Subscriptions(t.Context(), dev("d")); fault.Of(err) != fault.ServerError || !errors.Is(err, errRecord) {
		t.Errorf("reading a damaged session: %v", err)
	}
	if err := r.StoreSubscriptions(t.Context(), f.seat, nil); err != nil {
		t.Errorf("writing over it: %v", err)
	}
	r.kept(t, []device.Subscription{})
	put(t, r, sessionKey(dev("d")), "\x01garbage")
	if err := r.DropSession(t.Context(), f.seat); err != nil {
		t.Errorf("dropping it: %v", err)
	}
	r.kept(t, nil)
	put(t, r, sessionKey(dev("d")), "\x02from a newer version")
	if err := r.DropSession(t.Context(), f.seat); !errors.Is(err, store.ErrFormat) {
		t.Errorf("a newer version's record was dropped: %v", err)
	}
}

func TestSessionStoreFails(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.MQTT)
	for failing, want := range map[storetest.Op]fault.Code{
		storetest.RecordsGet: fault.ServerError, storetest.RecordsApply: fault.ServiceUnavailable, // a full disk refuses no read
	} {
		r.engine.Fail(func(op storetest.Op) error {
			if op == failing {
				return store.ErrFull
			}
			return nil
		})
		if err := r.StoreSubscriptions(t.Context(), f.seat, subsOf("a")); fault.Of(err) != want || !errors.Is(err, store.ErrFull) {
			t.Errorf("%s fails: %v", failing, err)
		}
	}
	r.engine.Fail(func(op storetest.Op) error {
		if op == storetest.RecordsApply {
			return store.ErrConflict
		}
		return nil
	})
	if err := r.StoreSubscriptions(t.Context(), f.seat, subsOf("a")); fault.Of(err) != fault.ServerError {
		t.Errorf("a record that others change for ever: %v", err)
	}
}
