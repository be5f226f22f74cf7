package web

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/park"
)

func TestSendStoresTheMessageAndItsHeaders(t *testing.T) {
	for _, id := range []iot.Identity{{Device: "d1"}, {Device: "a%b"}, {Device: "d1", Module: "$m"}} {
		f := newFixture(t)
		path := "/devices/" + strings.ReplaceAll(id.Device, "%", "%25")
		if id.IsModule() {
			path += "/modules/%24m"
		}
		w := f.request(t, "POST", path+"/messages/events?api-version=2016-11-14", "hello",
			"Authorization", deviceToken(id), "IoTHub-MessageId", "m-1", "iothub-app-Zeta", "z", "iothub-app-alpha", "ä; b",
			"iothub-contenttype", "application/json", "Content-Type", "text/plain", "Cookie", "secret=1")
		if w.Code != 204 || w.Body.Len() != 0 {
			t.Fatalf("%s: %d %s", id, w.Code, w.Body)
		}
		want := []sentMessage{{
			Stamp: iot.Stamp{Identity: id, Generation: 7},
			Raw: iot.Raw{
				Source: iot.SourceHeaders, Body: []byte("hello"),
				Props: []byte("iothub-app-alpha: ä; b\niothub-app-zeta: z\niothub-contenttype: application/json\niothub-messageid: m-1\n"),
			},
		}}
		if diff := cmp.Diff(want, f.hub.sent); diff != "" {
			t.Error(diff)
		}
		if err := iot.ScanHeaders(f.hub.sent[0].Raw.Props); err != nil {
			t.Error(err)
		}
	}
}

func TestSendRefuses(t *testing.T) {
	id := iot.Identity{Device: "d1"}
	own := []string{"Authorization", deviceToken(id)}
	for _, tt := range []struct {
		name    string
		path    string
		body    string
		headers []string
		sendErr error
		status  int
		code    string
		told    string
	}{
		{"no credential", "/devices/d1/messages/events", "x", nil, nil, 401, "IotHubUnauthorizedAccess", ""},
		{"another device", "/devices/d2/messages/events", "x", own, nil, 401, "IotHubUnauthorizedAccess", ""},
		{"its own module", "/devices/d1/modules/m/messages/events", "x", own, nil, 401, "IotHubUnauthorizedAccess", ""},
		{"disabled", "/devices/disabled/messages/events", "x", own, nil, 401, "IotHubUnauthorizedAccess", ""},
		{"large", "/devices/d1/messages/events", strings.Repeat("x", maxMessage+1), own, nil, 413, "MessageTooLarge", "ingress d1 Https 262145 413001"},
		{
			"large with headers", "/devices/d1/messages/events", strings.Repeat("x", maxMessage-10),
			append([]string{"iothub-app-a", "b"}, own...), nil, 413, "MessageTooLarge", "ingress d1 Https 262134 413001",
		},
		{
			"batch", "/devices/d1/messages/events", "[]", append([]string{"Content-Type", "Application/vnd.microsoft.iothub.JSON; charset=utf-8"}, own...), nil,
			415, "GenericUnsupportedMediaType", "ingress d1 Https 2 415000",
		},
		{
			"full disk", "/devices/d1/messages/events", "x", own, fault.New(fault.ServiceUnavailable, "fake", "the hub's disk is full"),
			503, "ServiceUnavailable", "ingress d1 Https 1 503001",
		},
		{"broken", "/devices/d1/messages/events", "x", own, errors.New("secret"), 500, "ServerError", "ingress d1 Https 1 500001"},
	} {
		f := newFixture(t)
		f.hub.sendErr = tt.sendErr
		w := f.request(t, "POST", tt.path, tt.body, tt.headers...)
		if got := raw(w.Header(), "iothub-errorcode"); w.Code != tt.status || got != tt.code || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: got %d %s", tt.name, w.Code, w.Body)
		}
		if got := strings.Join(f.hub.failures, "|"); got != tt.told {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.told)
		}
		if len(f.hub.sent) != 0 {
			t.Errorf("%s: a message was stored", tt.name)
		}
	}
}

func TestSendTakesTheLargestMessage(t *testing.T) {
	f := newFixture(t)
	w := f.request(t, "POST", "/devices/d1/messages/events", strings.Repeat("x", maxMessage), "Authorization", deviceToken(iot.Identity{Device: "d1"}))
	if w.Code != 204 || len(f.hub.sent) != 1 || len(f.hub.sent[0].Raw.Body) != maxMessage {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestSendWithoutLengthIsBounded: a chunked body is counted as it comes.
func TestSendWithoutLengthIsBounded(t *testing.T) {
	f := newFixture(t)
	endless := &counting{}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/devices/d1/messages/events", endless)
	r.Host, r.ContentLength = hubHost, -1
	r.Header.Set("Authorization", deviceToken(iot.Identity{Device: "d1"}))
	w := httptest.NewRecorder()
	f.server.Handler().ServeHTTP(w, r)
	if w.Code != 413 || endless.n > 2*drainBody {
		t.Errorf("%d after %d bytes", w.Code, endless.n)
	}
}

// TestSendReadsLittleOfWhatIsDeclaredTooLarge: enough for the client to hear the refusal.
func TestSendReadsLittleOfWhatIsDeclaredTooLarge(t *testing.T) {
	f := newFixture(t)
	endless := &counting{}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/devices/d1/messages/events", endless)
	r.Host, r.ContentLength = hubHost, maxMessage+1
	r.Header.Set("Authorization", deviceToken(iot.Identity{Device: "d1"}))
	w := httptest.NewRecorder()
	f.server.Handler().ServeHTTP(w, r)
	if w.Code != 413 || endless.n < drainBody || endless.n > 2*drainBody {
		t.Errorf("%d after %d bytes", w.Code, endless.n)
	}
}

// counting is a body without end.
type counting struct{ n int }

func (c *counting) Read(b []byte) (int, error) { c.n += len(b); return len(b), nil }

func TestSendWithACertificate(t *testing.T) {
	f := newFixture(t)
	for name, want := range map[string]int{"d1": 204, "d2": 401} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/devices/d1/messages/events", strings.NewReader("x"))
		r.Host = hubHost
		g := f.server.newGuest(time.Now(), park.Peer{Certs: []*x509.Certificate{{Subject: pkix.Name{CommonName: name}}}, Admitted: func() {}})
		r = r.WithContext(withGuest(r.Context(), g))
		w := httptest.NewRecorder()
		f.server.Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if known := g.known.Load(); known != (want == http.StatusNoContent) {
			t.Errorf("%s: admitted %t", name, known)
		}
	}
}
