package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

func TestRouteFindsWhatAClientMeans(t *testing.T) {
	rt := newRouter(table())
	long := strings.Repeat("a", iot.MaxIDLength)
	for _, tt := range []struct {
		method, escaped string
		path            string // of the route
		id              iot.Identity
	}{
		{"GET", "/devices", "/devices", iot.Identity{}},
		{"GET", "/devices/", "/devices", iot.Identity{}},
		{"POST", "/devices/", "/devices", iot.Identity{}},
		{"GET", "/Devices/d1", "/devices/{device}", iot.Identity{Device: "d1"}},
		{"GET", "/devices/d1/", "/devices/{device}", iot.Identity{Device: "d1"}},
		{"GET", "/devices/D1", "/devices/{device}", iot.Identity{Device: "D1"}},
		{"GET", "/devices/a+b", "/devices/{device}", iot.Identity{Device: "a+b"}},
		{"GET", "/devices/a%2Bb", "/devices/{device}", iot.Identity{Device: "a+b"}},
		{"GET", "/devices/a%25b", "/devices/{device}", iot.Identity{Device: "a%b"}},
		{"GET", "/devices/a%252Fb", "/devices/{device}", iot.Identity{Device: "a%2Fb"}},
		{"GET", "/devices/%24sys%3Ax%3B%23", "/devices/{device}", iot.Identity{Device: "$sys:x;#"}},
		{"GET", "/devices/..", "/devices/{device}", iot.Identity{Device: ".."}},
		{"GET", "/devices/%2e%2e", "/devices/{device}", iot.Identity{Device: ".."}},
		{"GET", "/devices/" + long, "/devices/{device}", iot.Identity{Device: long}},
		{"GET", "/devices/query", "/devices/{device}", iot.Identity{Device: "query"}},
		{"POST", "/devices/query", "/devices/query", iot.Identity{}},
		{"POST", "/devices/keys/regenerate", "/devices/keys/regenerate", iot.Identity{}},
		{"PUT", "/devices/keys", "/devices/{device}", iot.Identity{Device: "keys"}},
		{"GET", "/devices/d/MODULES/m", "/devices/{device}/modules/{module}", iot.Identity{Device: "d", Module: "m"}},
		{"GET", "/devices/d/modules/%24edgeAgent", "/devices/{device}/modules/{module}", iot.Identity{Device: "d", Module: "$edgeAgent"}},
		{"GET", "/twins/d/modules/m", "/twins/{device}/modules/{module}", iot.Identity{Device: "d", Module: "m"}},
		{"POST", "/devices/d/messages/events", "/devices/{device}/messages/events", iot.Identity{Device: "d"}},
		{"GET", "/devices/d/messages/devicebound", "/devices/{device}/messages/deviceBound", iot.Identity{Device: "d"}},
		{"GET", "/$iothub/websocket", "/$iothub/websocket", iot.Identity{}},
		{"GET", "/%24iothub/websocket", "/$iothub/websocket", iot.Identity{}},
		{"GET", "/jobs/v2/j1", "/jobs/v2/{rest}", iot.Identity{}},
		{"DELETE", "/messages/serviceBound/feedback/tok", "/messages/{rest}", iot.Identity{}},

		// Azure IoT Explorer encodes the path whole (service-rest A.6).
		{"POST", "/devices%2Fquery", "/devices/query", iot.Identity{}},
		{"GET", "/devices%2Fd1", "/devices/{device}", iot.Identity{Device: "d1"}},
		{"GET", "/devices%2Fd1%2F", "/devices/{device}", iot.Identity{Device: "d1"}},
		{"GET", "/devices%2Fa%25b", "/devices/{device}", iot.Identity{Device: "a%b"}},
		{"GET", "/devices%2Fd1%2Fmodules%2Fm1", "/devices/{device}/modules/{module}", iot.Identity{Device: "d1", Module: "m1"}},
		{"GET", "/twins%2fd1", "/twins/{device}", iot.Identity{Device: "d1"}},
		{"POST", "/devices%2Fa%2523b%2Fmessages%2FdeviceBound", "/devices/{device}/messages/deviceBound", iot.Identity{Device: "a#b"}},
	} {
		m, err := rt.find(tt.method, tt.escaped)
		if err != nil {
			t.Errorf("%s %s: %v", tt.method, tt.escaped, err)
			continue
		}
		if m.endpoint.path != tt.path || m.id != tt.id {
			t.Errorf("%s %s: got %s %+v, want %s %+v", tt.method, tt.escaped, m.endpoint.path, m.id, tt.path, tt.id)
		}
	}
}

