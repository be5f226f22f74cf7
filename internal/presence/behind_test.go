package presence

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// look asks for an identity's presence, which must be known.
func (r *rig) look(t *testing.T, id iot.Identity) iot.Presence {
	t.Helper()
	p, err := r.Presence.Presence(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPresenceOfAnIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		id := dev("d")
		start := time.Now().UTC()
		want := func(what string, connected bool, since, active time.Duration) {
			t.Helper()
			w := iot.Presence{Connected: connected, Since: start.Add(since), LastActivity: start.Add(active)}
			if diff := cmp.Diff(w, r.look(t, id)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		if got := r.look(t, id); got != (iot.Presence{}) {
			t.Errorf("an identity that never connected: %+v", got)
		}
		f := r.connect(t, id, device.MQTT)
		want("connected", true, 0, 0)
		time.Sleep(time.Minute)
		f.seat.Activity(time.Now())
		want("active", true, 0, time.Minute)
		time.Sleep(time.Minute)
		f.party.Conn.Traffic.In(time.Now(), 1)
		want("a packet", true, 0, 2*time.Minute)
		time.Sleep(time.Minute)
		f.goodbye()
		want("gone, not written yet", false, 3*time.Minute, 3*time.Minute)
		time.Sleep(time.Minute)
		want("gone and written", false, 3*time.Minute, 3*time.Minute)

		r.connect(t, id, device.MQTT)
		time.Sleep(time.Minute)
		young := r.connect(t, id, device.MQTT) // a takeover is a change, too
		want("taken over", true, 5*time.Minute, 5*time.Minute)
		time.Sleep(20 * time.Minute)
		young.seat.Activity(time.Now())
		time.Sleep(20 * time.Minute) // long enough for the activity to be written

		// A crash: the record says connected, and nobody is.
		r.stopForTest()
		r = rigOver(t, r.engine.Restart())
		want("after a crash, as of when it was last heard of", false, 25*time.Minute, 25*time.Minute)
		r.stopForTest()
	})
}

func TestWrittenAtClose(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.MQTT)
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := f.ended.Load().At.UTC().Round(0)
	r = rigOver(t, r.engine.Restart())
	if diff := cmp.Diff(iot.Presence{Since: at, LastActivity: at}, r.look(t, dev("d"))); diff != "" {
		t.Errorf("after a clean stop (-want +got):\n%s", diff)
	}
}

// TestConnectingWritesNothingAtOnce: CONNACK waits for no flush, and a storm of one
// identity is one record.
func TestConnectingWritesNothingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var applied atomic.Int32
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply {
				applied.Add(1)
			}
			return nil
		})
		for range 100 {
			r.connect(t, dev("d"), device.MQTT)
		}
		if n := applied.Load(); n != 0 {
			t.Errorf("%d writes while connecting", n)
		}
		time.Sleep(flushEvery * sweepEvery)
		synctest.Wait()
		if n := applied.Load(); n != 1 {
			t.Errorf("%d writes after a storm, want 1", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := applied.Load(); n != 1 {
			t.Errorf("%d writes of an identity that does nothing, want 1", n)
		}
		r.stopForTest()
	})
}

func TestStatesWaitForAStoreThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply {
				return store.ErrFull
			}
			return nil
		})
		const n = 3 * maxBatch
		for i := range n {
			r.connect(t, dev(fmt.Sprint("d", i)), device.MQTT).goodbye()
		}
		time.Sleep(time.Minute)
		if got := r.look(t, dev("d7")); got.Since.IsZero() {
			t.Error("what could not be written was forgotten")
		}
		r.engine.Fail(nil)
		time.Sleep(flushEvery * sweepEvery)
		synctest.Wait()
		stored := 0
		if err := r.engine.Records().Scan(t.Context(), stateKeys, "", func(store.Record) bool { stored++; return true }); err != nil {
			t.Fatal(err)
		}
		if stored != n {
			t.Errorf("%d states are stored, want %d", stored, n)
		}
		for _, sh := range r.shards {
			if len(sh.pending) != 0 {
				t.Fatalf("%d states still wait", len(sh.pending))
			}
		}
		r.stopForTest()
	})
}

