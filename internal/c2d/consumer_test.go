package c2d

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

func TestMessagesComeInOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b")
		e := r.listen(dev1)
		synctest.Wait()
		want(t, "wakes for what waited", e.woken(), 1)
		want(t, "first", e.ids(1), "a")
		r.send(dev1, "c")
		want(t, "then", e.ids(5), "b c")
		want(t, "nothing more", e.ids(5), "")
		wakes := e.woken()
		r.send(dev1, "d")
		synctest.Wait()
		want(t, "wakes for a new one", e.woken()-wakes, 1)
		want(t, "last", e.ids(5), "d")
		want(t, "pending", r.pending(dev1), 4)
		e.Close()
	})
}

func TestMessageArrivesAsSent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		sent := iot.CloudMessage{
			MessageID: "id", CorrelationID: "c", UserID: "u\xff", To: "/devices/dev1/messages/deviceBound",
			ContentType: "text/plain", ContentEncoding: "utf-8", Ack: iot.AckPositive,
			Expiry: time.Now().Add(time.Minute).UTC(), Created: time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC),
			Application: iot.Properties{{Name: "z", Value: "1"}, {Name: "a", Value: ""}},
			Body:        []byte("body"),
		}
		m := sent
		if err := r.Send(context.Background(), dev1, &m); err != nil {
			t.Fatal(err)
		}
		m.Body[0], m.Application[0].Value = 'X', "changed" // was only borrowed
		sent.Body, sent.Application[0].Value = []byte("body"), "1"
		for range 2 { // as prefetched for nobody, then as read from the store
			e := r.listen(dev1)
			got := e.take(1)
			if len(got) != 1 {
				t.Fatalf("%d messages", len(got))
			}
			want(t, "message", fmt.Sprintf("%+v", got[0].CloudMessage), fmt.Sprintf("%+v", sent))
			want(t, "number", got[0].Number, uint16(1))
			want(t, "enqueued", got[0].Enqueued, time.Now().UTC().Truncate(time.Millisecond))
			e.Close()
		}
	})
}

func TestOutcomes(t *testing.T) {
	bubble(t, func(c *Config) { c.MaxDeliveries = 3 }, func(t *testing.T, r *rig) {
		r.send(dev1, "done", "bad", "often")
		e := r.listen(dev1)
		got := e.take(3)
		want(t, "complete", e.settle(got[0], device.Complete), error(nil))
		want(t, "reject", e.settle(got[1], device.Reject), error(nil))
		wantCode(t, "settled twice", e.settle(got[1], device.Complete), fault.DeviceMessageLockLost)
		for i := range 3 {
			m := got[2]
			if i > 0 {
				m = e.take(1)[0]
			}
			want(t, "delivery count", int(m.DeliveryCount), i)
			want(t, "again", m.Again, i > 0)
			want(t, "abandon", e.settle(m, device.Abandon), error(nil))
		}
		want(t, "after the third abandoned delivery", e.ids(1), "")
		want(t, "seen", r.seen.all(), "sent, sent, sent, Success done, Rejected bad, abandoned, abandoned, DeliveryCountExceeded often")
		want(t, "queues, messages", fmt.Sprint(r.keys(queueKeys), r.keys(messageKeys)), "[] []")
		depth, err := r.Depth(context.Background())
		want(t, "depth", depth, int64(0))
		want(t, "depth", err, error(nil))
		e.Close()
	})
}

func TestAbandonedMessageKeepsItsPlace(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b", "c")
		e := r.listen(dev1)
		got := e.take(2)
		want(t, "abandon", e.settle(got[0], device.Abandon), error(nil))
		want(t, "order", e.ids(5), "a c")
		e.Close()
	})
}

func TestLockLapsesUncounted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b")
		e := r.listen(dev1)
		got := e.take(2)
		e.Take(make([]device.Delivery, 1), device.Room{Messages: 1, Bytes: 1})
		sleep(iot.MessageLock - time.Millisecond)
		want(t, "complete in time", e.settle(got[1], device.Complete), error(nil))
		wakes := e.woken()
		sleep(time.Second)
		want(t, "woken by the lapse", e.woken() > wakes, true)
		wantCode(t, "late settlement", e.settle(got[0], device.Complete), fault.DeviceMessageLockLost)
		again := e.take(2)
		want(t, "given again", names(again), "a")
		want(t, "count", again[0].DeliveryCount, uint8(0))
		want(t, "again", again[0].Again, true)
		want(t, "same number", again[0].Number, got[0].Number)
		want(t, "another lock", again[0].Lock == got[0].Lock, false)
		e.Close()
	})
}

func TestClosedConsumersLocksAreReleasedAtOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b", "c")
		old := r.listen(dev1)
		got := old.take(2)
		want(t, "released", old.Close(), 2)
		want(t, "released again", old.Close(), 0)
		want(t, "after the end", old.Take(make([]device.Delivery, 3), device.Room{Messages: 3, Bytes: 100}), 0)
		wantCode(t, "late settlement", old.settle(got[0], device.Complete), fault.DeviceMessageLockLost)
		e := r.listen(dev1)
		again := e.take(3)
		want(t, "order", names(again), "a b c")
		want(t, "again", fmt.Sprint(again[0].Again, again[1].Again, again[2].Again), "true true false")
		want(t, "count", again[0].DeliveryCount, uint8(0))
		e.Close()
	})
}

