package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// TestTakeover connects a second SDK client with the identity of a first: it works at
// once, the first sees its connection closed, and the log tells both sides.
func TestTakeover(t *testing.T) {
	for _, c := range []struct{ first, second string }{{overTCP, overTCP}, {overTCP, overWS}, {overWS, overTCP}} {
		t.Run(c.first+" by "+c.second, func(t *testing.T) {
			t.Parallel()
			h := rig.Start(t, rig.Options{})
			d := h.AddDevice("dev1")
			old := openDevice(t, h, d.String(), c.first)
			send(t, old, "of the first")
			newcomer := openDevice(t, h, d.String(), c.second)
			send(t, newcomer, "of the second")
			old.event("disconnect")
			if got := h.Sessions(t); got != 1 {
				t.Errorf("%d sessions are open, want 1", got)
			}
			if diff := cmp.Diff([]string{"of the first", "of the second"}, bodies(h, "dev1")); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if !newcomer.quiet("disconnect") {
				t.Error("the newcomer was disconnected")
			}
			if got := h.Get(d).ConnectionState; got != "Connected" {
				t.Errorf("connectionState %q, want Connected", got)
			}
			checkTakeoverLog(t, h, c.first, c.second)
		})
	}
}

// checkTakeoverLog checks the records of one takeover of dev1.
func checkTakeoverLog(t *testing.T, h *rig.Hub, first, second string) {
	t.Helper()
	r := h.Log("dev1", "deviceDisconnect", "400027")
	if r.Category != "Connections" || r.Level != "Error" || r.ResultDescription != "ConnectionForcefullyClosedOnNewConnection" {
		t.Errorf("disconnect: category %q, level %q, description %q", r.Category, r.Level, r.ResultDescription)
	}
	facts, err := r.Facts()
	if err != nil {
		t.Fatalf("properties %q: %v", r.Properties, err)
	}
	// A WebSocket counts as the protocol inside.
	for key, want := range map[string]any{"deviceId": "dev1", "protocol": "Mqtt", "statusCode": "400"} {
		if got := facts[key]; got != want {
			t.Errorf("properties of the disconnect: %s is %v, want %v", key, got, want)
		}
	}
	if got := fmt.Sprint(facts["maskedIpAddress"]); !strings.HasPrefix(got, "127.") || !strings.HasSuffix(got, ".XXX") {
		t.Errorf("maskedIpAddress %q, want the loopback network with its last part hidden", got)
	}
	// What Azure never says: who the other one was.
	ours, _ := facts["berth"].(map[string]any)
	by, _ := ours["by"].(map[string]any)
	if ours["transport"] != first || by["transport"] != second {
		t.Errorf("the disconnect tells of %v and %v, want %s and %s: %s", ours["transport"], by["transport"], first, second, r.Properties)
	}
	for _, fact := range []string{"clientId", "sdkVersion", "keepAlive", "credential", "tls", "acceptedTime", "connectTime", "lastInTime", "bytesIn", "packetsIn", "tcp"} {
		if ours[fact] == nil || by[fact] == nil {
			t.Errorf("the disconnect does not tell %s of both sides: %s", fact, r.Properties)
		}
	}
	var connects []string
	for _, r := range h.Logs("--device", "dev1", "--category", "Connections") {
		if r.OperationName != "deviceConnect" {
			continue
		}
		facts, err := r.Facts()
		if err != nil {
			t.Fatalf("properties %q: %v", r.Properties, err)
		}
		if sdk := fmt.Sprint(facts["sdkVersion"]); !strings.Contains(sdk, "azure-iot-device") {
			t.Errorf("sdkVersion %q, want the SDK's name", sdk)
		}
		ours, _ := facts["berth"].(map[string]any)
		connects = append(connects, fmt.Sprint(ours["transport"]))
	}
	if diff := cmp.Diff([]string{first, second}, connects); diff != "" {
		t.Errorf("deviceConnect by transport (-want +got):\n%s", diff)
	}
}

// TestRefusedClientTakesNothing shows that only an authenticated newcomer displaces.
func TestRefusedClientTakesNothing(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d, other := h.AddDevice("dev1"), h.AddDevice("dev2")
	holder := h.Dial(t)
	holder.Enter(d.Hello())
	intruder := d.Hello()
	intruder.Password = rig.Token(d.Resource(), other.Key(), "")
	if code, _ := h.Dial(t).Greet(intruder); code != 5 {
		t.Fatalf("CONNACK %d, want 5", code)
	}
	holder.Ping()
	holder.Publish(d.EventsTopic(), 1, "still here")
	r := h.Logs("--device", "dev1")
	if slices.ContainsFunc(r, func(r rig.LogRecord) bool { return r.ResultType == "400027" }) {
		t.Errorf("the log tells of a takeover: %+v", r)
	}
}

// TestRapidReconnects leaves one live session after 20 connections of one identity
// that nobody closed, made one after another and all at once.
func TestRapidReconnects(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	const n = 20
	clients := make([]*pahoClient, n)
	for i := range clients {
		clients[i] = newPaho(t, h, d.Hello())
		clients[i].enter()
	}
	for _, c := range clients[:n-1] {
		rig.Receive(t, c.lost, "a displaced paho client loses its connection")
	}
	clients[n-1].publish(d.EventsTopic(), "the last one")
	if got := h.Sessions(t); got != 1 {
		t.Errorf("%d sessions are open, want 1", got)
	}

	// All at once: any may win, one is left.
	done := make(chan *rig.Link, n)
	for range n {
		l := h.Dial(t)
		go func() {
			l.TrySend(d.Hello().Bytes())
			done <- l
		}()
	}
	for range n {
		rig.Receive(t, done, "a CONNECT was sent")
	}
	rig.Until(t, "one session is left after 20 connections at once", func() bool {
		return h.Sessions(t) == 1 && h.Metric("berth_device_connects_total") >= n+1
	})
	if got := h.Get(d).ConnectionState; got != "Connected" {
		t.Errorf("connectionState %q, want Connected", got)
	}
}

// TestRapidReconnectsOfSDK makes one npm mqtt client after another in one process.
func TestRapidReconnectsOfSDK(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	const n = 20
	p := newPuppet(t, h, "mqtt")
	for i := range n {
		var got struct{ Connack *struct{ Code int } }
		p.must("connect", npmConnect(h, d, nil), &got)
		if got.Connack == nil || got.Connack.Code != 0 {
			t.Fatalf("connection %d: %+v, want CONNACK 0", i, got)
		}
	}
	for range n - 1 {
		p.event("close")
	}
	p.must("publish", args{"topic": d.EventsTopic(), "body": "the last one", "qos": 1}, nil)
	if got := h.Sessions(t); got != 1 {
		t.Errorf("%d sessions are open, want 1", got)
	}
}

// npmConnect are the arguments of a connection of npm mqtt.
func npmConnect(h *rig.Hub, d rig.Identity, more args) args {
	hello := d.Hello()
	options := args{"clientId": hello.ClientID, "username": hello.Username, "password": hello.Password, "clean": false}
	maps.Copy(options, more)
	return args{"url": "mqtts://" + rig.Host, "ca": h.CAFile, "options": options}
}
