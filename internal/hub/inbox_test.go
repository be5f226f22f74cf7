package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/registry"
)

// post queues messages whose ids and bodies are the same.
func (r *rig) post(tb testing.TB, id iot.Identity, ids ...string) {
	tb.Helper()
	for _, m := range ids {
		if err := r.mail.Send(context.Background(), id, &iot.CloudMessage{MessageID: m, Body: []byte(m)}); err != nil {
			tb.Fatal(err)
		}
	}
}

// do performs an operation and gives its result.
func do(tb testing.TB, s device.Session, b bell, what device.Operation) error {
	tb.Helper()
	const tag = 77
	if err := s.Do(device.Op{Tag: tag, What: what}); err != nil {
		return err
	}
	var result *device.Delivery
	b.until(tb, "the result of an operation", func() bool {
		if got := s.Take(make([]device.Delivery, 1), device.Room{}); len(got) == 1 {
			result = &got[0]
		}
		return result != nil
	})
	if result.Tag != tag || result.Message != nil {
		tb.Fatalf("took %+v, want the result of %d", result, tag)
	}
	return result.Err
}

// receive takes exactly n messages.
func receive(tb testing.TB, s device.Session, b bell, n int) []*iot.LockedMessage {
	tb.Helper()
	var got []*iot.LockedMessage
	b.until(tb, fmt.Sprintf("%d messages", n), func() bool {
		for some := -1; some != len(got); { // whoever leaves something is not woken for it
			some = len(got)
			for _, d := range s.Take(make([]device.Delivery, 8), device.Room{Messages: n - len(got), Bytes: 1 << 20}) {
				got = append(got, d.Message)
			}
		}
		return len(got) == n
	})
	return got
}

func idsOf(ms []*iot.LockedMessage) string {
	var ids []string
	for _, m := range ms {
		ids = append(ids, m.MessageID)
	}
	return fmt.Sprint(ids)
}

var devicebound = device.Subscription{To: device.CloudToDevice, Filter: "devicebound", QoS: 1}

// listener opens a session that is subscribed to messages.
func (r *rig) listener(tb testing.TB, transport device.Transport) (device.Session, bell) {
	tb.Helper()
	h := hello(dev1, transport)
	h.Clean = true
	s, b := r.open(tb, h)
	if err := do(tb, s, b, device.Subscribe{Subs: []device.Subscription{devicebound}}); err != nil {
		tb.Fatal(err)
	}
	return s, b
}

func TestMessagesComeToWhoSubscribes(t *testing.T) {
	r := newRig(t, nil)
	r.post(t, dev1, "a")
	s, b := r.open(t, hello(dev1, device.MQTT))
	r.post(t, dev1, "b")
	if got := s.Take(make([]device.Delivery, 4), device.Room{Messages: 4, Bytes: 1 << 20}); len(got) > 0 {
		t.Fatalf("a session without subscription was given %+v", got)
	}
	if err := do(t, s, b, device.Subscribe{Subs: []device.Subscription{devicebound}}); err != nil {
		t.Fatal(err)
	}
	got := receive(t, s, b, 2)
	if idsOf(got) != "[a b]" {
		t.Errorf("received %v", idsOf(got))
	}
	for _, m := range got {
		if err := do(t, s, b, device.Settle{Lock: m.Lock, Outcome: device.Complete}); err != nil {
			t.Error(err)
		}
		if err := do(t, s, b, device.Settle{Lock: m.Lock, Outcome: device.Complete}); fault.Of(err) != fault.DeviceMessageLockLost {
			t.Errorf("settled twice: %v", err)
		}
	}
	if n, err := r.mail.Pending(t.Context(), dev1, 7); n != 0 || err != nil {
		t.Errorf("%d messages are pending, %v", n, err)
	}
}

func TestKeptSubscriptionDeliversAtOnce(t *testing.T) {
	r := newRig(t, nil)
	s, b := r.open(t, hello(dev1, device.MQTT))
	if err := do(t, s, b, device.Subscribe{Subs: []device.Subscription{devicebound}}); err != nil {
		t.Fatal(err)
	}
	s.Close(device.Goodbye{Kind: device.GoodbyeLost})
	r.post(t, dev1, "a")
	s, b = r.open(t, hello(dev1, device.MQTT))
	if got := receive(t, s, b, 1); idsOf(got) != "[a]" {
		t.Errorf("received %v", idsOf(got))
	}
}

func TestUnsubscribeReleases(t *testing.T) {
	r := newRig(t, nil)
	s, b := r.listener(t, device.AMQP)
	r.post(t, dev1, "a", "b")
	got := receive(t, s, b, 1)
	if err := do(t, s, b, device.Unsubscribe{Filters: []string{"devicebound"}}); err != nil {
		t.Fatal(err)
	}
	if more := s.Take(make([]device.Delivery, 4), device.Room{Messages: 4, Bytes: 1 << 20}); len(more) > 0 {
		t.Errorf("given after the end: %+v", more)
	}
	if err := do(t, s, b, device.Settle{Lock: got[0].Lock, Outcome: device.Complete}); fault.Of(err) != fault.DeviceMessageLockLost {
		t.Errorf("settled after the end: %v", err)
	}
	if err := do(t, s, b, device.Subscribe{Subs: []device.Subscription{devicebound}}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, s, b, 2); idsOf(got) != "[a b]" || !got[0].Again {
		t.Errorf("received %v", idsOf(got))
	}
}