func TestNewConsumerTakesOver(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a")
		old := r.listen(dev1)
		got := old.take(1)
		e := r.listen(dev1) // without a Close of the old one
		wantCode(t, "the old one settles", old.settle(got[0], device.Complete), fault.DeviceMessageLockLost)
		want(t, "the new one takes", e.ids(1), "a")
		want(t, "released", old.Close(), 0)
		e.Close()
		synctest.Wait()
		want(t, "places", r.places(), 0)
	})
}

// A message that was given and not settled is known as such after a restart too, when
// its session had ended before.
func TestGivenMessageIsMarked(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b")
		e := r.listen(dev1)
		number := e.take(1)[0].Number
		e.Close()
		synctest.Wait()
		want(t, "places", r.places(), 0)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		next := openRig(t, r.engine.Restart(), r.dir, nil)
		e = next.listen(dev1)
		got := e.take(2)
		want(t, "order", names(got), "a b")
		want(t, "again", fmt.Sprint(got[0].Again, got[1].Again), "true false")
		want(t, "number", got[0].Number, number)
		e.Close()
		want(t, "close", next.Close(), error(nil))
	})
}

func TestCrashReturnsLockedMessages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b")
		e := r.listen(dev1)
		want(t, "taken", e.ids(2), "a b")
		next := openRig(t, r.engine.Restart(), r.dir, nil) // nothing was closed
		again := next.listen(dev1)
		got := again.take(2)
		want(t, "order", names(got), "a b")
		want(t, "count", got[0].DeliveryCount, uint8(0))
		e.Close()
		again.Close()
		want(t, "close", next.Close(), error(nil))
	})
}

func TestRoomBoundsMessages(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		big := make([]byte, 30_000)
		for i := range 4 {
			if err := r.Send(context.Background(), dev1, &iot.CloudMessage{MessageID: fmt.Sprint(i), Body: big}); err != nil {
				t.Fatal(err)
			}
		}
		e := r.listen(dev1)
		synctest.Wait()
		dst := make([]device.Delivery, 8)
		e.Take(dst, device.Room{}) // says that there is no room
		sleep(time.Second)
		want(t, "no room", e.Take(dst, device.Room{Messages: 0, Bytes: 1 << 20}), 0)
		want(t, "no bytes", e.Take(dst, device.Room{Messages: 4}), 0)
		synctest.Wait()
		want(t, "the first whatever its size", e.Take(dst, device.Room{Messages: 4, Bytes: 1}), 1)
		synctest.Wait()
		want(t, "two fit", e.Take(dst, device.Room{Messages: 4, Bytes: 70_000}), 2)
		want(t, "the last", e.Take(dst, device.Room{Messages: 4, Bytes: 70_000}), 1)
		e.Close()
	})
}

// What a lock's holder does while the store is slow stands, though he be displaced
// meanwhile; and if the store then refuses, the message is there for the next.
func TestSettlementOfDisplacedConsumerStands(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		bubble(t, nil, func(t *testing.T, r *rig) {
			r.send(dev1, "a", "b")
			e := r.listen(dev1)
			got := e.take(2)
			gate := r.gate(refuse)
			e.Settle(1, got[0].Lock, device.Complete)
			synctest.Wait() // the worker stands at the gate
			want(t, "released", e.Close(), 1)
			next := r.listen(dev1)
			want(t, "what is being settled is nobody's", strings.Contains(next.ids(2), "a"), false)
			close(gate)
			synctest.Wait()
			if refuse {
				wantCode(t, "result", e.results[1], fault.ServiceUnavailable)
				want(t, "both are there again", next.ids(2), "a b")
			} else {
				want(t, "result", e.results[1], error(nil))
				want(t, "it is gone", next.ids(2), "b")
			}
			next.Close()
		})
	}
}

func TestPurge(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.send(dev1, "a", "b", "c")
		r.send(mod1, "m")
		e := r.listen(dev1)
		got := e.take(1)
		n, err := r.Purge(context.Background(), dev1)
		want(t, "purged", n, 3)
		want(t, "purged", err, error(nil))
		wantCode(t, "settlement after a purge", e.settle(got[0], device.Complete), fault.DeviceMessageLockLost)
		want(t, "nothing left", e.ids(3), "")
		want(t, "the module's are not touched", r.pending(mod1), 1)
		n, err = r.Purge(context.Background(), dev1)
		want(t, "purged again", n, 0)
		want(t, "purged again", err, error(nil))
		_, err = r.Purge(context.Background(), iot.Identity{Device: "nobody"})
		wantCode(t, "unknown device", err, fault.DeviceNotFound)
		e.Close()
	})
}
