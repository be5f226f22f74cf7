package c2d

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

func TestSendRefuses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		now := time.Now()
		disabled := iot.Identity{Device: "off"}
		r.dir.set(disabled, 7)
		r.dir.disabled[disabled] = true
		many := make(iot.Properties, iot.MaxCloudProperties+1)
		for i := range many {
			many[i].Name = fmt.Sprint(i)
		}
		for _, c := range []struct {
			name string
			to   iot.Identity
			m    iot.CloudMessage
			code fault.Code
		}{
			{"unknown device", iot.Identity{Device: "nobody"}, iot.CloudMessage{}, fault.DeviceNotFound},
			{"unknown module", iot.Identity{Device: "dev1", Module: "x"}, iot.CloudMessage{}, fault.ModuleNotFound},
			{"disabled device", disabled, iot.CloudMessage{}, fault.DeviceNotFound},
			{"no device", iot.Identity{}, iot.CloudMessage{}, fault.ArgumentInvalid},
			{"a device that cannot be", iot.Identity{Device: "a/b"}, iot.CloudMessage{}, fault.ArgumentInvalid},
			{"body too large", dev1, iot.CloudMessage{Body: make([]byte, iot.MaxCloudMessage+1)}, fault.MessageTooLarge},
			{"properties too large", dev1, iot.CloudMessage{Body: make([]byte, iot.MaxCloudMessage), Application: iot.Properties{{Name: "a"}}}, fault.MessageTooLarge},
			{"id too long", dev1, iot.CloudMessage{MessageID: strings.Repeat("x", 129)}, fault.ArgumentInvalid},
			{"too many properties", dev1, iot.CloudMessage{Application: many}, fault.ArgumentInvalid},
			{"property without name", dev1, iot.CloudMessage{Application: iot.Properties{{Value: "v"}}}, fault.ArgumentInvalid},
			{"property twice", dev1, iot.CloudMessage{Application: iot.Properties{{Name: "a"}, {Name: "a"}}}, fault.ArgumentInvalid},
			{"ack", dev1, iot.CloudMessage{Ack: 9}, fault.ArgumentInvalid},
			{"lives too long", dev1, iot.CloudMessage{Expiry: now.Add(iot.MaxMessageTTL + time.Hour)}, fault.InvalidMessageExpiryTime},
			{"year 10000", dev1, iot.CloudMessage{Created: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}, fault.ArgumentInvalid},
		} {
			wantCode(t, c.name, r.Send(context.Background(), c.to, &c.m), c.code)
		}
		want(t, "nothing was stored", len(r.keys("c2d/")), 0)
		for _, m := range []iot.CloudMessage{
			{Body: make([]byte, iot.MaxCloudMessage)}, {Expiry: now.Add(iot.MaxMessageTTL + time.Minute)}, {},
		} {
			want(t, "just fits", r.Send(context.Background(), dev1, &m), error(nil))
		}
	})
}

func TestFiftyMessagesMayBePending(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		codes := map[fault.Code]int{}
		for i := range 60 {
			wg.Go(func() {
				err := r.Send(context.Background(), dev1, message(fmt.Sprint(i), iot.AckNone))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					codes[0]++
				} else {
					codes[fault.Of(err)]++
				}
			})
		}
		wg.Wait()
		want(t, "taken", codes[0], 50)
		want(t, "refused", codes[fault.DeviceMaximumQueueDepthExceeded], 10)
		want(t, "pending", r.pending(dev1), 50)
		e := r.listen(dev1)
		got := e.take(50)
		want(t, "given", len(got), 50)
		wantCode(t, "given counts as pending", r.Send(context.Background(), dev1, message("x", 0)), fault.DeviceMaximumQueueDepthExceeded)
		e.settle(got[20], 1)
		want(t, "room again", r.Send(context.Background(), dev1, message("x", 0)), error(nil))
		numbers := map[uint16]bool{}
		for _, m := range append(got, e.take(1)...) {
			numbers[m.Number] = true
		}
		want(t, "different numbers", len(numbers), 51)
		e.Close()
	})
}

// Many senders to many devices share the engine's flushes: each batch concerns one
// identity, and those of different ones are under way at once.
func TestSendsToDifferentDevicesRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := newDirectory()
		for i := range 100 {
			dir.set(iot.Identity{Device: fmt.Sprint(i)}, 7)
		}
		r := openRig(t, storetest.New(), dir, nil)
		gate := make(chan struct{})
		var mu sync.Mutex
		inside := 0
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply {
				mu.Lock()
				inside++
				mu.Unlock()
				<-gate
			}
			return nil
		})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { r.send(iot.Identity{Device: fmt.Sprint(i)}, "m") })
		}
		synctest.Wait()
		mu.Lock()
		want(t, "writes under way", inside, 100)
		mu.Unlock()
		close(gate)
		wg.Wait()
		synctest.Wait()
		want(t, "identities in memory", r.places(), 0)
		want(t, "close", r.Close(), error(nil))
	})
}

