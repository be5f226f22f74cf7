package amqp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/iot"
)

// eventHubs is the token of a reader as its SDK signs it: with the text of the key, for a
// URI.
func eventHubs() string {
	return iot.SignSAS("amqps://"+hubHost+"/hub/consumergroups/$default/partitions/0", "service", []byte(iot.FormatKey(someKey)), time.Now().Add(time.Hour))
}

const partition0 = "hub/ConsumerGroups/$Default/Partitions/0"

// from makes the filter of a receiver.
func from(expression string) *goamqp.ReceiverOptions {
	return &goamqp.ReceiverOptions{Filters: []goamqp.LinkFilter{goamqp.NewLinkFilter(filterKey, 0x468C00000004, expression)}, Credit: 100}
}

// take receives n events and gives their bodies.
func take(t *testing.T, r *goamqp.Receiver, n int) (all []string) {
	t.Helper()
	for range n {
		m, err := r.Receive(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.AcceptMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(m.GetData()))
	}
	return all
}

func TestReceiversBeginWhereTheySay(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	for i := range 5 {
		w.events.add(0, fmt.Sprint(i))
	}
	p := w.as(eventHubs())
	for expression, want := range map[string][]string{
		"amqp.annotation.x-opt-offset > '-1'":             {"0", "1", "2", "3", "4"},
		"amqp.annotation.x-opt-offset > '200'":            {"3", "4"},
		"amqp.annotation.x-opt-sequence-number >= '3'":    {"3", "4"},
		"amqp.annotation.x-opt-enqueued-time > '1000003'": {"4"},
	} {
		r := p.receiver(partition0, from(expression))
		if diff := cmp.Diff(want, take(t, r, len(want))); diff != "" {
			t.Errorf("%s: %s", expression, diff)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	latest := p.receiver(partition0, from("amqp.annotation.x-opt-offset > '@latest'"))
	w.events.add(0, "new")
	if got := take(t, latest, 1); got[0] != "new" {
		t.Errorf("from the end: %v, want what came after", got)
	}
	if _, err := p.session.NewReceiver(t.Context(), partition0, from("nonsense")); condition(err) != "com.microsoft:argument-error" {
		t.Errorf("nonsense for a filter: %v", err)
	}
}

func TestEventAsReadersKnowIt(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	w.events.add(0, "body")
	m, err := w.as(tokenFor("", "service")).receiver(partition0, nil).Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := goamqp.Annotations{
		"x-opt-sequence-number": int64(0), "x-opt-offset": "0", "x-opt-enqueued-time": time.UnixMilli(1_000_000).UTC(), "x-opt-partition-key": "dev1",
		"iothub-enqueuedtime": time.UnixMilli(1_000_000).UTC(), "iothub-connection-device-id": "dev1", "iothub-message-source": "Telemetry",
		"iothub-connection-auth-generation-id": "0", "iothub-connection-auth-method": iot.Stamp{}.AuthMethod(),
	}
	if diff := cmp.Diff(want, m.Annotations); diff != "" {
		t.Error(diff)
	}
}

// TestSlowReaderCostsOthersNothing: a receiver without credit does not hold up another.
func TestSlowReaderCostsOthersNothing(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	p := w.as(tokenFor("", "service"))
	slow := p.receiver(partition0, &goamqp.ReceiverOptions{Credit: -1})
	r := p.receiver(partition0, &goamqp.ReceiverOptions{Credit: 50})
	const n = 2000
	for i := range n {
		w.events.add(0, fmt.Sprint(i))
	}
	got := take(t, r, n)
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("event %d is %q", i, body)
		}
	}
	if err := slow.IssueCredit(3); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0", "1", "2"}, take(t, slow, 3)); diff != "" {
		t.Error(diff)
	}
}

