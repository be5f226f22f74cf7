package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/event"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
)

// condition gives the condition of an AMQP error of the client's.
func condition(err error) string {
	var amqpErr *goamqp.Error
	if link, ok := errors.AsType[*goamqp.LinkError](err); ok {
		amqpErr = link.RemoteErr
	} else if own, ok := errors.AsType[*goamqp.Error](err); ok {
		amqpErr = own
	} else if conn, ok := errors.AsType[*goamqp.ConnError](err); ok {
		amqpErr = conn.RemoteErr
	}
	if amqpErr == nil {
		return fmt.Sprint(err)
	}
	return string(amqpErr.Condition)
}

// bodies gives what the log got of a session, with their properties parsed.
func bodies(t *testing.T, s *hubtest.Session) (all []string) {
	t.Helper()
	for _, raw := range s.Messages() {
		m, err := event.Parse(iot.Event{Raw: raw})
		if err != nil {
			t.Fatal(err)
		}
		text := string(m.Body)
		for _, p := range m.Application {
			text += " " + p.Name + "=" + p.Value
		}
		if id, ok := m.System.Get(iot.MessageID); ok {
			text = id + ": " + text
		}
		all = append(all, text)
	}
	return all
}

func TestDeviceSends(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	p := w.as(tokenFor("devices/dev1", ""))
	s := p.sender("/devices/dev1/messages/events", nil)
	if s.MaxMessageSize() < iot.MaxMessageSize {
		t.Errorf("max-message-size is %d", s.MaxMessageSize())
	}
	for _, m := range []*goamqp.Message{
		{Data: [][]byte{[]byte("one")}, Properties: &goamqp.MessageProperties{MessageID: "1"}, ApplicationProperties: map[string]any{"k": "v"}},
		{Data: [][]byte{[]byte("t"), []byte("wo")}},
		{Value: "three"},
		{Sequence: [][]any{{"four"}}},
		{ApplicationProperties: map[string]any{"five": int32(5)}},
	} {
		if err := s.Send(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
	}
	session := w.core.Session(t.Context(), 0)
	got := bodies(t, session)
	if !strings.Contains(got[3], "four") {
		t.Errorf("a sequence arrived as %q", got[3])
	}
	got[3] = "four"
	if diff := cmp.Diff([]string{"1: one k=v", "two", "three", "four", " five=5"}, got); diff != "" {
		t.Error(diff)
	}
	if hello := session.Hello; hello.Identity != (iot.Identity{Device: "dev1"}) || !hello.Clean || hello.Host != hubHost {
		t.Errorf("hello %+v", hello)
	}
}

func TestBatchIsUnpacked(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	s := w.as(tokenFor("devices/dev1", "")).sender("/devices/dev1/messages/events", nil)
	var data [][]byte
	for i := range 3 {
		b, err := (&goamqp.Message{Data: [][]byte{fmt.Append(nil, "m", i)}}).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, b)
	}
	if err := s.Send(t.Context(), &goamqp.Message{Format: formatBatch, Data: data}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"m0", "m1", "m2"}, bodies(t, w.core.Session(t.Context(), 0))); diff != "" {
		t.Error(diff)
	}
	err := s.Send(t.Context(), &goamqp.Message{Format: formatBatch, Data: [][]byte{[]byte("no message")}}, nil)
	if got := condition(err); got != "amqp:decode-error" {
		t.Errorf("a batch of what is no message: %v, want amqp:decode-error", err)
	}
	if err := s.Send(t.Context(), &goamqp.Message{Format: formatBatch, Data: data[:1]}, nil); err != nil {
		t.Errorf("after a rejected message: %v", err)
	}
}

func TestMessageThatIsTooLargeIsRejected(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	s := w.as(tokenFor("devices/dev1", "")).sender("/devices/dev1/messages/events", nil)
	err := s.Send(t.Context(), goamqp.NewMessage(make([]byte, iot.MaxMessageSize+1)), nil)
	if got := condition(err); got != "amqp:link:message-size-exceeded" {
		t.Errorf("got %v, want amqp:link:message-size-exceeded", err)
	}
	if err := s.Send(t.Context(), goamqp.NewMessage(make([]byte, iot.MaxMessageSize)), nil); err != nil {
		t.Errorf("the largest message: %v", err)
	}
}

