package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/berth-iot/berth/internal/fault"
)

const (
	zeroTracking = "00000000000040008000000000000000"
	badVersion   = "BadRequest: the query has no api-version like 2021-04-12, of 2016-02-03 or later"
	exception    = `"ExceptionMessage":"Tracking ID:` + zeroTracking + `-G:0-TimeStamp:09/07/2020 14:46:08"}`
)

// TestErrorBodies holds every kind of refusal to its exact body, status and headers
// (service-rest A.5).
func TestErrorBodies(t *testing.T) {
	f := newFixture(t)
	f.create(t, "d1")
	const dev, query = "/devices/d1?" + version, "?" + version
	for _, tt := range []struct {
		name, policy, method, target, body string
		headers                            []string
		status                             int
		code, text                         string
	}{
		{
			"exists", "iothubowner", "PUT", dev, "{}", nil,
			409, "DeviceAlreadyExists", "A device with ID 'd1' is already registered.",
		},
		{"unknown device", "iothubowner", "GET", "/devices/none" + query, "", nil, 404, "DeviceNotFound", "none"},
		{"unknown device to delete", "iothubowner", "DELETE", "/devices/none" + query, "", nil, 404, "DeviceNotFound", "none"},
		{"unknown module", "iothubowner", "GET", "/devices/d1/modules/m1" + query, "", nil, 404, "ModuleNotFound", "d1/m1"},
		{"module of unknown device", "iothubowner", "GET", "/devices/none/modules/m1" + query, "", nil, 404, "DeviceNotFound", "none"},
		{"unknown twin", "iothubowner", "GET", "/twins/none" + query, "", nil, 404, "DeviceNotFound", "none"},
		{
			"stale", "iothubowner", "PUT", dev, "{}",
			[]string{"If-Match", `"stale"`},
			412, "PreconditionFailed", "ETag mismatch for device ID 'd1'",
		},
		{
			"bare etag", "iothubowner", "PUT", dev, "{}",
			[]string{"If-Match", "MQ=="},
			412, "PreconditionFailed", "Invalid ETag: an etag in If-Match stands in double quotes",
		},
		{"no version", "iothubowner", "GET", "/devices/d1", "", nil, 400, "InvalidProtocolVersion", badVersion},
		{"old version", "iothubowner", "GET", "/devices/d1?api-version=2015-01-01", "", nil, 400, "InvalidProtocolVersion", badVersion},
		{
			"no token", "", "GET", dev, "", nil,
			401, "IotHubUnauthorizedAccess", "Unauthorized: no Authorization header was sent",
		},
		{
			"too little right", "service", "PUT", dev, "{}", nil,
			401, "IotHubUnauthorizedAccess", "Unauthorized: the shared access policy 'service' lacks the right RegistryWrite",
		},
		{"not JSON", "iothubowner", "PUT", "/devices/d2" + query, "{", nil, 400, "IotHubFormatError", "the body is not JSON"},
		{
			"no body", "iothubowner", "PUT", "/devices/d2" + query, "", nil,
			400, "ArgumentNull", "BadRequest: the request needs a JSON body",
		},
		{
			"wrong type", "iothubowner", "PUT", "/devices/d2" + query, `{"status":7}`, nil,
			400, "ArgumentInvalid", "status cannot be a JSON number",
		},
		{
			"wrong status", "iothubowner", "PUT", "/devices/d2" + query, `{"status":"asleep"}`, nil,
			400, "ArgumentInvalid", `status "asleep" is not one of enabled, disabled`,
		},
		{
			"illegal id", "iothubowner", "PUT", "/devices/a%2Fb" + query, "{}", nil,
			400, "ArgumentInvalid", `"a/b" is no device id: 1 to 128 of A-Z a-z 0-9 and - : . + % _ # * ? ! ( ) , = @ $ ' semicolon`,
		},
		{
			"large body", "iothubowner", "PUT", "/devices/d2" + query, strings.Repeat(" ", maxIdentity+1), nil,
			413, "GenericRequestEntityTooLarge", "the body is larger than 65536 bytes",
		},
		{"no path", "iothubowner", "GET", "/nothing" + query, "", nil, 404, "GenericNotFound", "the hub has no such path"},
		{
			"no method", "iothubowner", "PATCH", dev, "", nil,
			405, "GenericMethodNotAllowed", `this path does not answer to "PATCH"`,
		},
		{
			"queries", "iothubowner", "POST", "/devices/query" + query, `{"query":"select * from devices"}`, nil,
			501, "GenericNotImplemented",
			"this version of Berth answers no queries: list devices with GET /devices?top=1000, read one with GET /devices/{id}",
		},
		{
			"queries of Explorer", "iothubowner", "POST", "/devices%2Fquery" + query, `{"query":"select * from devices"}`, nil,
			501, "GenericNotImplemented",
			"this version of Berth answers no queries: list devices with GET /devices?top=1000, read one with GET /devices/{id}",
		},
		{
			"twin patch", "iothubowner", "PATCH", "/twins/d1" + query, "{}", nil,
			501, "GenericNotImplemented", "this version of Berth does not answer PATCH /twins/{device}",
		},
	} {
		headers := tt.headers
		if tt.policy != "" {
			headers = append(headers, "Authorization", token(tt.policy))
		}
		w := f.request(t, tt.method, tt.target, tt.body, headers...)
		want := string(plainJSON("ErrorCode:" + tt.code + ";" + tt.text))
		want = `{"Message":` + want + `,` + exception
		if got := w.Body.String(); got != want || w.Code != tt.status || raw(w.Header(), "iothub-errorcode") != tt.code {
			t.Errorf("%s: got %d %v\n%s\nwant %d %s\n%s", tt.name, w.Code, w.Header(), got, tt.status, tt.code, want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("%s: content type %q", tt.name, got)
		}
		if got := strings.ReplaceAll(raw(w.Header(), "x-ms-request-id"), "-", ""); got != zeroTracking {
			t.Errorf("%s: x-ms-request-id %q is not the tracking id", tt.name, got)
		}
	}
}

// TestMethodsAnswerInTheNestedShape: the real hub nests a JSON text in Message there.
func TestMethodsAnswerInTheNestedShape(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/twins/d1/methods?", "/twins/d1/modules/m1/methods?"} {
		w := f.as(t, "service", http.MethodPost, path+version, "{}")
		want := `{"Message":"{\"errorCode\":501000,\"trackingId\":\"` + zeroTracking + `-G:0-TimeStamp:09/07/2020 14:46:08\",` +
			`\"message\":\"this version of Berth has no direct methods\",\"info\":{},\"timestampUtc\":\"2020-09-07T14:46:08Z\"}",` +
			`"ExceptionMessage":""}`
		if w.Code != 501 || w.Body.String() != want || raw(w.Header(), "iothub-errorcode") != "GenericNotImplemented" {
			t.Errorf("got %d %v\n%s\nwant\n%s", w.Code, w.Header(), w.Body, want)
		}
	}
}

