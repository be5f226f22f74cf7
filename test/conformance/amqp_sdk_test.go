package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// TestAMQPSDKSends sends messages with the device SDK over AMQP, on
// its own port and through a WebSocket, and reads them as monitor shows them.
func TestAMQPSDKSends(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	for _, transport := range []string{overAMQP, overAMQPWS} {
		t.Run(transport, func(t *testing.T) {
			d := h.AddDevice("dev-" + strings.ToLower(transport))
			p := openDevice(t, h, d.String(), transport)
			var sent struct{ Kind string }
			p.must("send", args{"message": args{
				"body": `{"t":21}`, "messageId": "m1", "correlationId": "c1", "contentType": "application/json", "contentEncoding": "utf-8",
				"properties": [][]string{{"alert", "no"}, {"a b&c", "%d=e"}},
			}}, &sent)
			if sent.Kind != "MessageEnqueued" {
				t.Errorf("sendEvent resolved with %q, want MessageEnqueued", sent.Kind)
			}
			for _, body := range []string{"one", "two", "three"} { // the SDK has no batches over AMQP: TestAMQPBatch
				send(t, p, body)
			}
			events := h.Events("--device", d.DeviceID)
			if len(events) != 4 {
				t.Fatalf("%d events are in the log, want 4: %+v", len(events), events)
			}
			checkAMQPEvent(t, d, events[0])
			var got []string
			for _, e := range events[1:] {
				got = append(got, e.Text())
			}
			if diff := cmp.Diff([]string{"one", "two", "three"}, got); diff != "" {
				t.Errorf("the others (-want +got):\n%s", diff)
			}
			if got := h.Get(d).ConnectionState; got != "Connected" {
				t.Errorf("connectionState %q, want Connected", got)
			}
			p.must("close", nil, nil)
			rig.Until(t, "the device is disconnected after close", func() bool { return h.Get(d).ConnectionState == "Disconnected" })
			h.Log(d.DeviceID, "deviceDisconnect", "")
		})
	}
}

// checkAMQPEvent checks the first event of TestAMQPSDKSends.
func checkAMQPEvent(t *testing.T, d rig.Identity, e rig.Event) {
	t.Helper()
	if string(e.Body) != `{"t":21}` {
		t.Errorf("body %s", e.Body)
	}
	for name, want := range map[string]string{
		"message-id": "m1", "correlation-id": "c1", "content-type": "application/json", "content-encoding": "utf-8",
		"iothub-connection-device-id": d.DeviceID, "iothub-connection-auth-generation-id": d.GenerationID, "iothub-message-source": "Telemetry",
	} {
		if got := e.System[name]; got != want {
			t.Errorf("system property %s is %q, want %q: %+v", name, got, want, e.System)
		}
	}
	if e.Property("alert") != "no" || e.Property("a b&c") != "%d=e" {
		t.Errorf("application properties %+v", e.Application)
	}
}

// TestAMQPSDKRefused shows what the device SDK tells of a key that is not the device's.
func TestAMQPSDKRefused(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d, other := h.AddDevice("dev1"), h.AddDevice("dev2")
	liar := d
	liar.Authentication = other.Authentication
	for _, transport := range []string{overAMQP, overAMQPWS} {
		p := sdkDevice(t, h, liar.String(), transport)
		err := p.try("open", nil, nil)
		if err == nil || err.Name != "UnauthorizedError" {
			t.Errorf("%s: a wrong key: %v, want UnauthorizedError", transport, err)
		}
	}
	if got := h.Sessions(t); got != 0 {
		t.Errorf("%d sessions are open, want 0", got)
	}
}

// TestTakeoverAcrossTransports has every transport displace every other, itself included:
// the first client is told, the second works, in either direction, exactly one session is
// left, and the log has the code of the loser's transport. explain knows both sides.
func TestTakeoverAcrossTransports(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	p := newPuppet(t, h, "fleet")
	transports := []string{overTCP, overWS, overAMQP, overAMQPWS}
	for _, first := range transports {
		for _, second := range transports {
			t.Run(first+" by "+second, func(t *testing.T) {
				p.during(t, func() { crossTakeover(t, h, p, first, second) })
			})
		}
	}
}

