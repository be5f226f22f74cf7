package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// received is a message as the device SDK gave it to its application.
type received struct {
	Body, MessageID, CorrelationID, UserID, To, ContentType, ContentEncoding, Ack string
	Expiry                                                                        time.Time
	Properties                                                                    [][]string
	Deliveries                                                                    int // earlier ones; over AMQP only
}

// nextReceived waits for a message of the device SDK.
func nextReceived(t *testing.T, p *puppet) received {
	t.Helper()
	var m received
	if err := json.Unmarshal(p.event("message"), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestSDKReceivesMessages sends messages to a device that listens with the unmodified
// SDK: one that waited, one that comes at once, with all that belongs to them; what the
// SDK has completed is gone.
func TestSDKReceivesMessages(t *testing.T) {
	for _, transport := range []string{overTCP, overWS, overAMQP, overAMQPWS} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			h := rig.Start(t, rig.Options{})
			d := h.AddDevice("dev1")
			h.SendTo(d, "waited", "iothub-messageid", "m-1")
			if got := h.Pending(d); got != 1 {
				t.Errorf("cloudToDeviceMessageCount is %d, want 1", got)
			}
			p := openDevice(t, h, d.String(), transport)
			p.must("onMessage", nil, nil)
			expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
			want := received{Body: "waited", MessageID: "m-1", To: "/devices/dev1/messages/deviceBound", Properties: [][]string{}}
			whole := received{
				Body: `{"on":true}`, MessageID: "m 2/&=", CorrelationID: "c+1", UserID: "u1", To: want.To,
				ContentType: "application/json", ContentEncoding: "utf-8", Expiry: expiry,
				Properties: [][]string{{"iothub-ack", "full"}, {"a", "1"}, {"b", "50% + x"}}, // so this SDK shows it
			}
			if isAMQP(transport) { // it does not show the user, and knows iothub-ack
				want.To = "/devices/dev1/messages/devicebound"
				whole.To, whole.UserID, whole.Ack, whole.Properties = want.To, "", "full", whole.Properties[1:]
			}
			if diff := cmp.Diff(want, nextReceived(t, p)); diff != "" {
				t.Errorf("the first message (-want +got):\n%s", diff)
			}
			h.SendTo(d, whole.Body, "iothub-messageid", whole.MessageID, "iothub-correlationid", "c+1", "iothub-userid", "u1",
				"iothub-contenttype", "application/json", "iothub-contentencoding", "utf-8", "iothub-ack", "full",
				"iothub-expiry", expiry.Format(time.RFC3339), "iothub-app-b", "50% + x", "iothub-app-a", "1")
			if diff := cmp.Diff(whole, nextReceived(t, p)); diff != "" {
				t.Errorf("the second message (-want +got):\n%s", diff)
			}
			rig.Until(t, "both messages are completed", func() bool { return h.Pending(d) == 0 })
			if got := h.Metric("berth_c2d_messages_completed_total"); got != 2 {
				t.Errorf("%v messages are counted as completed, want 2", got)
			}
		})
	}
}

// TestAMQPSDKSettlesMessages has the device SDK do over AMQP what it cannot do over MQTT:
// reject a message, and abandon one, which comes again with its deliveries counted.
func TestAMQPSDKSettlesMessages(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	for _, transport := range []string{overAMQP, overAMQPWS} {
		t.Run(transport, func(t *testing.T) {
			d := h.AddDevice("dev-" + strings.ToLower(transport))
			count := func(outcome string) float64 { return h.Metric("berth_c2d_messages_" + outcome + "_total") }
			completed, rejected, abandoned := count("completed"), count("rejected"), count("abandoned")
			p := openDevice(t, h, d.String(), transport)
			p.must("onMessage", args{"outcomes": []string{"complete", "reject", "abandon", "abandon", "complete"}}, nil)
			for _, want := range []struct {
				body       string // "" is the one before, again
				deliveries int
				kind       string
			}{
				{"welcome", 0, "MessageCompleted"},
				{"bad", 0, "MessageRejected"},
				{"not now", 0, "MessageAbandoned"},
				{"", 1, "MessageAbandoned"},
				{"", 2, "MessageCompleted"},
			} {
				body := "not now"
				if want.body != "" {
					body = want.body
					h.SendTo(d, body)
				}
				m := nextReceived(t, p)
				var settled struct{ Kind string }
				if err := json.Unmarshal(p.event("settled"), &settled); err != nil {
					t.Fatal(err)
				}
				if m.Body != body || m.Deliveries != want.deliveries || settled.Kind != want.kind {
					t.Errorf("received %q after %d deliveries and settled it as %s, want %+v", m.Body, m.Deliveries, settled.Kind, want)
				}
			}
			rig.Until(t, "no message is left", func() bool { return h.Pending(d) == 0 })
			got := [3]float64{count("completed") - completed, count("rejected") - rejected, count("abandoned") - abandoned}
			if got != [3]float64{2, 1, 2} {
				t.Errorf("completed, rejected and abandoned: %v, want 2, 1, 2", got)
			}
			if !p.quiet("message") {
				t.Errorf("a message came again that was settled: %s", p.event("message"))
			}
		})
	}
}

