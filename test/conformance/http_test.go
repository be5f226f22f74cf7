package conformance

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// TestHTTPSBesideMQTT sends over HTTPS while the same device is connected over MQTT:
// both arrive, nobody is displaced, and the log knows of one connection only.
func TestHTTPSBesideMQTT(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d := h.AddDevice("dev1")
	live := openDevice(t, h, d.String(), overTCP)
	send(t, live, "mqtt 1")

	p := sdkDevice(t, h, d.String(), "Http")
	p.must("open", nil, nil)
	var sent struct{ Kind string }
	p.must("send", args{"message": args{
		"body": "http 1", "messageId": "h-1", "contentType": "text/plain", "properties": [][]string{{"colour", "red"}},
	}}, &sent)
	if sent.Kind != "MessageEnqueued" {
		t.Errorf("sendEvent resolved with %q, want MessageEnqueued", sent.Kind)
	}
	send(t, live, "mqtt 2")
	h.Kill()
	h.Start()
	events := h.Events()
	var got []string
	for _, e := range events {
		got = append(got, e.Text())
	}
	if diff := cmp.Diff([]string{"mqtt 1", "http 1", "mqtt 2"}, got); diff != "" {
		t.Fatalf("messages after a kill (-want +got):\n%s", diff)
	}
	e := events[1]
	for k, want := range map[string]string{
		"message-id": "h-1", "content-type": "text/plain", "iothub-connection-device-id": "dev1",
		"iothub-connection-auth-method":        `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
		"iothub-connection-auth-generation-id": d.GenerationID, "iothub-message-source": "Telemetry",
	} {
		if e.System[k] != want {
			t.Errorf("%s is %q, want %q", k, e.System[k], want)
		}
	}
	if got := e.Property("colour"); got != "red" {
		t.Errorf("colour is %q, want red: %v", got, e.Application)
	}
	for _, r := range h.Logs("--device", "dev1") {
		facts, err := r.Facts()
		if err != nil {
			t.Fatal(err)
		}
		if r.ResultType == "400027" || r.OperationName == "deviceConnect" && facts["protocol"] != "Mqtt" {
			t.Errorf("the log tells of %s %s: %s", r.OperationName, r.ResultType, r.Properties)
		}
	}
}

// TestHTTPSSendDisturbsNobody is the part of TestHTTPSBesideMQTT that a kill hides: the
// live connection is the same one afterwards.
func TestHTTPSSendDisturbsNobody(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	const path = "/devices/dev1/messages/events"
	if res := h.RequestAs(d.Token(), http.MethodPost, path, "over https", "Content-Type", "application/octet-stream"); res.Status != 204 {
		t.Fatalf("status %d: %s", res.Status, res.Body)
	}
	l.Ping()
	l.Publish(d.EventsTopic(), 1, "over mqtt")
	if got := h.Sessions(t); got != 1 {
		t.Errorf("%d sessions are open, want 1", got)
	}
	if diff := cmp.Diff([]string{"over https", "over mqtt"}, bodies(h, "dev1")); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}

	other := h.AddDevice("dev2")
	policy, err := rig.ParseConnectionString(h.PolicyString("iothubowner"))
	if err != nil {
		t.Fatal(err)
	}
	// The az command line signs device requests with the policy's key.
	az := rig.Token(d.Resource(), policy["SharedAccessKey"], "iothubowner")
	for _, c := range []struct {
		name, token, path, body string
		status                  int
		code                    string
	}{
		{"policy key on a device path", az, path, "x", 204, ""},
		{"another device's token", other.Token(), path, "x", 401, "IotHubUnauthorizedAccess"},
		{"no token", "", path, "x", 401, "IotHubUnauthorizedAccess"},
		{"unknown device", az, "/devices/nobody/messages/events", "x", 401, "IotHubUnauthorizedAccess"},
		{"too large", d.Token(), path, strings.Repeat("x", 256*1024+1), 413, "MessageTooLarge"},
	} {
		res := h.RequestAs(c.token, http.MethodPost, c.path, c.body, "Content-Type", "application/octet-stream", "Expect", "100-continue")
		if res.Status != c.status || c.code != "" && res.Header.Get("Iothub-Errorcode") != c.code {
			t.Errorf("%s: status %d %q, want %d %q", c.name, res.Status, res.Header.Get("Iothub-Errorcode"), c.status, c.code)
		}
	}
	l.Ping()
}
