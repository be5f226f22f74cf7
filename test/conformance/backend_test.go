package conformance

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/test/rig"
)

// openBackend makes a client of the service SDK (azure-iothub) and connects it.
func openBackend(t *testing.T, h *rig.Hub, policy, transport string) *puppet {
	t.Helper()
	p := newPuppet(t, h, "backend")
	p.must("open", args{"connection": h.PolicyString(policy), "transport": transport}, nil)
	return p
}

// command sends a message to a device and waits until the SDK says that the hub has it.
func command(t *testing.T, p *puppet, to rig.Identity, message args) {
	t.Helper()
	var sent struct{ Kind string }
	p.must("send", args{"to": to.DeviceID, "message": message}, &sent)
	if sent.Kind != "MessageEnqueued" {
		t.Errorf("send resolved with %q, want MessageEnqueued", sent.Kind)
	}
}

// nextFeedback waits for a feedback message of one record.
func nextFeedback(t *testing.T, p *puppet) iot.FeedbackRecord {
	t.Helper()
	var m struct {
		Records     []iot.FeedbackRecord
		ContentType string
	}
	if err := json.Unmarshal(p.event("feedback"), &m); err != nil {
		t.Fatal(err)
	}
	if m.ContentType != iot.FeedbackContentType || len(m.Records) != 1 {
		t.Fatalf("feedback of type %q with %d records, want 1", m.ContentType, len(m.Records))
	}
	return m.Records[0]
}

// backends are the transports of azure-iothub.
func backends() []string { return []string{overAMQP, overAMQPWS} }

// TestServiceSDKSends has the service SDK, with nothing but the hub's connection string,
// send messages to a device of the device SDK, hear what became of them, and wait for file
// notifications.
func TestServiceSDKSends(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	for _, transport := range backends() {
		t.Run(transport, func(t *testing.T) {
			d := h.AddDevice("dev-" + strings.ToLower(transport))
			p := openDevice(t, h, d.String(), transport)
			p.must("onMessage", args{"outcomes": []string{"complete", "reject"}}, nil)
			b := openBackend(t, h, "service", transport)
			b.must("files", nil, nil)
			b.must("feedback", args{"outcomes": []string{"abandon"}}, nil)

			const uuid = "3f0c8a52-6d1b-4b7e-9c55-0a1b2c3d4e5f" // the SDK sends these as AMQP's own type
			expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
			command(t, b, d, args{
				"body": `{"on":true}`, "messageId": uuid, "correlationId": "c+1", "contentType": "application/json", "contentEncoding": "utf-8",
				"expiryTimeUtc": expiry.UnixMilli(), "ack": "full", "properties": [][]string{{"b", "50% + x"}, {"Äpfel", "1"}},
			})
			want := received{
				Body: `{"on":true}`, MessageID: uuid, CorrelationID: "c+1", To: d.Path() + "/messages/devicebound",
				ContentType: "application/json", ContentEncoding: "utf-8", Expiry: expiry, Ack: "full",
				Properties: [][]string{{"b", "50% + x"}, {"Äpfel", "1"}},
			}
			if diff := cmp.Diff(want, nextReceived(t, p)); diff != "" {
				t.Errorf("the message (-want +got):\n%s", diff)
			}
			success := iot.FeedbackRecord{
				OriginalMessageID: uuid, Description: "Success", StatusCode: iot.FeedbackSuccess, DeviceID: d.DeviceID, DeviceGenerationID: d.GenerationID,
			}
			checkFeedback(t, b, success, "MessageAbandoned")
			checkFeedback(t, b, success, "MessageCompleted")

			command(t, b, d, args{"body": "bad", "messageId": "m-2", "ack": "negative"})
			if got := nextReceived(t, p); got.Body != "bad" || got.MessageID != "m-2" {
				t.Errorf("received %+v", got)
			}
			rejected := success
			rejected.OriginalMessageID, rejected.Description, rejected.StatusCode = "m-2", "Rejected", iot.FeedbackRejected
			checkFeedback(t, b, rejected, "MessageCompleted")
			if !b.quiet("error") || !b.quiet("file") {
				t.Error("a receiver did not stay, or something came that is no feedback")
			}
			b.must("close", nil, nil)
		})
	}
}