// listener is a paho client that acknowledges by hand.
type listener struct {
	*pahoClient

	messages chan paho.Message
}

func newListener(t *testing.T, h *rig.Hub, d rig.Identity, clean bool) *listener {
	t.Helper()
	hello := d.Hello()
	hello.Clean = clean
	l := &listener{messages: make(chan paho.Message, 64)}
	l.pahoClient = newPaho(t, h, hello)
	o := l.OptionsReader()
	options := paho.NewClientOptions().AddBroker("ssl://" + h.Run.MQTT).SetTLSConfig(h.TLS()).
		SetClientID(o.ClientID()).SetUsername(o.Username()).SetPassword(o.Password()).SetCleanSession(clean).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectTimeout(rig.Within).SetAutoAckDisabled(true).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { l.messages <- m })
	options.OnConnectionLost = func(_ paho.Client, err error) { l.lost <- err }
	l.Client = paho.NewClient(options)
	t.Cleanup(func() { l.Disconnect(0) })
	return l
}

func (l *listener) subscribe(filter string, qos byte) {
	l.t.Helper()
	if err := l.wait(l.Subscribe(filter, qos, nil), "SUBSCRIBE"); err != nil {
		l.t.Fatal(err)
	}
}

// next waits for a message.
func (l *listener) next() paho.Message {
	l.t.Helper()
	return rig.Receive(l.t, l.messages, "a message")
}

// bodies takes n messages and joins their bodies.
func (l *listener) bodies(n int) string {
	l.t.Helper()
	var all []string
	for range n {
		all = append(all, string(l.next().Payload()))
	}
	return strings.Join(all, " ")
}

// TestUnacknowledgedMessagesComeAgain: what a client did not acknowledge is there for
// its next connection, first and with DUP, and a clean session gets it too, as new.
func TestUnacknowledgedMessagesComeAgain(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	for _, body := range []string{"a", "b", "c"} {
		h.SendTo(d, body)
	}
	first := newListener(t, h, d, false)
	first.enter()
	first.subscribe(d.DeviceboundTopic(), 1)
	a, b, c := first.next(), first.next(), first.next()
	if got := fmt.Sprintf("%s %s %s", a.Payload(), b.Payload(), c.Payload()); got != "a b c" || a.Duplicate() || a.Qos() != 1 {
		t.Fatalf("received %s, dup %t, qos %d", got, a.Duplicate(), a.Qos())
	}
	b.Ack()
	rig.Until(t, "the message is completed", func() bool { return h.Pending(d) == 2 })
	first.Disconnect(0)

	h.SendTo(d, "d")
	second := newListener(t, h, d, false)
	if !second.enter() {
		t.Fatal("the session is not there any more")
	}
	for _, want := range []struct {
		body string
		id   uint16
		dup  bool
	}{{"a", a.MessageID(), true}, {"c", c.MessageID(), true}, {"d", 0, false}} {
		m := second.next()
		if string(m.Payload()) != want.body || m.Duplicate() != want.dup || want.id != 0 && m.MessageID() != want.id {
			t.Errorf("received %s as %d, dup %t; want %+v", m.Payload(), m.MessageID(), m.Duplicate(), want)
		}
	}

	third := newListener(t, h, d, true) // displaces the second
	if third.enter() {
		t.Error("a clean session goes on with an old one")
	}
	third.subscribe("#", 0)
	if got := third.bodies(3); got != "a c d" {
		t.Errorf("the clean session received %q, want a c d", got)
	}
	rig.Until(t, "messages sent at QoS 0 are done with", func() bool { return h.Pending(d) == 0 })
}