func TestPendingStatesAreBounded(t *testing.T) {
	sh := newShard()
	for i := range maxPending + 10 {
		sh.note(dev(fmt.Sprint(i)), &state{})
	}
	sh.note(dev("3"), &state{since: 9}) // one that waits already is replaced
	if len(sh.pending) != maxPending || sh.forgive() != 10 || sh.pending[dev("3")].since != 9 {
		t.Errorf("%d states wait", len(sh.pending))
	}
}

func TestPresenceThatCannotBeRead(t *testing.T) {
	r := newRig(t)
	put(t, r, stateKey(dev("d")), "\x01\x02")
	if _, err := r.Presence.Presence(t.Context(), dev("d")); fault.Of(err) != fault.ServerError || !errors.Is(err, errRecord) {
		t.Errorf("a malformed record: %v", err)
	}
	put(t, r, stateKey(dev("d")), "\x02")
	if _, err := r.Presence.Presence(t.Context(), dev("d")); !errors.Is(err, store.ErrFormat) {
		t.Errorf("a newer record: %v", err)
	}
}

func put(t *testing.T, r *rig, key, value string) {
	t.Helper()
	w := store.Write{Key: key, Value: []byte(value), If: store.Any}
	if _, err := r.engine.Records().Apply(t.Context(), store.Batch{Writes: []store.Write{w}}); err != nil {
		t.Fatal(err)
	}
}

