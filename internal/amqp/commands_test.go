package amqp

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
)

func TestBackendSends(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	s := w.as(tokenFor("", "service")).sender("/messages/devicebound", nil)
	to, contentType, encoding := "/devices/dev%231/messages/deviceBound", "text/plain", "utf-8"
	expiry := time.UnixMilli(2_000_000_000_000).UTC()
	m := &goamqp.Message{
		Data: [][]byte{[]byte("hel"), []byte("lo")},
		Properties: &goamqp.MessageProperties{
			To: &to, MessageID: goamqp.UUID{0xab}, CorrelationID: uint64(5), UserID: []byte("me"), ContentType: &contentType, ContentEncoding: &encoding,
			AbsoluteExpiryTime: &expiry,
		},
		ApplicationProperties: map[string]any{"iothub-ack": "full", "n": int32(5)},
	}
	if err := s.Send(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	want := iot.CloudMessage{
		MessageID: "ab000000-0000-0000-0000-000000000000", CorrelationID: "5", UserID: "me", To: to, ContentType: contentType, ContentEncoding: encoding,
		Expiry: expiry, Ack: iot.AckFull, Application: iot.Properties{{Name: "n", Value: "5"}}, Body: []byte("hello"),
	}
	if diff := cmp.Diff([]iot.CloudMessage{want}, w.sent.sent); diff != "" {
		t.Error(diff)
	}
	if w.sent.to[0] != (iot.Identity{Device: "dev#1"}) {
		t.Errorf("sent to %v", w.sent.to)
	}
	module := "/devices/d/modules/m/messages/devicebound"
	if err := s.Send(t.Context(), &goamqp.Message{Value: "text", Properties: &goamqp.MessageProperties{To: &module}}, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.sent.sent[1]; string(got.Body) != "text" || w.sent.to[1].Module != "m" {
		t.Errorf("sent %+v to %v", got, w.sent.to[1])
	}
}

// TestZeroTimesAreNone: libraries send the zero time of their language for none.
func TestZeroTimesAreNone(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	s := w.as(tokenFor("", "service")).sender("/messages/devicebound", nil)
	to := "/devices/dev1/messages/devicebound"
	for _, ms := range []int64{
		-6_795_364_578_871,  // Go's, with go-amqp 0.17
		-62_135_596_800_000, // year 1
	} {
		zero := time.UnixMilli(ms)
		m := &goamqp.Message{Data: [][]byte{nil}, Properties: &goamqp.MessageProperties{To: &to, AbsoluteExpiryTime: &zero, CreationTime: &zero}}
		if err := s.Send(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		if got := w.sent.sent[len(w.sent.sent)-1]; !got.Expiry.IsZero() || !got.Created.IsZero() {
			t.Errorf("%d: expires %v, created %v, want neither", ms, got.Expiry, got.Created)
		}
	}
}

// TestCommandsOfOneDeviceKeepTheirOrder: the first of them is not taken before a later one for
// another device is.
func TestCommandsOfOneDeviceKeepTheirOrder(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	other := make(chan struct{})
	w.sent.hold = func(id iot.Identity, m *iot.CloudMessage) {
		switch {
		case id.Device == "other":
			close(other)
		case m.MessageID == "0":
			<-other
		}
	}
	s := w.as(tokenFor("", "service")).sender("/messages/devicebound", nil)
	var receipts []goamqp.SendReceipt
	send := func(name string, id any) {
		to := "/devices/" + name + "/messages/devicebound"
		r, err := s.SendWithReceipt(t.Context(), &goamqp.Message{Data: [][]byte{nil}, Properties: &goamqp.MessageProperties{To: &to, MessageID: id}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	var want []string
	for i := range 20 {
		send("one", strconv.Itoa(i))
		want = append(want, strconv.Itoa(i))
	}
	send("other", "x")
	for _, r := range receipts {
		if state, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		} else if _, ok := state.(*goamqp.StateAccepted); !ok {
			t.Errorf("got %v", state)
		}
	}
	var got []string
	for i, m := range w.sent.sent {
		if w.sent.to[i].Device == "one" {
			got = append(got, m.MessageID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCommandsThatAreRejected(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	s := w.as(tokenFor("", "service")).sender("/messages/devicebound", nil)
	to := func(address string) *goamqp.MessageProperties { return &goamqp.MessageProperties{To: &address} }
	dev1 := "/devices/dev1/messages/devicebound"
	for name, c := range map[string]struct {
		m    *goamqp.Message
		want string
	}{
		"unknown device": {&goamqp.Message{Properties: to("/devices/unknown/messages/devicebound")}, "amqp:not-found"},
		"full queue":     {&goamqp.Message{Properties: to("/devices/full/messages/devicebound")}, "amqp:resource-limit-exceeded"},
		"too large":      {&goamqp.Message{Properties: to(dev1), Data: [][]byte{bytes.Repeat([]byte("x"), iot.MaxCloudMessage+1)}}, "amqp:link:message-size-exceeded"},
		"no address":     {&goamqp.Message{Data: [][]byte{nil}}, "com.microsoft:argument-error"},
		"bad address":    {&goamqp.Message{Properties: to("/devices/dev1/twin")}, "com.microsoft:argument-error"},
		"bad ack":        {&goamqp.Message{Properties: to(dev1), ApplicationProperties: map[string]any{"iothub-ack": "perhaps"}}, "com.microsoft:argument-error"},
		"bad body":       {&goamqp.Message{Properties: to(dev1), Value: []any{int32(1)}}, "com.microsoft:argument-error"},
	} {
		if err := s.Send(t.Context(), c.m, nil); condition(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if err := s.Send(t.Context(), &goamqp.Message{Properties: to(dev1)}, nil); err != nil {
		t.Errorf("after the rejections: %v", err)
	}
}

func TestFeedbackLink(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	p := w.as(tokenFor("", "service"))
	r := p.receiver("/messages/serviceBound/feedback", nil)
	w.queue.add("[1]")
	m, err := r.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	enqueued, ok := m.Annotations["iothub-enqueuedtime"].(time.Time)
	if *m.Properties.ContentType != iot.FeedbackContentType || string(m.Properties.UserID) != "hub" || len(m.DeliveryTag) != 16 ||
		!ok || !enqueued.Equal(time.UnixMilli(5000)) || string(m.GetData()) != "[1]" {
		t.Errorf("got %s with %+v and %v", m.GetData(), m.Properties, m.Annotations)
	}
	if err := r.ReleaseMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if m, err = r.Receive(t.Context(), nil); err != nil { // given back, it comes again
		t.Fatal(err)
	}
	if err := r.AcceptMessage(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	if diff := cmp.Diff([]device.Outcome{device.Abandon, device.Complete}, w.queue.settled); diff != "" || w.queue.closed != 1 {
		t.Errorf("settled %s, closed %d times", diff, w.queue.closed)
	}
}

func TestFileNotificationLinkStays(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	r := w.as(tokenFor("", "service")).receiver("/messages/serviceBound/filenotifications", nil)
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