// TestTakeoverReleasesMessages: the loser's messages are the winner's at once, and both
// the log and the explanation say how many.
func TestTakeoverReleasesMessages(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	for _, body := range []string{"a", "b"} {
		h.SendTo(d, body)
	}
	old := newListener(t, h, d, false)
	old.enter()
	old.subscribe(d.DeviceboundTopic(), 1)
	if got := old.bodies(2); got != "a b" {
		t.Fatalf("received %q", got)
	}
	young := newListener(t, h, d, false)
	young.enter()
	if got := young.bodies(2); got != "a b" {
		t.Errorf("the newcomer received %q", got)
	}
	r := h.Log("dev1", "deviceDisconnect", "400027")
	facts, err := r.Facts()
	if err != nil {
		t.Fatal(err)
	}
	if ours, _ := facts["berth"].(map[string]any); ours["released"] != 2.0 {
		t.Errorf("the record says %v, want released 2", facts["berth"])
	}
	rig.Until(t, "the explanation counts what was released", func() bool { return explained(t, h, d).Lost.C2DReleased == 2 })
}

// TestMessageRefusals: each refusal of a message has its code.
func TestMessageRefusals(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	disabled := h.Put(rig.Identity{DeviceID: "dev2", Status: "disabled", Authentication: rig.Authentication{Type: "sas"}}, "")
	path := func(id string) string { return "/devices/" + id + "/messages/deviceBound" }
	refused := func(code string, status int, path, body string, header ...string) {
		t.Helper()
		if got := h.Request(http.MethodPost, path, body, header...).Want(t, status).Header.Get("iothub-errorcode"); got != code {
			t.Errorf("%s: %s, want %s", path, got, code)
		}
	}
	refused("DeviceNotFound", 404, path("nobody"), "x")
	refused("DeviceNotFound", 404, path(disabled.DeviceID), "x")
	refused("MessageTooLarge", 413, path("dev1"), strings.Repeat("x", 64*1024+1))
	h.Request(http.MethodPost, path("dev1"), "x", "iothub-expiry", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)).Want(t, 204) // and expires
	refused("InvalidMessageExpiryTime", 403, path("dev1"), "x", "iothub-expiry", time.Now().Add(72*time.Hour).UTC().Format(time.RFC3339))
	refused("ArgumentInvalid", 400, path("dev1"), "x", "iothub-ack", "perhaps")
	for range 50 {
		h.SendTo(d, "x")
	}
	refused("DeviceMaximumQueueDepthExceeded", 403, path("dev1"), "x")
	for _, want := range []int{50, 0} {
		got := string(h.Request(http.MethodDelete, "/devices/dev1/commands", "").Want(t, 200).Body)
		if body := fmt.Sprintf(`{"deviceId":"dev1","moduleId":null,"totalMessagesPurged":%d}`, want); got != body {
			t.Errorf("the purge says %s, want %s", got, body)
		}
	}
	if got := h.Pending(d); got != 0 {
		t.Errorf("%d messages are left", got)
	}
}

// TestModuleReceivesMessages: a module has a queue of its own.
func TestModuleReceivesMessages(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	h.AddDevice("dev1")
	m := h.AddModule("dev1", "mod1")
	h.SendTo(m, "for the module")
	l := newListener(t, h, m, false)
	l.enter()
	l.subscribe(m.DeviceboundTopic(), 1) // as Java's modules do
	got := l.next()
	if want := "devices/dev1/modules/mod1/messages/devicebound/"; !strings.HasPrefix(got.Topic(), want) || string(got.Payload()) != "for the module" {
		t.Errorf("received %s on %s, want it below %s", got.Payload(), got.Topic(), want)
	}
	got.Ack()
	rig.Until(t, "the message is completed", func() bool { return h.Pending(m) == 0 })
}

// TestExpiredMessageIsLogged: the log has the record of the category C2DCommands.
func TestExpiredMessageIsLogged(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	h.SendTo(d, "hello", "iothub-messageid", "m1", "iothub-ack", "negative",
		"iothub-expiry", time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano))
	r := h.Log("dev1", "messageExpired", "400024")
	facts, err := r.Facts()
	if err != nil {
		t.Fatal(err)
	}
	if r.Category != "C2DCommands" || facts["messageId"] != "m1" || facts["deliveryAcknowledgement"] != "NegativeOnly" {
		t.Errorf("category %s, properties %s", r.Category, r.Properties)
	}
	if got := h.Pending(d); got != 0 {
		t.Errorf("%d messages are left", got)
	}
}
