package amqp

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
)

func TestDeviceReceives(t *testing.T) {
	w := newWorld(t, hubtest.Script{Answer: nil})
	id := iot.Identity{Device: "dev1"}
	expiry := time.UnixMilli(2_000_000_000_000).UTC()
	w.core.Send(id, iot.CloudMessage{
		MessageID: "m1", CorrelationID: "c1", UserID: "me", ContentType: "text/plain", ContentEncoding: "utf-8", Expiry: expiry,
		Ack: iot.AckFull, Application: iot.Properties{{Name: "k", Value: "v"}}, Body: []byte("hello"),
	})
	r := w.as(tokenFor("devices/dev1", "")).receiver("/devices/dev1/messages/devicebound", nil)
	session := w.core.Session(t.Context(), 0)
	finishSubscription(t, session)
	m, err := r.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := m.Properties
	got := fmt.Sprintf("%s %v %v %s %s %s %s %v", m.GetData(), p.MessageID, p.CorrelationID, p.UserID, *p.To, *p.ContentType, *p.ContentEncoding, p.AbsoluteExpiryTime.UTC())
	if want := fmt.Sprint("hello m1 c1 me /devices/dev1/messages/devicebound text/plain utf-8 ", expiry); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if diff := cmp.Diff(map[string]any{"k": "v", "iothub-ack": "full"}, m.ApplicationProperties); diff != "" {
		t.Error(diff)
	}
	if _, ok := m.Annotations["x-opt-sequence-number"].(uint64); !ok {
		t.Errorf("x-opt-sequence-number is %T, want a ulong", m.Annotations["x-opt-sequence-number"])
	}
	if _, ok := m.Annotations["iothub-deliverycount"].(uint8); !ok || len(m.DeliveryTag) != 16 {
		t.Errorf("iothub-deliverycount is %T, the tag has %d bytes", m.Annotations["iothub-deliverycount"], len(m.DeliveryTag))
	}
	if err := r.AcceptMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	awaitOutcomes(t, session, device.Complete)
}

// finishSubscription answers the session's subscription, as the hub does.
func finishSubscription(t *testing.T, s *hubtest.Session) {
	t.Helper()
	s.Await(t.Context(), func() bool {
		for _, op := range s.Ops() {
			if _, ok := op.What.(device.Subscribe); ok {
				s.Finish(op.Tag, nil)
				return true
			}
		}
		return false
	})
}

// awaitOutcomes waits until the session has settled so, in that order.
func awaitOutcomes(t *testing.T, s *hubtest.Session, want ...device.Outcome) {
	t.Helper()
	var got []device.Outcome
	ok := s.Await(t.Context(), func() bool {
		got = nil
		for _, op := range s.Ops() {
			if settle, ok := op.What.(device.Settle); ok {
				got = append(got, settle.Outcome)
			}
		}
		return len(got) >= len(want)
	})
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Error(diff)
	}
}