func TestRouteRefuses(t *testing.T) {
	rt := newRouter(table())
	for _, tt := range []struct {
		method, escaped string
		want            fault.Code
	}{
		{"GET", "/", fault.GenericNotFound},
		{"GET", "", fault.GenericNotFound},
		{"GET", "*", fault.GenericNotFound},
		{"GET", "//devices", fault.GenericNotFound},
		{"GET", "/devices//", fault.GenericNotFound},
		{"GET", "/nothing", fault.GenericNotFound},
		{"GET", "/devices/d/twins", fault.GenericNotFound},
		{"GET", "/devices/a/b/c/d/e/f/g/h/i/j", fault.GenericNotFound},
		{"GET", "/nothing%2Fdevices", fault.GenericNotFound},
		{"GET", "/berth%2Fv1%2Fhub", fault.GenericNotFound},
		{"GET", "/devices%2F..%2Fstatistics%2Fdevices", fault.GenericNotFound},
		{"GET", "/devices%252Fquery", fault.GenericNotFound},
		{"PATCH", "/devices/d", fault.GenericMethodNotAllowed},
		{"GET", "/devices/d/messages/events", fault.GenericMethodNotAllowed},
		{"BREW", "/berth/v1/hub", fault.GenericMethodNotAllowed},
		{"BREW", "/configurations", fault.GenericMethodNotAllowed},
		{"HEAD", "/jobs/v2/j", fault.GenericMethodNotAllowed},
		{"GET", "/devices/a%2Fb", fault.ArgumentInvalid},
		{"GET", "/devices/a%00b", fault.ArgumentInvalid},
		{"GET", "/devices/a%20b", fault.ArgumentInvalid},
		{"GET", "/devices/..%2f..%2fetc", fault.ArgumentInvalid},
		{"GET", "/devices/%zz", fault.ArgumentInvalid},
		{"GET", "/devices/%C3%A4", fault.ArgumentInvalid},
		{"GET", "/devices/" + strings.Repeat("a", iot.MaxIDLength+1), fault.ArgumentInvalid},
		{"GET", "/devices/d/modules/a%2Fb", fault.ArgumentInvalid},
		{"GET", "/devices%2Fd1%2Fmodules%2Fm%201", fault.ArgumentInvalid},
		{"GET", "/berth/v1/cas/..", fault.ArgumentInvalid},
		{"GET", "/berth/v1/cas/a%2F..%2Fb", fault.ArgumentInvalid},
	} {
		m, err := rt.find(tt.method, tt.escaped)
		if err == nil || fault.Of(err) != tt.want {
			t.Errorf("%s %s: got %+v, %v, want %v", tt.method, tt.escaped, m, err, tt.want)
		}
	}
}

// TestRefusedMethodsNameThoseAllowed, as RFC 9110 15.5.6 demands.
func TestRefusedMethodsNameThoseAllowed(t *testing.T) {
	f := newFixture(t)
	for path, want := range map[string]string{
		"/devices/d1":                  "DELETE, GET, PUT",
		"/devices/d1/":                 "DELETE, GET, PUT",
		"/devices%2Fd1":                "DELETE, GET, PUT",
		"/devices/query":               "DELETE, GET, POST, PUT", // query is an id too
		"/devices/d1/messages/events":  "POST",
		"/messages/deviceBound":        "DELETE, GET, PATCH, POST, PUT",
		"/$iothub/websocket":           "GET",
		"/berth/v1/devices/d1/explain": "GET",
		"/devices/d1/modules/m1":       "DELETE, GET, PUT",
		"/twins/d1/modules/m1":         "GET, PATCH, PUT",
	} {
		w := f.as(t, "iothubowner", "BREW", path+"?"+version, "")
		if got := w.Header().Get("Allow"); w.Code != http.StatusMethodNotAllowed || got != want {
			t.Errorf("%s: got %d, Allow %q, want 405, %q", path, w.Code, got, want)
		}
	}
	if w := f.as(t, "iothubowner", "GET", "/nothing?"+version, ""); w.Header().Get("Allow") != "" {
		t.Errorf("a path that is not there allows %q", w.Header().Get("Allow"))
	}
}