// remove removes an identity's records, as whoever deletes it does before it is told.
func (r *rig) remove(tb testing.TB, id iot.Identity) {
	tb.Helper()
	var b store.Batch
	for _, key := range Kept(id) {
		b.Writes = append(b.Writes, store.Write{Key: key, Delete: true, If: store.Any})
	}
	if _, err := r.engine.Records().Apply(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
}

// left gives the keys that are in the store after everything was written.
func (r *rig) left(tb testing.TB) []string {
	tb.Helper()
	if err := r.flush(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	var left []string
	if err := r.engine.Records().Scan(tb.Context(), "", "", func(rec store.Record) bool {
		left = append(left, rec.Key)
		return true
	}); err != nil {
		tb.Fatal(err)
	}
	return left
}

// TestForget: nothing is left of an identity that was deleted, whatever was on its way
// to the store at that moment, and nothing is taken from others.
func TestForget(t *testing.T) {
	r := newRig(t)
	ids := []iot.Identity{dev("d"), {Device: "d", Module: "m"}, {Device: "d", Module: "n"}, dev("d2"), {Device: "d2", Module: "m"}}
	for i, id := range ids {
		f := r.connect(t, id, device.MQTT)
		if err := r.StoreSubscriptions(t.Context(), f.seat, nil); err != nil {
			t.Fatal(err)
		}
		f.goodbye()
		if i != 2 { // one of them has not been written yet
			if err := r.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	live := r.connect(t, dev("d"), device.MQTT)
	for _, id := range ids[:3] {
		r.remove(t, id)
	}
	// What the session still does between the deletion and its end.
	if err := r.StoreSubscriptions(t.Context(), live.seat, []device.Subscription{{To: device.Methods, Filter: "f"}}); err != nil {
		t.Fatal(err)
	}
	live.seat.Activity(time.Now().Add(time.Second))
	for i := range shards {
		r.refresh(i)
	}
	if err := r.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.RevokeDevice("d", fault.DeviceNotFound, "deleted")
	if live.code() != fault.DeviceNotFound {
		t.Fatalf("ended with %v", live.code())
	}
	for _, id := range append(ids[:3:3], dev("never")) {
		if err := r.Forget(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if got := r.look(t, id); got != (iot.Presence{}) {
			t.Errorf("%s, which was deleted, reads %+v", id, got)
		}
	}
	want := []string{sessionKeys + "d2", sessionKeys + "d2/m", stateKeys + "d2", stateKeys + "d2/m"}
	if diff := cmp.Diff(want, r.left(t)); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

// TestForgetOfADeviceThatNeverConnectedWritesNothing: a million of them are deleted
// without a flush of ours.
func TestForgetOfADeviceThatNeverConnectedWritesNothing(t *testing.T) {
	r := newRig(t)
	r.engine.Fail(func(op storetest.Op) error {
		if op != storetest.RecordsGet {
			t.Errorf("%s was called", op)
		}
		return nil
	})
	if err := r.Forget(t.Context(), dev("d")); err != nil {
		t.Fatal(err)
	}
	if err := r.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestNewcomerThatFindsItsIdentityDeletedLeavesNothing: the hub ends it with that code.
func TestNewcomerThatFindsItsIdentityDeletedLeavesNothing(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.MQTT)
	f.seat.Release(f.end(device.Ending{Code: fault.DeviceNotFound}))
	if left := r.left(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestForgetFails(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.MQTT)
	if err := r.StoreSubscriptions(t.Context(), f.seat, nil); err != nil {
		t.Fatal(err)
	}
	r.engine.Fail(func(op storetest.Op) error {
		if op == storetest.RecordsApply {
			return store.ErrFull
		}
		return nil
	})
	if err := r.Forget(t.Context(), dev("d")); fault.Of(err) != fault.ServiceUnavailable || !errors.Is(err, store.ErrFull) {
		t.Errorf("forget on a full disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.seat.place.keep.tryTake()
	defer f.seat.place.keep.give()
	if err := r.Forget(ctx, dev("d")); !errors.Is(err, context.Canceled) {
		t.Errorf("forget given up: %v", err)
	}
}

// TestForgetUndoesTheWriteUnderWay, and does not wait for it: what it removes stays
// removed.
func TestForgetUndoesTheWriteUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, storetest.New())
		defer r.stopForTest()
		r.connect(t, dev("d"), device.MQTT).goodbye()
		gate, done := r.holdApply(), make(chan struct{})
		go func() {
			defer close(done)
			if err := r.flush(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if err := r.Forget(context.Background(), dev("d")); err != nil {
			t.Error(err)
		}
		if got := r.look(t, dev("d")); got != (iot.Presence{}) {
			t.Errorf("a forgotten identity reads %+v", got)
		}
		close(gate)
		<-done
		if left := r.left(t); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestDeletionCarriedOutAfterForget: somebody is at work on the identity while it is
// deleted, and ends its session only then.
func TestDeletionCarriedOutAfterForget(t *testing.T) {
	r := newRig(t)
	f := r.connect(t, dev("d"), device.MQTT)
	if !f.seat.place.turn.tryTake() {
		t.Fatal("somebody else is at work")
	}
	r.RevokeDevice("d", fault.DeviceNotFound, "deleted")
	if err := r.Forget(t.Context(), dev("d")); err != nil {
		t.Fatal(err)
	}
	f.seat.place.turn.give()
	r.settle(t.Context(), f.seat.shard, f.seat.place)
	if f.code() != fault.DeviceNotFound {
		t.Fatalf("ended with %v", f.code())
	}
	if got := r.look(t, dev("d")); got != (iot.Presence{}) {
		t.Errorf("a deleted identity reads %+v", got)
	}
}

// TestChangeDuringAWriteIsWrittenNext: what is newer than the write under way is not
// taken for written.
func TestChangeDuringAWriteIsWrittenNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRig(t, storetest.New())
		defer r.stopForTest()
		f := r.connect(t, dev("d"), device.MQTT)
		gate, done := r.holdApply(), make(chan struct{})
		go func() {
			defer close(done)
			if err := r.flush(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		time.Sleep(time.Millisecond)
		f.goodbye()
		close(gate)
		<-done
		if err := r.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		rec, err := r.engine.Records().Get(t.Context(), stateKey(dev("d")))
		if err != nil {
			t.Fatal(err)
		}
		if st, err := decodeState(rec.Value); err != nil || st.connected {
			t.Errorf("stored is %+v (%v), want the goodbye", st, err)
		}
	})
}