// TestInternalErrorsAreOpaque: nobody but the log reads what went wrong inside.
func TestInternalErrorsAreOpaque(t *testing.T) {
	var m match
	for _, err := range []error{
		errors.New("disk sda1 secret"),
		fault.Wrap(errors.New("disk sda1 secret"), fault.ServerError, "x", ""),
	} {
		if got := describe(fault.Of(err), err, &m); got != "InternalServerError" {
			t.Errorf("got %q", got)
		}
	}
}

// TestPanicAnswers500 and the server goes on.
func TestPanicAnswers500(t *testing.T) {
	f := newFixture(t)
	f.hub.panics = true
	w := f.as(t, "iothubowner", http.MethodPut, "/devices/d1?"+version, "{}")
	want := `{"Message":"ErrorCode:ServerError;InternalServerError",` + exception
	if w.Code != 500 || w.Body.String() != want {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestErrorTextIsBounded: however long the detail, and wherever it is cut.
func TestErrorTextIsBounded(t *testing.T) {
	text := clean(strings.Repeat("ä;", maxDetail))
	if len(text) > maxDetail || strings.Contains(text, ";") || !strings.HasPrefix(text, "ä,ä,") {
		t.Errorf("got %d bytes, %.20q", len(text), text)
	}
}

// TestFailedIdentityOperationsAreTold to the resource log, and only those of callers
// that were let in.
func TestFailedIdentityOperationsAreTold(t *testing.T) {
	f := newFixture(t)
	f.create(t, "d1")
	f.as(t, "iothubowner", "PUT", "/devices/d1?"+version, "{}")
	f.as(t, "iothubowner", "PUT", "/devices/d9?"+version, "{}", "If-Match", "*")
	f.as(t, "iothubowner", "DELETE", "/devices/d9/modules/m?"+version, "")
	f.as(t, "iothubowner", "GET", "/devices/d9?"+version, "")
	f.as(t, "service", "GET", "/devices/d9?"+version, "")
	f.as(t, "iothubowner", "POST", "/devices?"+version, `[{"id":"d1","importMode":"create"},{"id":"d2"}]`)
	got := strings.Join(f.hub.failures, "\n")
	want := "create d1 409001\nupdate d9 404001\ndelete d9/m 404001\nget d9 404001\ncreate d1 409001"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
