package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/berth-iot/berth/internal/iot"
)

// TestIfMatchForms: every wire form that clients send, against what is and is not
// there (service-rest A.7).
func TestIfMatchForms(t *testing.T) {
	const current = "CURRENT"
	for _, tt := range []struct {
		method, header string
		exists         bool
		want           int
	}{
		{"PUT", "", false, 200},
		{"PUT", "", true, 409},
		{"PUT", `""`, false, 200},
		{"PUT", `""`, true, 409},
		{"PUT", "*", true, 200},
		{"PUT", "*", false, 404},
		{"PUT", `"*"`, true, 200},
		{"PUT", `"*"`, false, 404},
		{"PUT", current, true, 200},
		{"PUT", `"OTHER"`, true, 412},
		{"PUT", `"OTHER"`, false, 404},
		{"PUT", "OTHER", true, 412},
		{"PUT", `W/"OTHER"`, true, 412},
		{"PUT", `"a", "b"`, true, 412},
		{"PUT", `"` + strings.Repeat("a", iot.MaxETag+1) + `"`, true, 412},
		{"DELETE", "", true, 204},
		{"DELETE", "", false, 404},
		{"DELETE", "*", true, 204},
		{"DELETE", `"*"`, true, 204},
		{"DELETE", current, true, 204},
		{"DELETE", `"OTHER"`, true, 412},
		{"DELETE", "OTHER", true, 412},
	} {
		for _, path := range []string{"/devices/d1", "/devices/d1/modules/m1"} {
			f := newFixture(t)
			f.create(t, "other")
			id := iot.Identity{Device: "d1", Module: "m1"}
			if strings.Contains(path, "modules") {
				f.create(t, "d1")
			} else {
				id.Module = ""
			}
			header := tt.header
			if tt.exists {
				etag := f.put(t, id)
				if header == current {
					header = `"` + etag + `"`
				}
			}
			var headers []string
			if header != "" {
				headers = []string{"If-Match", header}
			}
			w := f.as(t, "registryReadWrite", tt.method, path+"?"+version, "{}", headers...)
			if w.Code != tt.want {
				t.Errorf("%s %s If-Match %q, exists %t: got %d %s, want %d", tt.method, path, tt.header, tt.exists, w.Code, w.Body, tt.want)
			}
		}
	}
}

// put creates an identity and gives its etag.
func (f *fixture) put(tb testing.TB, id iot.Identity) string {
	tb.Helper()
	if !id.IsModule() {
		d, err := f.hub.PutDevice(tb.Context(), id.Device, iot.Device{}, iot.Match{})
		if err != nil {
			tb.Fatal(err)
		}
		return d.ETag
	}
	m, err := f.hub.PutModule(tb.Context(), id, iot.Module{}, iot.Match{})
	if err != nil {
		tb.Fatal(err)
	}
	return m.ETag
}