func TestAcceptedOnlyWhenDurable(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	s := w.as(tokenFor("devices/dev1", "")).sender("/devices/dev1/messages/events", nil)
	const n = 20
	results := make(chan error, n)
	for range n {
		receipt, err := s.SendWithReceipt(t.Context(), goamqp.NewMessage([]byte("x")), nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := receipt.Wait(t.Context())
			results <- err
		}()
	}
	session := w.core.Session(t.Context(), 0)
	session.Await(t.Context(), func() bool { return len(session.Messages()) == n })
	select {
	case err := <-results:
		t.Fatalf("a message was accepted before it was durable (%v)", err)
	default:
	}
	session.Commit(n)
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// TestFullLogIsWaitedFor: what the log has no room for is kept, and nothing is lost or
// reordered when it has room again.
func TestFullLogIsWaitedFor(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	s := w.as(tokenFor("devices/dev1", "")).sender("/devices/dev1/messages/events", nil)
	if err := s.Send(t.Context(), goamqp.NewMessage([]byte("0")), nil); err != nil {
		t.Fatal(err)
	}
	session := w.core.Session(t.Context(), 0)
	session.Room(3)
	const n = 300
	done := make(chan error, 1)
	go func() {
		var last goamqp.SendReceipt
		for i := 1; i <= n; i++ {
			receipt, err := s.SendWithReceipt(t.Context(), goamqp.NewMessage(fmt.Append(nil, i)), nil)
			if err != nil {
				done <- err
				return
			}
			last = receipt
		}
		_, err := last.Wait(t.Context())
		done <- err
	}()
	session.Await(t.Context(), func() bool { return len(session.Messages()) == 4 })
	for open := 4; open < n; open += 7 {
		session.Room(7)
		session.Await(t.Context(), func() bool { return len(session.Messages()) >= min(open+7, n+1) })
	}
	session.Room(-1)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, got := range bodies(t, session) {
		if got != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
}

// TestInFlightOfADeviceIsBounded: a device that does not wait for acknowledgements, and
// settles what it sends, so that it uses up no credit, adds no more to a commit than one over
// MQTT; and all of it arrives in its order when the log catches up.
func TestInFlightOfADeviceIsBounded(t *testing.T) {
	batch := make([][]byte, 3*maxInFlight)
	for name, test := range map[string]struct {
		message goamqp.Message
		sent    int // messages
		taken   int // of them, before any is durable
	}{
		"large": {goamqp.Message{Data: [][]byte{make([]byte, 50_000)}}, 12, 3},
		"tiny":  {goamqp.Message{Data: [][]byte{nil}}, 2*maxInFlight + 7, maxInFlight},
		"batch": {goamqp.Message{Format: formatBatch, Data: batch}, len(batch), maxInFlight},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{})
			p := w.as(tokenFor("devices/dev1", ""))
			s := p.sender("/devices/dev1/messages/events", &goamqp.SenderOptions{SettlementMode: goamqp.SenderSettleModeSettled.Ptr()})
			session := w.core.Session(t.Context(), 0)
			sent := make(chan error, 1)
			go func() {
				var err error
				for i := 0; i < test.sent && err == nil; i++ {
					err = s.Send(t.Context(), &test.message, nil)
					if test.message.Format == formatBatch {
						break
					}
				}
				sent <- err
			}()
			got := func() int { return len(session.Messages()) }
			for durable := 0; durable < test.sent; {
				want := min(durable+test.taken, test.sent)
				session.Await(t.Context(), func() bool { return got() >= want })
				if n := got() - durable; n > test.taken {
					t.Fatalf("%d messages are in flight, want at most %d", n, test.taken)
				}
				session.Commit(want - durable)
				durable = want
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			if n := got(); n != test.sent {
				t.Errorf("%d messages arrived, want %d", n, test.sent)
			}
		})
	}
}