func TestOutcomes(t *testing.T) {
	for _, mode := range []goamqp.ReceiverSettleMode{goamqp.ReceiverSettleModeFirst, goamqp.ReceiverSettleModeSecond} {
		t.Run(mode.String(), func(t *testing.T) {
			w := newWorld(t, hubtest.Script{})
			r := w.as(tokenFor("devices/dev1", "")).receiver("/devices/dev1/messages/devicebound", &goamqp.ReceiverOptions{SettlementMode: &mode})
			session := w.core.Session(t.Context(), 0)
			finishSubscription(t, session)
			ctx := t.Context()
			for _, settle := range []func(*goamqp.Message) error{
				func(m *goamqp.Message) error { return r.AcceptMessage(ctx, m) },
				func(m *goamqp.Message) error { return r.RejectMessage(ctx, m, nil) },
				func(m *goamqp.Message) error {
					return r.ModifyMessage(ctx, m, &goamqp.ModifyMessageOptions{UndeliverableHere: true})
				},
			} {
				w.core.Send(iot.Identity{Device: "dev1"}, iot.CloudMessage{Body: []byte("x")})
				m, err := r.Receive(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := settle(m); err != nil {
					t.Error(err)
				}
			}
			awaitOutcomes(t, session, device.Complete, device.Reject, device.Reject)
			for _, settle := range []func(*goamqp.Message) error{
				func(m *goamqp.Message) error { return r.ReleaseMessage(ctx, m) },
				func(m *goamqp.Message) error { return r.ModifyMessage(ctx, m, nil) },
				func(m *goamqp.Message) error { return r.AcceptMessage(ctx, m) },
			} {
				if settle != nil {
					w.core.Send(iot.Identity{Device: "dev1"}, iot.CloudMessage{Body: []byte("x")})
				}
				m, err := r.Receive(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := settle(m); err != nil {
					t.Error(err)
				}
			}
			awaitOutcomes(t, session, device.Complete, device.Reject, device.Reject, device.Abandon, device.Abandon, device.Complete)
		})
	}
}

// TestNoMoreThanCredit: a device is given as many messages as it has asked for.
func TestNoMoreThanCredit(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	r := w.as(tokenFor("devices/dev1", "")).receiver("/devices/dev1/messages/devicebound", &goamqp.ReceiverOptions{Credit: -1})
	session := w.core.Session(t.Context(), 0)
	finishSubscription(t, session)
	for i := range 5 {
		w.core.Send(iot.Identity{Device: "dev1"}, iot.CloudMessage{Body: fmt.Append(nil, i)})
	}
	if err := r.IssueCredit(2); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		m, err := r.Receive(t.Context(), nil)
		if err != nil || string(m.GetData()) != fmt.Sprint(i) {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}
	if err := r.DrainCredit(t.Context(), nil); err != nil { // no credit is left: nothing came
		t.Fatal(err)
	}
	if m := r.Prefetched(); m != nil {
		t.Errorf("%s came without credit", m.GetData())
	}
	if err := r.IssueCredit(10); err != nil {
		t.Fatal(err)
	}
	for i := 2; i < 5; i++ {
		m, err := r.Receive(t.Context(), nil)
		if err != nil || string(m.GetData()) != fmt.Sprint(i) {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}
	if err := r.DrainCredit(t.Context(), nil); err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestLateSettlementIsTold(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	mode := goamqp.ReceiverSettleModeSecond
	r := w.as(tokenFor("devices/dev1", "")).receiver("/devices/dev1/messages/devicebound", &goamqp.ReceiverOptions{SettlementMode: &mode})
	session := w.core.Session(t.Context(), 0)
	finishSubscription(t, session)
	w.core.Send(iot.Identity{Device: "dev1"}, iot.CloudMessage{Body: []byte("x")})
	m, err := r.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.core.Lapse(iot.Identity{Device: "dev1"})
	if err := r.AcceptMessage(t.Context(), m); condition(err) != "com.microsoft:message-lock-lost" {
		t.Errorf("got %v, want com.microsoft:message-lock-lost", err)
	}
}

// TestDetachedInboxGetsNoMore: with its link the subscription goes; the device's other
// links stay.
func TestDetachedInboxGetsNoMore(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	p := w.as(tokenFor("devices/dev1", ""))
	s := p.sender("/devices/dev1/messages/events", nil)
	r := p.receiver("/devices/dev1/messages/devicebound", nil)
	session := w.core.Session(t.Context(), 0)
	finishSubscription(t, session)
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	session.Await(t.Context(), func() bool {
		for _, op := range session.Ops() {
			if _, ok := op.What.(device.Unsubscribe); ok {
				session.Finish(op.Tag, nil)
				return true
			}
		}
		return false
	})
	if session.Listens() {
		t.Error("the subscription outlived its link")
	}
	if err := s.Send(t.Context(), goamqp.NewMessage([]byte("x")), nil); err != nil {
		t.Error(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var bye device.Goodbye
	session.Await(t.Context(), func() (over bool) { bye, over = session.Goodbye(); return over })
	if bye.Kind != device.GoodbyeClean {
		t.Errorf("with the last link gone the session ended by %+v, want a clean goodbye", bye)
	}
}

func TestTwinAndMethodLinks(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	p := w.as(tokenFor("devices/dev1", ""))
	pair := func(x string) map[string]any {
		return map[string]any{"com.microsoft:channel-correlation-id": "twin:" + x}
	}
	s := p.sender("/devices/dev1/twin", &goamqp.SenderOptions{Properties: pair("1")})
	r := p.receiver("/devices/dev1/twin", &goamqp.ReceiverOptions{Properties: pair("1")})
	p.sender("/devices/dev1/methods/devicebound", nil)
	p.receiver("/devices/dev1/methods/devicebound", nil)
	err := s.Send(t.Context(), &goamqp.Message{
		Annotations: goamqp.Annotations{"operation": "GET"}, Properties: &goamqp.MessageProperties{CorrelationID: goamqp.UUID{1, 2, 3}}, Data: [][]byte{[]byte(" ")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Annotations["status"] != any(int32(501)) || m.Properties.CorrelationID != any(goamqp.UUID{1, 2, 3}) {
		t.Errorf("status %v, correlation-id %v; want an int 501 and the request's uuid", m.Annotations["status"], m.Properties.CorrelationID)
	}
}

// TestGoodbyes: how a connection ends is how its sessions do.
func TestGoodbyes(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	p := w.as(tokenFor("", "device"))
	p.sender("/devices/a/messages/events", nil)
	p.sender("/devices/b/messages/events", nil)
	if err := p.Close(); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for i := range 2 {
		s := w.core.Session(t.Context(), i)
		var bye device.Goodbye
		s.Await(t.Context(), func() (over bool) { bye, over = s.Goodbye(); return over })
		if bye.Kind != device.GoodbyeClean {
			t.Errorf("%s: %+v, want a clean goodbye", s.Hello.Identity, bye)
		}
	}
}