// TestDeviceIdentity walks one device through its life, as az iot hub
// device-identity and azure-iothub's Registry do.
func TestDeviceIdentity(t *testing.T) {
	f := newFixture(t)
	// Node sends empty keys when the user gave none (reaching-the-hub 8).
	created := f.as(t, "iothubowner", "PUT", "/devices/d1?api-version=2021-04-12",
		`{"deviceId":"d1","authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}},"unknown":{"x":[1]}}`)
	if created.Code != http.StatusOK { // never 201
		t.Fatalf("create: %d %s", created.Code, created.Body)
	}
	var d iot.Device
	if err := json.Unmarshal(created.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if got, want := raw(created.Header(), "ETag"), `"`+d.ETag+`"`; got != want {
		t.Errorf("ETag %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Vary": "Origin", "Server": "Berth",
	} {
		if got := created.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if p, s := d.Authentication.Keys(); p == "" || s == "" {
		t.Error("no keys were made")
	}
	read := f.as(t, "registryRead", "GET", "/devices/d1/?api-version=2020-09-30", "")
	if read.Code != 200 || read.Body.String() != created.Body.String() {
		t.Errorf("read: %d %s", read.Code, read.Body)
	}
	// az sends the quoted etag, and "eTag" in the body, which does not count.
	update := f.as(t, "iothubowner", "PUT", "/devices/d1?api-version=2024-03-31", `{"eTag":"*","Status":"DISABLED"}`, "If-Match", `"`+d.ETag+`"`)
	if update.Code != 200 || !strings.Contains(update.Body.String(), `"status":"disabled"`) {
		t.Errorf("update: %d %s", update.Code, update.Body)
	}
	list := f.as(t, "registryRead", "GET", "/devices/?top=10&"+version, "")
	if list.Code != 200 || list.Body.String() != "["+update.Body.String()+"]" || raw(list.Header(), "ETag") != "" {
		t.Errorf("list: %d %s", list.Code, list.Body)
	}
	gone := f.as(t, "iothubowner", "DELETE", "/devices/d1?"+version, "", "If-Match", `"*"`)
	if gone.Code != 204 || gone.Body.Len() != 0 {
		t.Errorf("delete: %d %s", gone.Code, gone.Body)
	}
	if empty := f.as(t, "registryRead", "GET", "/devices?"+version, ""); empty.Body.String() != "[]" {
		t.Errorf("empty list: %s", empty.Body)
	}
}

// TestListBounds: n outside 1 to 1000 means 1000.
func TestListBounds(t *testing.T) {
	f := newFixture(t)
	for i := range 1002 {
		f.create(t, fmt.Sprintf("d%04d", i))
	}
	for top, want := range map[string]int{"1": 1, "7": 7, "1000": 1000, "1001": 1000, "0": 1000, "-5": 1000, "x": 1000, "": 1000} {
		w := f.as(t, "registryRead", "GET", "/devices?"+version+"&top="+top, "")
		var list []json.RawMessage
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list) != want {
			t.Errorf("top=%s: %d devices, %v, want %d", top, len(list), err, want)
		}
	}
}

func TestModuleIdentity(t *testing.T) {
	f := newFixture(t)
	f.create(t, "d1")
	const path = "/devices/d1/modules/m1?" + version
	created := f.as(t, "iothubowner", "PUT", path, `{"moduleId":"m1","deviceId":"d1"}`)
	if created.Code != 200 || raw(created.Header(), "ETag") != "" { // in the body only
		t.Errorf("create: %d %v", created.Code, created.Header())
	}
	if w := f.as(t, "iothubowner", "PUT", path, `{}`); w.Code != 409 || raw(w.Header(), "iothub-errorcode") != "ModuleAlreadyExistsOnDevice" {
		t.Errorf("twice: %d %s", w.Code, w.Body)
	}
	if w := f.as(t, "registryRead", "GET", path, ""); w.Body.String() != created.Body.String() {
		t.Errorf("read: %s", w.Body)
	}
	if w := f.as(t, "registryRead", "GET", "/devices/d1/modules?"+version, ""); w.Body.String() != "["+created.Body.String()+"]" {
		t.Errorf("list: %s", w.Body)
	}
	if w := f.as(t, "service", "GET", "/twins/d1/modules/m1?"+version, ""); w.Code != 200 ||
		!strings.Contains(w.Body.String(), `"moduleId":"m1","etag":"AAAAAAAAAAE="`) || raw(w.Header(), "ETag") != "" {
		t.Errorf("twin: %d %s", w.Code, w.Body)
	}
	if w := f.as(t, "iothubowner", "DELETE", path, ""); w.Code != 204 {
		t.Errorf("delete: %d", w.Code)
	}
}

func TestStatistics(t *testing.T) {
	f := newFixture(t)
	f.create(t, "d1", "d2")
	if w := f.as(t, "registryRead", "GET", "/statistics/devices?"+version, ""); w.Body.String() != `{"totalDeviceCount":2,"enabledDeviceCount":2,"disabledDeviceCount":0}` {
		t.Errorf("devices: %s", w.Body)
	}
	if w := f.as(t, "service", "GET", "/statistics/service?"+version, ""); w.Body.String() != `{"connectedDeviceCount":3}` {
		t.Errorf("service: %s", w.Body)
	}
}

func TestBulk(t *testing.T) {
	f := newFixture(t)
	const path = "/devices/?" + version // csharp's trailing slash
	if w := f.as(t, "registryReadWrite", "POST", path, `[{"id":"d1"},{"id":"d2","importMode":"CREATE"}]`); w.Code != 200 ||
		w.Body.String() != `{"isSuccessful":true,"errors":[],"warnings":[]}` {
		t.Errorf("create: %d %s", w.Code, w.Body)
	}
	// Explorer's spelling.
	w := f.as(t, "registryReadWrite", "POST", path, `[{"id":"d1","etag":"*","importMode":"deleteIfMatchEtag"},{"id":"d9","importMode":"delete"}]`)
	want := `{"isSuccessful":false,"errors":[{"deviceId":"d9","errorCode":404001,"errorStatus":"device 'd9' is not registered","operation":"delete"}],"warnings":[]}`
	if w.Code != 400 || w.Body.String() != want {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	for _, h := range []string{"iothub-errorcode", "IotHubErrorCode"} {
		if got := raw(w.Header(), h); got != "BulkRegistryOperationFailure" {
			t.Errorf("%s: %q", h, got)
		}
	}
	item := `{"id":"x"},`
	for body, code := range map[string]string{
		"[" + strings.TrimSuffix(strings.Repeat(item, iot.MaxBulk+1), ",") + "]": "TooManyDevices",
		`{"id":"d1"}`:                       "ArgumentInvalid",
		`[{"id":"d1"}`:                      "IotHubFormatError",
		`[{"id":"d1"},`:                     "IotHubFormatError",
		`[{"id":7}]`:                        "ArgumentInvalid",
		`[{"id":"d1","importMode":"make"}]`: "ArgumentInvalid",
		`[`:                                 "IotHubFormatError",
		``:                                  "ArgumentNull",
		`x`:                                 "IotHubFormatError",
		`[{"id":"d1"}] x`:                   "IotHubFormatError",
		`[{"id":"d1"}]]`:                    "IotHubFormatError",
	} {
		w := f.as(t, "registryReadWrite", "POST", path, body)
		if got := raw(w.Header(), "iothub-errorcode"); got != code || w.Code < 400 {
			t.Errorf("%.40s: %d %s, want %s", body, w.Code, w.Body, code)
		}
	}
}

// TestByteOrderMarkIsIgnored: editors and PowerShell put one before what they write.
func TestByteOrderMarkIsIgnored(t *testing.T) {
	f := newFixture(t)
	if w := f.as(t, "iothubowner", "PUT", "/devices/d1?"+version, "\ufeff{}"); w.Code != http.StatusOK {
		t.Errorf("a device: %d %s", w.Code, w.Body)
	}
	if w := f.as(t, "iothubowner", "POST", "/devices?"+version, "\ufeff[{\"id\":\"d2\"}]"); w.Code != http.StatusOK {
		t.Errorf("in bulk: %d %s", w.Code, w.Body)
	}
	if w := f.as(t, "iothubowner", "PUT", "/devices/d3?"+version, "\ufeff"); raw(w.Header(), "iothub-errorcode") != "ArgumentNull" {
		t.Errorf("nothing else: %d %s", w.Code, w.Body)
	}
}

// TestBulkOfManyTinyItemsIsCheap: a body of two million empty items costs no more
// than the hundred that are allowed.
func TestBulkOfManyTinyItemsIsCheap(t *testing.T) {
	body := []byte("[" + strings.Repeat("{},", 2_000_000) + "{}]")
	n := testing.AllocsPerRun(1, func() {
		items, err := decodeBulk(body)
		if err == nil || len(items) != 0 {
			t.Error("two million items were taken")
		}
	})
	if n > 2000 {
		t.Errorf("%v allocations", n)
	}
}

func TestRegenerateKeys(t *testing.T) {
	f := newFixture(t)
	f.create(t, "d1")
	const path = "/devices/keys/regenerate?api-version=2024-03-31"
	for _, tt := range []struct {
		body   string
		status int
		want   string
	}{
		{
			`{"policyKey":"PrimaryKey","devices":[{"id":"d1"}]}`, 200,
			`{"policyKey":"primaryKey","rotatedKeys":[{"id":"d1","moduleId":null,"primaryKey":"bmV3","secondaryKey":"b2xk"}],"errors":[]}`,
		},
		{
			`{"policyKey":"both","devices":[{"id":"d1"},{"id":"d9"}]}`, 207,
			`{"policyKey":"both","rotatedKeys":[{"id":"d1","moduleId":null,"primaryKey":"bmV3","secondaryKey":"b2xk"}],` +
				`"errors":[{"id":"d9","moduleId":null,"errorCode":404001,"errorStatus":"device 'd9' is not registered"}]}`,
		},
		{
			`{"policyKey":"both","devices":[{"id":"d9"}]}`, 400,
			`{"policyKey":"both","rotatedKeys":[],"errors":[{"id":"d9","moduleId":null,"errorCode":404001,"errorStatus":"device 'd9' is not registered"}]}`,
		},
		{`{"policyKey":"both","devices":[]}`, 400, ""},
		{`{"devices":[{"id":"d1"}]}`, 400, ""},
	} {
		w := f.as(t, "iothubowner", "POST", path, tt.body)
		if w.Code != tt.status || tt.want != "" && w.Body.String() != tt.want {
			t.Errorf("%s: got %d %s", tt.body, w.Code, w.Body)
		}
	}
}

// TestRights: who may do what (service-rest A.2), and that everybody else is told 401.
func TestRights(t *testing.T) {
	f := newFixture(t)
	f.create(t, "d1")
	for _, tt := range []struct{ method, target, allowed string }{
		{"GET", "/devices/d1?" + version, "iothubowner registryRead registryReadWrite"},
		{"GET", "/devices?" + version, "iothubowner registryRead registryReadWrite"},
		{"GET", "/devices/d1/modules?" + version, "iothubowner registryRead registryReadWrite"},
		{"GET", "/statistics/devices?" + version, "iothubowner registryRead registryReadWrite"},
		{"GET", "/statistics/service?" + version, "iothubowner service"},
		{"PUT", "/devices/d1?" + version, "iothubowner registryReadWrite"},
		{"DELETE", "/devices/d9?" + version, "iothubowner registryReadWrite"},
		{"POST", "/devices?" + version, "iothubowner registryReadWrite"},
		{"POST", "/devices/keys/regenerate?" + version, "iothubowner registryReadWrite"},
		{"POST", "/devices/query?" + version, "iothubowner service"},
		{"GET", "/twins/d1?" + version, "iothubowner service"},
		{"GET", "/berth/v1/hub", "iothubowner service registryRead registryReadWrite"},
		{"GET", "/berth/v1/events/telemetry?follow=false", "iothubowner service"},
		{"GET", "/berth/v1/events/resource-log", "iothubowner service"},
		{"GET", "/berth/v1/events/connections", "iothubowner service"},
		{"GET", "/berth/v1/conflicts", "iothubowner service"},
		{"GET", "/berth/v1/devices/d/explain", "iothubowner service"},
		{"GET", "/berth/v1/devices/d/modules/m/explain", "iothubowner service"},
		{"GET", "/berth/v1/cas", "iothubowner registryRead registryReadWrite"},
		{"PUT", "/berth/v1/cas/c", "iothubowner registryReadWrite"},
		{"DELETE", "/berth/v1/cas/c", "iothubowner registryReadWrite"},
		{"POST", "/berth/v1/cas/c/verify", "iothubowner registryReadWrite"},
	} {
		for _, p := range policies() {
			w := f.as(t, p.Name, tt.method, tt.target, "")
			allowed := strings.Contains(" "+tt.allowed+" ", " "+p.Name+" ")
			if (w.Code == 401) == allowed {
				t.Errorf("%s %s as %s: %d, allowed %t", tt.method, tt.target, p.Name, w.Code, allowed)
			}
		}
		// No device's own token opens the service side.
		own := f.request(t, tt.method, tt.target, "", "Authorization", deviceToken(iot.Identity{Device: "d1"}))
		if own.Code != 401 || raw(own.Header(), "iothub-errorcode") != "IotHubUnauthorizedAccess" {
			t.Errorf("%s %s with a device token: %d", tt.method, tt.target, own.Code)
		}
	}
}

func TestAuthorities(t *testing.T) {
	f := newFixture(t)
	do := func(method, path, body string) (int, string) {
		w := f.as(t, "registryReadWrite", method, "/berth/v1/cas"+path, body)
		return w.Code, w.Body.String()
	}
	has := func(step string, code int, body string, want int, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if code != want || !strings.Contains(body, p) {
				t.Errorf("%s: %d %s, want %d %s", step, code, body, want, p)
			}
		}
	}
	code, body := do("GET", "", "")
	has("empty", code, body, 200, "[]")
	code, body = do("PUT", "/plant", `{"certificate":"PEM"}`)
	has("add", code, body, 200, `"isVerified":false`, `"verificationCode":"C0DE"`)
	code, body = do("POST", "/plant/verification-code", "")
	has("challenge", code, body, 200, `"verificationCode":"C0DE2"`)
	code, body = do("POST", "/plant/verify", `{"certificate":"other"}`)
	has("wrong proof", code, body, 400, "ArgumentInvalid")
	code, body = do("POST", "/plant/verify", `{"certificate":"C0DE2"}`)
	has("proof", code, body, 200, `"isVerified":true`)
	code, body = do("PUT", "/trusted", `{"certificate":"PEM","isVerified":true}`)
	has("trust", code, body, 200, `"isVerified":true`)
	code, body = do("GET", "/trusted", "")
	has("read", code, body, 200, `"name":"trusted"`)
	code, body = do("PUT", "/trusted", `{"certificate":"PEM"}`)
	has("add twice", code, body, 409, "GenericConflict")
	if w := f.as(t, "registryReadWrite", "PUT", "/berth/v1/cas/trusted", `{"certificate":"NEW"}`, "If-Match", `"*"`); w.Code != 200 {
		t.Errorf("replace: %d %s", w.Code, w.Body)
	}
	if w := f.as(t, "registryReadWrite", "DELETE", "/berth/v1/cas/trusted", "", "If-Match", `"old"`); w.Code != 412 {
		t.Errorf("stale: %d %s", w.Code, w.Body)
	}
	code, body = do("PUT", "/none", `{}`)
	has("no certificate", code, body, 400, "ArgumentNull")
	code, _ = do("DELETE", "/plant", "")
	has("remove", code, "", 204, "")
	code, body = do("GET", "/plant", "")
	has("gone", code, body, 404, "CertificateNotFound")
	code, body = do("DELETE", "/plant", "")
	has("gone twice", code, body, 404, "CertificateNotFound")
}

func TestAboutTheHub(t *testing.T) {
	f := newFixture(t)
	w := f.as(t, "registryRead", "GET", "/berth/v1/hub", "")
	want := `{"version":"1.2.3","name":"hub","hostNames":["hub.test"],"partitions":4,"partitionIds":[0,1,2,3],` +
		`"startTime":"2020-09-07T14:46:08Z","connectedSessions":3}`
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