// What gathers for one identity while a batch is under way becomes one batch.
func TestRequestsOfOneIdentityShareABatch(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		gate := make(chan struct{})
		var mu sync.Mutex
		batches := 0
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply {
				mu.Lock()
				batches++
				mu.Unlock()
				<-gate
			}
			return nil
		})
		var wg sync.WaitGroup
		wg.Go(func() { r.send(dev1, "0") })
		synctest.Wait()
		for i := range 20 {
			wg.Go(func() { r.send(dev1, fmt.Sprint(i+1)) })
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		want(t, "batches", batches, 2)
		want(t, "pending", r.pending(dev1), 21)
	})
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a")
		e := r.listen(dev1)
		got := e.take(1)
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply {
				return store.ErrFull
			}
			return nil
		})
		wantCode(t, "send", r.Send(context.Background(), dev1, message("b", 0)), fault.ServiceUnavailable)
		wantCode(t, "settle", e.settle(got[0], 1), fault.ServiceUnavailable)
		r.engine.Fail(nil)
		want(t, "the lock held on", e.settle(got[0], 1), error(nil))
		r.send(dev1, "b")
		want(t, "next", e.ids(2), "b")
		e.Close()
	})
}

func TestDamagedQueueConcernsOneIdentity(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b")
		r.send(dev2, "x")
		rec, err := r.engine.Records().Get(context.Background(), queueKey(dev1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.engine.Records().Apply(context.Background(), store.Batch{Writes: []store.Write{
			{Key: rec.Key, Value: rec.Value[:len(rec.Value)-1], If: rec.Rev, Index: []string{dueKey(1, rec.Key)}},
		}}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "send", r.Send(context.Background(), dev1, message("c", 0)), fault.ServerError)
		e, other := r.listen(dev1), r.listen(dev2)
		want(t, "nothing is given", e.ids(1), "")
		want(t, "others", other.ids(1), "x")
		sleep(time.Minute)
		n, err := r.Purge(context.Background(), dev1)
		want(t, "purge", fmt.Sprint(n, err), "2 <nil>")
		want(t, "keys", fmt.Sprint(r.keys(queueKeys+"dev1"), r.keys(messageKeys+"dev1")), "[] []")
		e.Close()
		other.Close()
	})
}

func TestDamagedMessageIsPassedOver(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b")
		key := r.keys(messageKeys)[0]
		if _, err := r.engine.Records().Apply(context.Background(), store.Batch{Writes: []store.Write{
			{Key: key, Value: []byte{messageVersion}, If: store.Any},
		}}); err != nil {
			t.Fatal(err)
		}
		e := r.listen(dev1)
		want(t, "the next is given", e.ids(2), "b")
		sleep(iot.DefaultMessageTTL + 2*time.Second)
		want(t, "both expired", r.seen.all(), "sent, sent, Expired , Expired b, gathered 2")
		e.Close()
	})
}

func TestDeletionRemovesTheQueue(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b")
		e := r.listen(dev1)
		got := e.take(1)
		r.dir.set(dev1, 0)
		want(t, "forget", r.Forget(context.Background(), dev1), error(nil))
		wantCode(t, "settle", e.settle(got[0], 1), fault.DeviceMessageLockLost)
		want(t, "nothing", e.ids(2), "")
		want(t, "keys", len(r.keys("c2d/")), 0)
		sleep(time.Second)
		want(t, "no feedback", len(r.keys("c2d/")), 0)
		e.Close()
	})
}

// A queue that a crash left behind a deletion is not for the next device of that name.
func TestQueueOfAnEarlierDeviceIsNotDelivered(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "old")
		r.dir.set(dev1, 8)
		e := &ear{results: map[uint64]error{}}
		e.Consumer = r.Consume(dev1, 8, store.Epoch{Counter: 1}, Hooks{Wake: func() {}})
		want(t, "nothing", e.ids(1), "")
		n, err := r.Pending(context.Background(), dev1, 8)
		want(t, "pending", fmt.Sprint(n, err), "0 <nil>")
		r.send(dev1, "new")
		want(t, "the new one", e.ids(2), "new")
		want(t, "keys", len(r.keys(messageKeys)), 1)
		e.Close()
	})
}

func TestCloseRefuses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a")
		e := r.listen(dev1)
		got := e.take(1)
		want(t, "close", r.Close(), error(nil))
		wantCode(t, "send", r.Send(context.Background(), dev1, message("b", 0)), fault.ServiceUnavailable)
		wantCode(t, "settle", e.settle(got[0], 1), fault.ServiceUnavailable)
		_, err := r.Feedback(func() {})
		wantCode(t, "feedback", err, fault.ServiceUnavailable)
		e.Close()
	})
}

func TestSendGivesUpWithItsContext(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		gate := r.gate(false)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		wantCode(t, "send", r.Send(ctx, dev1, message("a", 0)), fault.GatewayTimeout)
		close(gate)
		synctest.Wait()
		want(t, "it was stored all the same", r.pending(dev1), 1)
	})
}