func TestEpochs(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	p := w.as(tokenFor("", "service"))
	epoch := func(n int64) *goamqp.ReceiverOptions {
		return &goamqp.ReceiverOptions{Properties: map[string]any{"com.microsoft:epoch": n, "com.microsoft:receiver-name": fmt.Sprint("r", n)}}
	}
	ended := func(what string, r *goamqp.Receiver) {
		t.Helper()
		if _, err := r.Receive(t.Context(), nil); condition(err) != "amqp:link:stolen" {
			t.Errorf("%s: %v, want amqp:link:stolen", what, err)
		}
	}
	refused := func(what, want string, opts *goamqp.ReceiverOptions) {
		t.Helper()
		if _, err := p.session.NewReceiver(t.Context(), partition0, opts); condition(err) != want {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	var plain []*goamqp.Receiver
	for range maxReceivers {
		plain = append(plain, p.receiver(partition0, nil))
	}
	refused("one too many", "amqp:resource-limit-exceeded", nil)
	first := p.receiver(partition0, epoch(1))
	for _, r := range plain {
		ended("a receiver without an epoch, when one with came", r)
	}
	refused("without an epoch beside one with", "amqp:link:stolen", nil)
	second := p.receiver(partition0, epoch(2))
	ended("a lower epoch", first)
	refused("a lower epoch", "amqp:link:stolen", epoch(1))
	third := p.receiver(partition0, epoch(2))
	ended("the same epoch", second)
	p.receiver("hub/ConsumerGroups/g1/Partitions/0", nil) // another group
	p.receiver("hub/ConsumerGroups/$Default/Partitions/1", nil)
	if err := third.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		if r, err := p.session.NewReceiver(t.Context(), partition0, nil); err == nil {
			_ = r.Close(t.Context())
			break
		} else if condition(err) != "amqp:link:stolen" {
			t.Fatal(err)
		}
	}
}

func TestManagement(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	w.events.add(1, "x")
	w.events.add(1, "y")
	p := w.as(tokenFor("", "service"))
	for _, address := range []string{"$management", "hub/$management", "amqps://" + hubHost + ":5671/hub/$management"} {
		s := p.sender(address, nil)
		r := p.receiver(address, &goamqp.ReceiverOptions{TargetAddress: "answers"})
		ask := func(properties map[string]any) *goamqp.Message {
			t.Helper()
			replyTo := "answers"
			m := &goamqp.Message{ApplicationProperties: properties, Properties: &goamqp.MessageProperties{MessageID: uint64(7), ReplyTo: &replyTo}}
			if err := s.Send(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
			answer, err := r.Receive(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Properties.CorrelationID != any(uint64(7)) {
				t.Errorf("correlation-id %v, want a ulong 7", answer.Properties.CorrelationID)
			}
			return answer
		}
		hub := ask(map[string]any{"operation": "READ", "type": "com.microsoft:eventhub", "name": "hub"})
		want := map[string]any{
			"name": "hub", "type": "com.microsoft:eventhub", "created_at": time.UnixMilli(1000).UTC(), "partition_count": int32(2),
			"partition_ids": []string{"0", "1"}, "georeplication_factor": int32(1),
		}
		if diff := cmp.Diff(any(want), hub.Value); diff != "" {
			t.Error(diff)
		}
		partition := ask(map[string]any{"operation": "READ", "type": "com.microsoft:partition", "name": "hub", "partition": "1"})
		want = map[string]any{
			"name": "hub", "type": "com.microsoft:partition", "partition": "1", "begin_sequence_number": int64(0),
			"last_enqueued_sequence_number": int64(1), "last_enqueued_offset": "100", "last_enqueued_time_utc": time.UnixMilli(1_000_001).UTC(),
			"is_partition_empty": false,
		}
		if diff := cmp.Diff(any(want), partition.Value); diff != "" {
			t.Error(diff)
		}
		for name, c := range map[string]struct {
			properties map[string]any
			status     int32
		}{
			"another hub":         {map[string]any{"operation": "READ", "type": "com.microsoft:eventhub", "name": "other"}, 404},
			"another partition":   {map[string]any{"operation": "READ", "type": "com.microsoft:partition", "name": "hub", "partition": "9"}, 400},
			"another type":        {map[string]any{"operation": "READ", "type": "x"}, 400},
			"another operation":   {map[string]any{"operation": "WRITE"}, 400},
			"no operation at all": {nil, 400},
		} {
			if got := ask(c.properties).ApplicationProperties["status-code"]; got != any(c.status) {
				t.Errorf("%s: status %v, want %d", name, got, c.status)
			}
		}
		_ = s.Close(t.Context())
		_ = r.Close(t.Context())
	}
}

// TestManagementToken asks as azure-event-hubs-go does: it attaches before it has put a token,
// and sends one with each request.
func TestManagementToken(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	s, r := (*goamqp.Sender)(nil), (*goamqp.Receiver)(nil)
	attach := func(p *peer) {
		s, r = p.sender("$management", nil), p.receiver("$management", &goamqp.ReceiverOptions{TargetAddress: "answers"})
	}
	ask := func(name, token string, want int32) {
		t.Helper()
		replyTo := "answers"
		m := &goamqp.Message{
			Properties:            &goamqp.MessageProperties{MessageID: name, ReplyTo: &replyTo},
			ApplicationProperties: map[string]any{"operation": "READ", "type": "com.microsoft:eventhub", "name": "hub"},
		}
		if token != "" {
			m.ApplicationProperties["security_token"] = token
		}
		if err := s.Send(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		answer, err := r.Receive(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.ApplicationProperties["status-code"]; got != any(want) || (answer.Value != nil) != (want == 200) {
			t.Errorf("%s: status %v with %v, want %d", name, got, answer.Value, want)
		}
	}
	attach(w.dial(nil))
	ask("no token", "", 401)
	ask("nonsense", "nonsense", 401)
	ask("a device's token", tokenFor("devices/dev1", ""), 401)
	ask("a policy that may not", tokenFor("", "device"), 401)
	ask("another event hub's token", tokenFor("other", "service"), 401)
	ask("a token", tokenFor("hub", "service"), 200)
	ask("no token after a good one", "", 200)
	attach(w.as(tokenFor("hub/ConsumerGroups/$Default/Partitions/0", "service")))
	ask("with a partition's claim", "", 401)
	ask("a token beside a partition's claim", tokenFor("hub", "service"), 200)
}

// TestRedirectByTheLinksOwnToken logs in as createFromIotHubConnectionString of Node's
// event-hubs does, with a token for the link alone.
func TestRedirectByTheLinksOwnToken(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	p := w.as(tokenFor("messages/events/$management", "service"))
	for address, want := range map[string]string{
		"/messages/events/$management": "amqp:link:redirect", "/messages/events/ConsumerGroups/g1/Partitions/0": "amqp:unauthorized-access",
	} {
		if _, err := p.session.NewReceiver(t.Context(), address, nil); condition(err) != want {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
}

func TestRedirect(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	p := w.as(tokenFor("", "service"))
	for address, rest := range map[string]string{
		"/messages/events/$management": "/$management", "messages/events/": "/", "amqps://" + hubHost + "/messages/events/$management": "/$management",
		"/messages/events/ConsumerGroups/$Default/Partitions/1": "/ConsumerGroups/$Default/Partitions/1",
	} {
		_, err := p.session.NewReceiver(t.Context(), address, nil)
		if condition(err) != "amqp:link:redirect" {
			t.Errorf("%s: %v, want amqp:link:redirect", address, err)
			continue
		}
		var info map[string]any
		if link, ok := errors.AsType[*goamqp.LinkError](err); ok {
			info = link.RemoteErr.Info
		} else if own, ok := errors.AsType[*goamqp.Error](err); ok {
			info = own.Info
		}
		want := map[string]any{
			"hostname": hubHost, "network-host": hubHost, "port": int32(5671), "address": "amqps://" + hubHost + ":5671/hub" + rest,
		}
		if diff := cmp.Diff(want, info); diff != "" {
			t.Error(diff)
		}
	}
}

// TestReaderOfMuchMoreThanATurn reads events that are together much larger than what one
// turn may write, with credit for all of them: the rest follows by itself.
func TestReaderOfMuchMoreThanATurn(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	const n = 20
	body := strings.Repeat("x", 200_000)
	for range n {
		w.events.add(0, body)
	}
	p := w.as(tokenFor("", "service"))
	r := p.receiver(partition0, &goamqp.ReceiverOptions{Credit: n})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range n {
		m, err := r.Receive(ctx, nil)
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		if got := len(m.GetData()); got != len(body) {
			t.Fatalf("event %d has %d bytes, want %d", i, got, len(body))
		}
	}
}

// TestReadersThatAreLost leave their places to the next, though they never said a word: five of
// them would be all that a consumer group takes, one with an epoch would keep all others out,
// and what a reader of feedback held would wait for its lock to end.
func TestReadersThatAreLost(t *testing.T) {
	w := newWorld(t, hubtest.Script{})
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := goamqp.NewConn(t.Context(), nc, &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous(), HostName: hubHost})
	if err != nil {
		t.Fatal(err)
	}
	p := w.peerOf(conn)
	if status := p.login(tokenFor("", "service")); status != 200 {
		t.Fatalf("put-token: status %d", status)
	}
	p.receiver(partition0, from("amqp.annotation.x-opt-offset > '-1'"))
	p.receiver("/messages/servicebound/feedback", nil)
	if got := w.readers(); got != 1 {
		t.Fatalf("%d readers, want 1", got)
	}
	_ = nc.Close()
	w.until("both readers have left", func() bool { return w.readers() == 0 && w.queue.closings() == 1 })
}