// checkFeedback waits for a feedback message, which must say what is wanted, and for how the
// back-end has settled it.
func checkFeedback(t *testing.T, p *puppet, want iot.FeedbackRecord, as string) {
	t.Helper()
	got := nextFeedback(t, p)
	if got.EnqueuedTimeUTC == (iot.Time{}) {
		t.Error("the feedback has no time")
	}
	got.EnqueuedTimeUTC = want.EnqueuedTimeUTC
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("feedback (-want +got):\n%s", diff)
	}
	var settled struct{ Kind string }
	if err := json.Unmarshal(p.event("settled"), &settled); err != nil {
		t.Fatal(err)
	}
	if settled.Kind != as {
		t.Errorf("feedback settled as %s, want %s", settled.Kind, as)
	}
}

// TestServiceSDKIsRefused shows each refusal of a message by the class of its error in the
// service SDK; none of them costs the link.
func TestServiceSDKIsRefused(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	for _, transport := range backends() {
		t.Run(transport, func(t *testing.T) {
			d, full := h.AddDevice("dev-"+strings.ToLower(transport)), h.AddDevice("full-"+strings.ToLower(transport))
			for range 50 {
				h.SendTo(full, "x")
			}
			b := openBackend(t, h, "service", transport)
			for _, c := range []struct {
				to      string
				message args
				class   string
			}{
				{"nobody", args{"body": "x"}, "DeviceNotFoundError"},
				{full.DeviceID, args{"body": "x"}, "DeviceMaximumQueueDepthExceededError"},
				{d.DeviceID, args{"body": strings.Repeat("x", iot.MaxCloudMessage+1)}, "MessageTooLargeError"},
				{d.DeviceID, args{"body": "x", "ack": "perhaps"}, "ArgumentError"},
			} {
				if err := b.try("send", args{"to": c.to, "message": c.message}, nil); err == nil || err.Kind != c.class {
					t.Errorf("a message to %s: %v, want %s", c.to, err, c.class)
				}
			}
			command(t, b, d, args{"body": "good"})
			if got := [2]int{h.Pending(d), h.Pending(full)}; got != [2]int{1, 50} {
				t.Errorf("%v messages are pending, want 1 and 50", got)
			}
			if !b.quiet("error") {
				t.Error("the client was disturbed")
			}
			for _, do := range []string{"send", "feedback", "files"} {
				checkIntruder(t, h, d, do, transport)
			}
		})
	}
}

// checkIntruder has a back-end try something with a policy that has no right to it. The SDK
// takes the refusal of a link for a link that opened and then broke: a message fails by it,
// and the client says that it is disconnected.
func checkIntruder(t *testing.T, h *rig.Hub, d rig.Identity, do, transport string) {
	t.Helper()
	b := openBackend(t, h, "device", transport)
	err := b.try(do, args{"to": d.DeviceID, "message": args{"body": "x"}}, nil)
	if do == "send" && (err == nil || err.Kind != "UnauthorizedError") {
		t.Errorf("a message without the right to it: %v, want UnauthorizedError", err)
	}
	var told struct{ Error *jsError }
	if err := json.Unmarshal(b.event("error"), &told); err != nil {
		t.Fatal(err)
	}
	if told.Error.Condition != "amqp:unauthorized-access" {
		t.Errorf("%s without the right to it: %s, want amqp:unauthorized-access", do, told.Error)
	}
}

// TestServiceSDKWithAWrongKey: the client is turned away when it opens. It wraps the error of
// its class in a plain one.
func TestServiceSDKWithAWrongKey(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	wrong := strings.Replace(h.PolicyString("device"), "=device;", "=service;", 1)
	for _, transport := range backends() {
		err := newPuppet(t, h, "backend").try("open", args{"connection": wrong, "transport": transport}, nil)
		if err == nil || err.Inner != "UnauthorizedError" {
			t.Errorf("%s: %v, want UnauthorizedError", transport, err)
		}
	}
}