func TestAttachesThatAreRefused(t *testing.T) {
	w := newWorld(t, hubtest.Script{Authorize: func(_ context.Context, h device.Hello) error {
		if h.Identity.Device == "disabled" {
			return fault.New(fault.DeviceDisabled, "test", "the device is disabled")
		}
		return nil
	}})
	owner := w.as(tokenFor("", "iothubowner"))
	dev := w.as(tokenFor("devices/dev1", ""))
	backend := w.as(tokenFor("", "service"))
	for _, c := range []struct {
		name    string
		of      *peer
		sends   bool
		address string
		want    string
	}{
		{"nothing there", owner, true, "/nothing", "amqp:not-found"},
		{"streams", owner, false, "/devices/dev1/streams", "amqp:not-found"},
		{"another device", dev, true, "/devices/dev2/messages/events", "amqp:unauthorized-access"},
		{"a module of the device", dev, true, "/devices/dev1/modules/m/messages/events", "amqp:unauthorized-access"},
		{"a device by a back-end", backend, true, "/devices/dev1/messages/events", "amqp:unauthorized-access"},
		{"a disabled device", owner, true, "/devices/disabled/messages/events", fault.DeviceDisabled.Condition()},
		{"receiving where devices send", dev, false, "/devices/dev1/messages/events", "amqp:not-allowed"},
		{"sending where devices receive", dev, true, "/devices/dev1/messages/devicebound", "amqp:not-allowed"},
		{"commands by a device", dev, true, "/messages/devicebound", "amqp:unauthorized-access"},
		{"feedback by a device", dev, false, "/messages/servicebound/feedback", "amqp:unauthorized-access"},
		{"receiving commands", backend, false, "/messages/devicebound", "amqp:not-allowed"},
		{"sending feedback", backend, true, "/messages/servicebound/feedback", "amqp:not-allowed"},
		{"events by a device", dev, false, "hub/ConsumerGroups/$Default/Partitions/0", "amqp:unauthorized-access"},
		{"sending events", backend, true, "hub/ConsumerGroups/$Default/Partitions/0", "amqp:unauthorized-access"},
		{"another hub's events", backend, false, "other/ConsumerGroups/$Default/Partitions/0", "amqp:not-found"},
		{"another consumer group", backend, false, "hub/ConsumerGroups/other/Partitions/0", "amqp:not-found"},
		{"another partition", backend, false, "hub/ConsumerGroups/$Default/Partitions/2", "com.microsoft:argument-error"},
	} {
		var err error
		if c.sends {
			_, err = c.of.session.NewSender(t.Context(), c.address, nil)
		} else {
			_, err = c.of.session.NewReceiver(t.Context(), c.address, nil)
		}
		if got := condition(err); got != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if err := dev.sender("/devices/dev1/messages/events", nil).Close(t.Context()); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

// A connection carries 999 identities, and the one beyond is refused alone.
func TestIdentitiesOfOneConnection(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	owner := w.as(tokenFor("", "device"))
	address := func(i int) string { return fmt.Sprintf("/devices/d%d/messages/events", i) }
	for i := range maxIdentities {
		owner.sender(address(i), nil)
	}
	_, err := owner.session.NewSender(t.Context(), address(maxIdentities), nil)
	if got, want := condition(err), fault.ThrottleBacklogLimitExceeded.Condition(); got != want {
		t.Errorf("one too many: %v, want %s", err, want)
	}
	if err := owner.sender(address(0), nil).Close(t.Context()); err != nil { // another link of one that is there
		t.Errorf("after the refusal: %v", err)
	}
}

func TestNothingWithoutAToken(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	p := w.dial(nil)
	for _, token := range []string{"", "nonsense", tokenFor("devices/unknown1", ""), tokenFor("", "nobody"), iot.SignSAS(hubHost+"/devices/dev1", "", []byte("another"), time.Now().Add(time.Hour))} {
		if status := p.login(token); status != 401 {
			t.Errorf("status %d for %.20q, want 401", status, token)
		}
	}
	if _, err := p.session.NewSender(t.Context(), "/devices/dev1/messages/events", nil); condition(err) != "amqp:unauthorized-access" {
		t.Errorf("got %v, want amqp:unauthorized-access", err)
	}
}

func TestPlainLogins(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	key := iot.FormatKey(someKey)
	for name, c := range map[string]struct {
		user, password, sends string
	}{
		"C service":     {"service@sas.root.hub", tokenFor("", "service"), "/messages/devicebound"},
		"device sample": {"dev1@sas.hub", tokenFor("devices/dev1", ""), "/devices/dev1/messages/events"},
		"raw key":       {"service", key, "/messages/devicebound"},
	} {
		p := w.dial(&goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain(c.user, c.password)})
		p.sender(c.sends, nil)
		if name != "device sample" {
			continue
		}
		if _, err := p.session.NewSender(t.Context(), "/messages/devicebound", nil); condition(err) != "amqp:unauthorized-access" {
			t.Errorf("%s: got %v, want amqp:unauthorized-access", name, err)
		}
	}
	for user, password := range map[string]string{"service": iot.FormatKey([]byte("another key of 32 bytes, or some")), "service@sas.root.hub": "no token", "nobody": key} {
		_, err := goamqp.Dial(t.Context(), "amqp://"+w.addr, &goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain(user, password), HostName: hubHost})
		if err == nil {
			t.Errorf("%s got in", user)
		}
	}
}

func TestDisplacedIdentityAlone(t *testing.T) {
	w := newWorld(t, hubtest.Script{Instant: true})
	p := w.as(tokenFor("", "device"))
	senders := map[string]*goamqp.Sender{}
	for i := range 10 {
		id := fmt.Sprint("dev", i)
		senders[id] = p.sender("/devices/"+id+"/messages/events", nil)
	}
	newcomer := w.as(tokenFor("devices/dev3", ""))
	newcomer.sender("/devices/dev3/messages/events", nil)
	for id, s := range senders {
		err := s.Send(t.Context(), goamqp.NewMessage([]byte("x")), nil)
		if id == "dev3" {
			if condition(err) != "amqp:internal-error" || !strings.Contains(fmt.Sprint(err), displacedText) {
				t.Errorf("the displaced one: %v, want amqp:internal-error %q", err, displacedText)
			}
		} else if err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