func TestEveryRouteIsReached(t *testing.T) {
	rt := newRouter(table())
	example := strings.NewReplacer("{device}", "d", "{module}", "m", "{name}", "n", "{rest}", "x")
	for _, e := range table() {
		method := e.method
		if method == "" {
			method = http.MethodPatch
		}
		m, err := rt.find(method, example.Replace(e.path))
		if err != nil || m.endpoint.path != e.path || m.method != e.method {
			t.Errorf("%s %s: got %+v, %v", method, e.path, m.endpoint, err)
		}
		if e.do == nil || (e.surface == serviceAPI || e.surface == berthAPI) != (len(e.rights) > 0) {
			t.Errorf("%s %s: rights %v on surface %d", method, e.path, e.rights, e.surface)
		}
	}
}

func TestAPIVersion(t *testing.T) {
	for v, ok := range map[string]bool{
		"2016-02-03": true, "2016-11-14": true, "2018-06-30": true, "2020-05-31-preview": true, "2020-05-31-Preview": true, "2021-04-12": true,
		"2024-03-31": true, "2099-12-31": true,
		"": false, "2016-02-02": false, "2015-08-15-preview": false, "2021-4-12": false, "2021-13-01": false, "2021-02-30": false,
		"latest": false, "2021-04-12-beta": false, "2021-04-12 ": false, "2021-04-12-preview-2": false, "20210412": false,
	} {
		err := checkVersion(url.Values{"api-version": {v}})
		if (err == nil) != ok || err != nil && fault.Of(err) != fault.InvalidProtocolVersion {
			t.Errorf("%q: got %v, want ok %t", v, err, ok)
		}
	}
}

// FuzzRoute: whatever the path, a route's ids are legal ids, and encoding them again
// finds the same route.
func FuzzRoute(f *testing.F) {
	for _, seed := range []string{
		"/devices", "/devices/", "/devices/d1", "/devices/a%25b", "/devices/a+b", "/devices/%2e%2e", "/devices%2Fquery",
		"/devices%2Fa%2523b%2Fmessages%2FdeviceBound", "/twins/d/modules/%24edgeAgent", "/$iothub/websocket", "//", "/%zz",
		"/devices/a%2Fb", "/berth/v1/cas/x", "/messages/serviceBound/feedback", "/devices/\x00", "/devices%2F%2F",
	} {
		f.Add("GET", seed)
		f.Add("POST", seed)
	}
	rt := newRouter(table())
	f.Fuzz(func(t *testing.T, method, escaped string) {
		m, err := rt.find(method, escaped)
		if err != nil {
			if s := fault.Of(err).Status(); s != 400 && s != 404 && s != 405 {
				t.Fatalf("%q: %v", escaped, err)
			}
			return
		}
		for _, id := range []string{m.id.Device, m.id.Module} {
			if id != "" && !iot.ValidID(id) {
				t.Fatalf("%q named the illegal id %q", escaped, id)
			}
		}
		if strings.Contains(m.endpoint.path, "{rest}") {
			return
		}
		again := m.endpoint.path
		for param, v := range map[string]string{"{device}": m.id.Device, "{module}": m.id.Module, "{name}": m.name} {
			again = strings.ReplaceAll(again, param, url.PathEscape(v))
		}
		m2, err := rt.find(method, again)
		if err != nil {
			t.Fatalf("%q became %q: %v", escaped, again, err)
		}
		if diff := cmp.Diff([]string{m.endpoint.path, m.id.Device, m.id.Module, m.name},
			[]string{m2.endpoint.path, m2.id.Device, m2.id.Module, m2.name}); diff != "" {
			t.Fatalf("%q became %q: %s", escaped, again, diff)
		}
	})
}
