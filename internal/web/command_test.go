package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// mail is cloud-to-device messages in memory.
type mail struct {
	*fakeHub

	sent map[iot.Identity][]iot.CloudMessage
	err  error
}

func (m *mail) Send(_ context.Context, id iot.Identity, c *iot.CloudMessage) error {
	if m.err != nil {
		return m.err
	}
	if m.devices[id.Device] == nil {
		return noDevice(id.Device)
	}
	m.sent[id] = append(m.sent[id], *c)
	return nil
}

func (m *mail) Purge(_ context.Context, id iot.Identity) (int, error) {
	if m.devices[id.Device] == nil {
		return 0, noDevice(id.Device)
	}
	n := len(m.sent[id])
	delete(m.sent, id)
	return n, nil
}

func withMail(t *testing.T) (*fixture, *mail) {
	t.Helper()
	m := &mail{sent: map[iot.Identity][]iot.CloudMessage{}}
	f := newFixture(t, func(c *Config) { c.Commands = m })
	m.fakeHub = f.hub
	f.create(t, "d1")
	return f, m
}

func TestCommandIsSentAsItsHeadersSay(t *testing.T) {
	f, m := withMail(t)
	w := f.as(t, "service", http.MethodPost, "/devices/d1/messages/deviceBound?"+version, "hello",
		"iothub-messageid", "m1", "IoTHub-CorrelationId", "c1", "iothub-userid", "u1", "iothub-ack", "Full",
		"iothub-expiry", "2020-09-07T15:00:00.1234567Z", "iothub-contenttype", "text/plain", "iothub-contentencoding", "utf-8",
		"iothub-app-b", "2", "iothub-app-A", "1", "iothub-unknown", "x")
	if w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	want := []iot.CloudMessage{{
		MessageID: "m1", CorrelationID: "c1", UserID: "u1", To: "/devices/d1/messages/deviceBound", Ack: iot.AckFull,
		ContentType: "text/plain", ContentEncoding: "utf-8", Expiry: time.Date(2020, 9, 7, 15, 0, 0, 123_456_700, time.UTC),
		Application: iot.Properties{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, Body: []byte("hello"),
	}}
	if diff := cmp.Diff(want, m.sent[iot.Identity{Device: "d1"}]); diff != "" {
		t.Error(diff)
	}
}

func TestCommandFindsItsAddressee(t *testing.T) {
	for _, c := range []struct {
		path, to string
		want     iot.Identity
		code     int
	}{
		{"/messages/deviceBound", "/devices/d1/messages/devicebound", iot.Identity{Device: "d1"}, 204},
		{"/messages/devicebound", "/devices/d1/modules/m/messages/deviceBound", iot.Identity{Device: "d1", Module: "m"}, 204},
		{"/messages/deviceBound", "", iot.Identity{}, 400},
		{"/messages/deviceBound", "/devices/d1", iot.Identity{}, 400},
		{"/messages/deviceBound", "/devices/nobody/messages/devicebound", iot.Identity{}, 404},
		{"/devices/nobody/messages/deviceBound", "", iot.Identity{}, 404},
		{"/devices/d1/messages/deviceBound", "/devices/d1/messages/devicebound", iot.Identity{Device: "d1"}, 204},
	} {
		f, m := withMail(t)
		w := f.as(t, "service", http.MethodPost, c.path+"?"+version, "x", "iothub-to", c.to)
		if w.Code != c.code {
			t.Errorf("%s to %q: got %d %s, want %d", c.path, c.to, w.Code, w.Body, c.code)
		}
		if n := len(m.sent[c.want]); (n == 1) != (c.code == 204) {
			t.Errorf("%s to %q: %d messages for %v", c.path, c.to, n, c.want)
		}
	}
}

func TestCommandRefusals(t *testing.T) {
	for _, c := range []struct {
		name, policy, body string
		headers            []string
		err                error
		code               int
		want               string
	}{
		{"bad ack", "service", "", []string{"iothub-ack", "maybe"}, nil, 400, "ArgumentInvalid"},
		{"bad expiry", "service", "", []string{"iothub-expiry", "tomorrow"}, nil, 400, "ArgumentInvalid"},
		{"too large", "service", strings.Repeat("x", iot.MaxCloudMessage+1), nil, nil, 413, "MessageTooLarge"},
		{"full", "service", "", nil, fault.New(fault.DeviceMaximumQueueDepthExceeded, "fake", "full"), 403, "DeviceMaximumQueueDepthExceeded"},
		{"slow", "service", "", nil, context.DeadlineExceeded, 503, "ServiceUnavailable"},
		{"not the right", "registryReadWrite", "", nil, nil, 401, "IotHubUnauthorizedAccess"},
		{"a device", "device", "", nil, nil, 401, "IotHubUnauthorizedAccess"},
	} {
		f, m := withMail(t)
		m.err = c.err
		w := f.as(t, c.policy, http.MethodPost, "/devices/d1/messages/deviceBound?"+version, c.body, c.headers...)
		if w.Code != c.code || raw(w.Header(), "iothub-errorcode") != c.want {
			t.Errorf("%s: got %d %s, want %d %s", c.name, w.Code, w.Body, c.code, c.want)
		}
	}
}

func TestPurgeAnswersHowMany(t *testing.T) {
	f, m := withMail(t)
	dev := iot.Identity{Device: "d1"}
	m.sent[dev] = make([]iot.CloudMessage, 3)
	for _, want := range []int{3, 0} {
		w := f.as(t, "service", http.MethodDelete, "/devices/d1/commands?"+version, "")
		if body := fmt.Sprintf(`{"deviceId":"d1","moduleId":null,"totalMessagesPurged":%d}`, want); w.Code != 200 || w.Body.String() != body {
			t.Errorf("got %d %s, want %s", w.Code, w.Body, body)
		}
	}
	if w := f.as(t, "service", http.MethodDelete, "/devices/nobody/commands?"+version, ""); w.Code != 404 {
		t.Errorf("unknown device: got %d %s", w.Code, w.Body)
	}
	if w := f.as(t, "registryReadWrite", http.MethodDelete, "/devices/d1/commands?"+version, ""); w.Code != 401 {
		t.Errorf("without the right: got %d %s", w.Code, w.Body)
	}
}
