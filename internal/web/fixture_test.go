package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/iot"
)

const (
	hubHost = "hub.test"
	version = "api-version=2021-04-12"
)

// noon is when every test takes place.
var noon = time.Date(2020, 9, 7, 14, 46, 8, 0, time.UTC)

// zeros is randomness of which every tracking id is known.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// policies are the shared access policies of the fake hub.
func policies() []iot.Policy {
	key := func(c string) []byte { return []byte(strings.Repeat(c, 32)) }
	return []iot.Policy{
		{Name: "iothubowner", Primary: key("a"), Secondary: key("A"), Rights: iot.AllRights},
		{Name: "service", Primary: key("b"), Secondary: key("B"), Rights: iot.ServiceConnect},
		{Name: "device", Primary: key("c"), Secondary: key("C"), Rights: iot.DeviceConnect},
		{Name: "registryRead", Primary: key("d"), Secondary: key("D"), Rights: iot.RegistryRead},
		{Name: "registryReadWrite", Primary: key("e"), Secondary: key("E"), Rights: iot.RegistryWrite},
	}
}

// token signs for the whole hub with a policy's primary key.
func token(policy string) string {
	for _, p := range policies() {
		if p.Name == policy {
			return iot.SignSAS(hubHost, policy, p.Primary, noon.Add(time.Hour))
		}
	}
	return ""
}

// fixture is a server on fakes.
type fixture struct {
	hub    *fakeHub
	events *fakeLog
	server *Server
}

func newFixture(tb testing.TB, change ...func(*Config)) *fixture {
	tb.Helper()
	f := &fixture{hub: newFakeHub(), events: newFakeLog(4)}
	cfg := Config{
		Identities: f.hub, Population: f.hub, Authorities: f.hub, Gate: f.hub, Sender: f.hub, Commands: &mail{fakeHub: f.hub, sent: map[iot.Identity][]iot.CloudMessage{}}, ResourceLog: f.hub, Failures: f.hub,
		Events: f.events, Groups: &fakeGroups{names: []string{iot.DefaultConsumerGroup}}, Connected: func() int64 { return 3 }, Registry: prometheus.NewRegistry(),
		About:  About{Version: "1.2.3", Name: "hub", Hosts: []string{hubHost}, Partitions: 4, Started: noon},
		Now:    func() time.Time { return noon },
		Random: zeros{},
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if f.server, err = New(cfg); err != nil {
		tb.Fatal(err)
	}
	return f
}

// request is one request of a test; headers are "name", "value" in turn.
func (f *fixture) request(tb testing.TB, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(body))
	r.Host = hubHost
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.server.Handler().ServeHTTP(w, r)
	return w
}

// as is a request under a policy.
func (f *fixture) as(tb testing.TB, policy, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	tb.Helper()
	return f.request(tb, method, target, body, append(headers, "Authorization", token(policy))...)
}

// create registers a device.
func (f *fixture) create(tb testing.TB, ids ...string) {
	tb.Helper()
	for _, id := range ids {
		if _, err := f.hub.PutDevice(tb.Context(), id, iot.Device{}, iot.Match{}); err != nil {
			tb.Fatal(err)
		}
	}
}

// raw gives a header by its exact spelling on the wire.
func raw(h http.Header, name string) string {
	if v := h[name]; len(v) == 1 {
		return v[0]
	}
	return ""
}

func httptestGet(tb testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	tb.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(tb.Context(), http.MethodGet, path, nil))
	return w
}