// The locks of a displaced session are free before the newcomer can ask for messages,
// in order and uncounted, and the record of the displacement says how many.
func TestTakeoverReleasesMessages(t *testing.T) {
	for _, transports := range [][2]device.Transport{
		{device.MQTT, device.MQTT}, {device.MQTT, device.AMQP}, {device.AMQP, device.MQTT}, {device.AMQP, device.AMQPWS},
	} {
		t.Run(fmt.Sprint(transports), func(t *testing.T) {
			r := newRig(t, nil)
			old, bellOld := r.listener(t, transports[0])
			r.post(t, dev1, "a", "b", "c", "d")
			got := receive(t, old, bellOld, 3)
			if err := do(t, old, bellOld, device.Settle{Lock: got[0].Lock, Outcome: device.Complete}); err != nil {
				t.Fatal(err)
			}
			young, bellYoung := r.listener(t, transports[1])
			if more := old.Take(make([]device.Delivery, 4), device.Room{Messages: 4, Bytes: 1 << 20}); len(more) > 0 {
				t.Errorf("the old session was given %+v", more)
			}
			if err := old.Do(device.Op{Tag: 1, What: device.Settle{Lock: got[1].Lock, Outcome: device.Complete}}); err == nil {
				t.Error("the old session settled")
			}
			again := receive(t, young, bellYoung, 3)
			if idsOf(again) != "[b c d]" || again[0].DeliveryCount != 0 || !again[0].Again || again[2].Again {
				t.Errorf("the newcomer received %v", idsOf(again))
			}
			ends := r.witness.ends()
			if len(ends) != 1 || ends[0].By == nil || ends[0].Released != 2 {
				t.Errorf("endings %+v, want one displacement that released 2", ends)
			}
			young.Close(device.Goodbye{Kind: device.GoodbyeClean})
			if ends = r.witness.ends(); len(ends) != 2 || ends[1].Released != 3 {
				t.Errorf("the goodbye says %+v, want 3 released", ends)
			}
		})
	}
}

func TestDeletionRemovesMessages(t *testing.T) {
	r := newRig(t, nil)
	s, b := r.listener(t, device.MQTT)
	r.post(t, dev1, "a")
	receive(t, s, b, 1)
	r.Changed(dev1, registry.CredentialsChanged)
	if n, err := r.mail.Pending(t.Context(), dev1, 7); n != 1 || err != nil {
		t.Errorf("new keys left %d messages, %v", n, err)
	}
	r.Changed(dev1, registry.Deleted)
	if n, err := r.mail.Pending(t.Context(), dev1, 7); n != 0 || err != nil {
		t.Errorf("the deletion left %d messages, %v", n, err)
	}
}

// Sessions that displace each other as fast as they can, each completing one of the two
// messages it is given: every message is completed exactly once.
func TestManyTakeoversCompleteEachMessageOnce(t *testing.T) {
	r := newRig(t, nil)
	const messages, clients = 40, 4
	for i := range messages {
		if err := r.mail.Send(t.Context(), dev1, &iot.CloudMessage{MessageID: fmt.Sprint(i), Ack: iot.AckFull}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			for tag := uint64(1); ; tag++ {
				h := hello(dev1, []device.Transport{device.MQTT, device.AMQP}[n%2])
				h.Clean = true
				b := newBell()
				s, err := r.Open(context.Background(), h, b.ring)
				if err != nil {
					continue // an even newer one was faster
				}
				_ = s.Do(device.Op{What: device.Subscribe{Subs: []device.Subscription{devicebound}}})
				if r.session(t, s, b, tag) {
					return
				}
				s.Close(device.Goodbye{Kind: device.GoodbyeLost})
			}
		})
	}
	wg.Wait()
	ended := map[string]int{}
	for _, e := range r.outcomes() {
		ended[e.MessageID]++
		if e.Status != iot.FeedbackSuccess || ended[e.MessageID] > 1 {
			t.Errorf("message %s: %s for the %d. time", e.MessageID, e.Status, ended[e.MessageID])
		}
	}
	if len(ended) != messages {
		t.Errorf("%d messages were completed, want %d", len(ended), messages)
	}
}

// session completes one message of two, and reports whether none is left.
func (r *rig) session(tb testing.TB, s device.Session, b bell, tag uint64) bool {
	tb.Helper()
	none, over := false, false
	b.until(tb, "a message, or the end", func() bool {
		for _, d := range s.Take(make([]device.Delivery, 8), device.Room{Messages: 2, Bytes: 1 << 20}) {
			switch {
			case d.Message != nil && !over:
				over = s.Do(device.Op{Tag: tag, What: device.Settle{Lock: d.Message.Lock, Outcome: device.Complete}}) != nil
			case d.Message == nil && d.Tag == tag:
				over = true
			}
		}
		n, err := r.mail.Pending(context.Background(), dev1, 7)
		none = n == 0 && err == nil
		return over || none || s.Err() != nil
	})
	return none
}