// crossTakeover is one pair of TestTakeoverAcrossTransports.
func crossTakeover(t *testing.T, h *rig.Hub, p *puppet, first, second string) {
	t.Helper()
	d := h.AddDevice(strings.ToLower(first + "-" + second))
	loser, winner := d.DeviceID+" first", d.DeviceID+" second"
	enter := func(as, transport, body string) {
		p.must("open", args{"as": as, "connection": d.String(), "transport": transport, "ca": h.CAFile}, nil)
		var sent struct{ Kind string }
		p.must("send", args{"as": as, "body": body}, &sent)
		if sent.Kind != "MessageEnqueued" {
			t.Errorf("sendEvent of %s resolved with %q", transport, sent.Kind)
		}
		p.must("receive", args{"as": as}, nil)
	}
	before := h.Sessions(t)
	enter(loser, first, "of the first")
	fleetReceives(t, h, p, d, loser, "for the first")
	enter(winner, second, "of the second")
	p.event("disconnect " + loser)
	fleetReceives(t, h, p, d, winner, "for the second")
	if !p.quiet("message " + loser) {
		t.Errorf("the displaced client received %s", p.event("message "+loser))
	}
	if got := h.Sessions(t) - before; got != 1 {
		t.Errorf("%d sessions are open, want 1", got)
	}
	if diff := cmp.Diff([]string{"of the first", "of the second"}, bodies(h, d.DeviceID)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if !p.quiet("disconnect "+winner) || !p.quiet("error "+winner) {
		t.Error("the newcomer was disturbed")
	}
	code, protocol := "400027", "Mqtt"
	if isAMQP(first) {
		code, protocol = "409002", "Amqp"
	}
	checkLoser(t, h.Log(d.DeviceID, "deviceDisconnect", code), first, second, protocol)
	e := explained(t, h, d)
	if len(e.Conflicts) != 1 {
		t.Fatalf("explain tells of %d conflicts, want 1:\n%s", len(e.Conflicts), pretty(e))
	}
	page := string(h.Berth("explain", d.DeviceID).Must().Stdout)
	if !strings.Contains(page, first) || !strings.Contains(page, second) {
		t.Errorf("berth explain does not name %s and %s:\n%s", first, second, page)
	}
	p.must("close", args{"as": winner}, nil)
}

// fleetReceives sends a message to a device, which a client of the fleet must receive and
// complete.
func fleetReceives(t *testing.T, h *rig.Hub, p *puppet, d rig.Identity, as, body string) {
	t.Helper()
	h.SendTo(d, body)
	var m struct {
		Body  string
		Error *jsError
	}
	if err := json.Unmarshal(p.event("message "+as), &m); err != nil {
		t.Fatal(err)
	}
	if m.Body != body || m.Error != nil {
		t.Errorf("%s received %q (%v), want %q", as, m.Body, m.Error, body)
	}
	rig.Until(t, "the message is completed", func() bool { return h.Pending(d) == 0 })
}

// checkLoser checks the record of a displaced client.
func checkLoser(t *testing.T, r rig.LogRecord, first, second, protocol string) {
	t.Helper()
	facts, err := r.Facts()
	if err != nil {
		t.Fatalf("properties %q: %v", r.Properties, err)
	}
	ours, _ := facts["berth"].(map[string]any)
	by, _ := ours["by"].(map[string]any)
	got := fmt.Sprint(facts["protocol"], " ", ours["transport"], " ", by["transport"])
	if want := protocol + " " + first + " " + second; got != want {
		t.Errorf("protocol and transports of both sides %q, want %q: %s", got, want, r.Properties)
	}
}

// isAMQP reports whether a transport of the SDK speaks AMQP.
func isAMQP(transport string) bool { return slices.Contains([]string{overAMQP, overAMQPWS}, transport) }
