package client

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/config"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// hostName is in the certificate of httptest.
const hostName = "example.com"

// zeros reads as endless zero bytes: keys of a test.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// startHub serves handler on loopback as the hub of a data folder.
func startHub(t *testing.T, handler http.HandlerFunc) (dir string, srv *httptest.Server) {
	t.Helper()
	srv = httptest.NewTLSServer(handler)
	t.Cleanup(srv.Close)
	dir = t.TempDir()
	if _, err := config.OpenPolicies(dir, zeros{}); err != nil {
		t.Fatal(err)
	}
	if err := config.WriteHosts(dir, []string{hostName}); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	host, portText, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	run := config.Run{Hosts: []string{hostName}, Addresses: []string{host}, HTTPSPort: port, MQTTPort: 18883, CA: ca}
	if err := config.WriteRun(dir, run); err != nil {
		t.Fatal(err)
	}
	return dir, srv
}

func find(t *testing.T, o Options) *Hub {
	t.Helper()
	h, err := Find(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestCallIsSignedAndDialsWhereTheHubListens(t *testing.T) {
	type seen struct{ method, path, host, match, version string }
	var got seen
	var problem string
	dir, _ := startHub(t, func(w http.ResponseWriter, r *http.Request) {
		got = seen{r.Method, r.URL.EscapedPath(), r.Host, r.Header.Get("If-Match"), r.URL.Query().Get("api-version")}
		sas, err := iot.ParseSAS(r.Header.Get("Authorization"))
		if err != nil || sas.Policy != owner || !sas.Verify(make([]byte, iot.KeySize)) || sas.Expired(time.Now(), 0) ||
			!sas.Covers(iot.NewHosts(hostName).Has, "devices/d") {
			problem = "the token is not good"
		}
		io.Copy(w, r.Body)
	})
	h := find(t, Options{Data: dir})
	d, err := h.ReplaceDevice(t.Context(), iot.Device{DeviceID: "a%b#c?", ETag: "MQ=="})
	if err != nil {
		t.Fatal(err)
	}
	want := seen{"PUT", "/devices/a%25b%23c%3F", hostName, `"MQ=="`, apiVersion}
	if got != want || problem != "" {
		t.Errorf("got %+v %s, want %+v", got, problem, want)
	}
	if d.DeviceID != "a%b#c?" {
		t.Errorf("got device %q", d.DeviceID)
	}
}

func TestRefusalIsShownAsCodeAndSentence(t *testing.T) {
	tests := []struct {
		name, header, body string
		status             int
		want               string
	}{
		{"classic", "DeviceAlreadyExists", `{"Message":"ErrorCode:DeviceAlreadyExists;A device with ID 'd' is already registered.","ExceptionMessage":"Tracking ID:ab-G:0"}`, 409, "DeviceAlreadyExists: A device with ID 'd' is already registered."},
		{"no header", "", `{"Message":"ErrorCode:DeviceNotFound;d"}`, 404, "DeviceNotFound: d"},
		{"no body", "ThrottlingException", "", 429, "ThrottlingException"},
		{"no hub", "", "<html>", 502, "the hub answered 502 Bad Gateway"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, _ := startHub(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != "" {
					w.Header().Set("iothub-errorcode", tt.header)
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			_, err := find(t, Options{Data: dir}).Device(t.Context(), "d")
			e, ok := errors.AsType[*RefusedError](err)
			if !ok || e.Status != tt.status || e.Error() != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestBulkFailureNamesTheItems(t *testing.T) {
	dir, _ := startHub(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("iothub-errorcode", fault.BulkRegistryOperationFailure.Name())
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"isSuccessful":false,"errors":[{"deviceId":"d","errorCode":404001,"errorStatus":"x"}],"warnings":[]}`)
	})
	got, err := find(t, Options{Data: dir}).Bulk(t.Context(), []iot.BulkItem{{ID: "d"}})
	if !errors.Is(err, &RefusedError{Name: fault.BulkRegistryOperationFailure.Name()}) {
		t.Errorf("got error %v", err)
	}
	want := []iot.BulkError{{DeviceID: "d", ErrorCode: 404001, ErrorStatus: "x"}}
	if diff := cmp.Diff(want, got.Errors); diff != "" {
		t.Error(diff)
	}
}

func TestNoHub(t *testing.T) {
	dir, srv := startHub(t, func(http.ResponseWriter, *http.Request) {})
	if _, err := Find(Options{Data: t.TempDir()}); !errors.Is(err, ErrNoHub) {
		t.Errorf("empty folder: got %v", err)
	}
	h := find(t, Options{Data: dir})
	srv.Close() // as after a crash: run.json stays
	if _, err := h.Device(t.Context(), "d"); !errors.Is(err, ErrNoHub) {
		t.Errorf("stale run.json: got %v", err)
	}
}

func TestLogin(t *testing.T) {
	key := iot.FormatKey(make([]byte, iot.KeySize))
	dir, srv := startHub(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"deviceId":"d"}`) })
	ca := filepath.Join(dir, "ca.pem")
	tests := []struct {
		name string
		o    Options
		want string // address; empty: an error
	}{
		{"the hub of the folder", Options{Data: dir, Login: "HostName=Example.com;SharedAccessKeyName=service;SharedAccessKey=" + key}, srv.Listener.Addr().String()},
		{"another hub", Options{Data: dir, Login: "HostName=hub.test;SharedAccessKeyName=service;SharedAccessKey=" + key}, "hub.test:443"},
		{"a port", Options{Data: t.TempDir(), CA: ca, Login: "HostName=hub.test:8443;SharedAccessKeyName=service;SharedAccessKey=" + key}, "hub.test:8443"},
		{"a device", Options{Data: dir, Login: "HostName=hub.test;DeviceId=d;SharedAccessKey=" + key}, ""},
		{"a bad key", Options{Data: dir, Login: "HostName=hub.test;SharedAccessKeyName=service;SharedAccessKey=secret"}, ""},
		{"a CA that is none", Options{Data: dir, CA: "client_test.go", Login: "HostName=hub.test;SharedAccessKeyName=service;SharedAccessKey=" + key}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := Find(tt.o)
			switch {
			case tt.want == "" && err == nil:
				t.Error("no error")
			case tt.want == "" && strings.Contains(err.Error(), "secret"):
				t.Errorf("the error quotes the key: %v", err)
			case tt.want != "" && err != nil:
				t.Error(err)
			case tt.want != "" && h.Address() != tt.want:
				t.Errorf("got %s, want %s", h.Address(), tt.want)
			}
		})
	}
}

func TestUntrustedHubGetsNoToken(t *testing.T) {
	asked := false
	_, srv := startHub(t, func(http.ResponseWriter, *http.Request) { asked = true })
	srv.Config.ErrorLog = nil
	key := iot.FormatKey(make([]byte, iot.KeySize))
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	h := find(t, Options{Data: t.TempDir(), Login: "HostName=127.0.0.1:" + port + ";SharedAccessKeyName=service;SharedAccessKey=" + key})
	if _, err := h.Device(t.Context(), "d"); err == nil || asked {
		t.Errorf("got %v, asked %v", err, asked)
	}
}

func TestEventsStream(t *testing.T) {
	var got string
	dir, _ := startHub(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Del("api-version")
		got = q.Encode()
		io.WriteString(w, "{\"sequenceNumber\":1}\n\n{\"sequenceNumber\":2}\n")
	})
	h := find(t, Options{Data: dir})
	partition, sequence := 1, uint64(7)
	tests := []struct {
		name string
		q    EventQuery
		want string
	}{
		{"zero", EventQuery{NoFollow: true}, "follow=false&from=end"},
		{"all", EventQuery{Partition: &partition, Device: "d+1", Module: "m", FromSequence: &sequence, Max: 3}, "device=d%2B1&follow=true&fromSequence=7&max=3&module=m&partition=1"},
		{"time", EventQuery{FromTime: time.Unix(1, 5000).UTC(), NoFollow: true}, "follow=false&fromTime=1970-01-01T00%3A00%3A01.000005Z"},
		{"earliest", EventQuery{From: FromEarliest, NoFollow: true}, "follow=false&from=earliest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			err := h.Events(t.Context(), tt.q, func(line []byte) error { lines = append(lines, string(line)); return nil })
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if diff := cmp.Diff([]string{`{"sequenceNumber":1}`, `{"sequenceNumber":2}`}, lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStreamEnds(t *testing.T) {
	answer := ""
	dir, _ := startHub(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) })
	h := find(t, Options{Data: dir})
	none := func([]byte) error { return nil }
	if err := h.Logs(t.Context(), iot.LogQuery{Follow: true}, none); !errors.Is(err, errStreamEnded) {
		t.Errorf("a followed stream that ends: got %v", err)
	}
	answer = `{"error":{"code":500001,"message":"a block is damaged"}}`
	want := &RefusedError{Name: "ServerError"}
	if err := h.Logs(t.Context(), iot.LogQuery{}, none); !errors.Is(err, want) || !strings.Contains(err.Error(), "a block is damaged") {
		t.Errorf("a stream that breaks: got %v", err)
	}
	answer = strings.Repeat("x", maxLine+1)
	if err := h.Logs(t.Context(), iot.LogQuery{}, none); err == nil {
		t.Error("an endless line is no error")
	}
	stop := errors.New("enough")
	answer = "{}\n{}\n"
	if err := h.Logs(t.Context(), iot.LogQuery{}, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestFollowedStreamEndsWithItsContext(t *testing.T) {
	dir, _ := startHub(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "{}\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	h := find(t, Options{Data: dir})
	ctx, cancel := context.WithCancel(t.Context())
	if err := h.Events(ctx, EventQuery{}, func([]byte) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPolicyString(t *testing.T) {
	dir, _ := startHub(t, func(http.ResponseWriter, *http.Request) {})
	c, err := PolicyString(dir, "service")
	want := "HostName=example.com;SharedAccessKeyName=service;SharedAccessKey=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	if err != nil || c.String() != want {
		t.Errorf("got %s %v, want %s", c, err, want)
	}
	if _, err := PolicyString(dir, "nobody"); err == nil {
		t.Error("an unknown policy is no error")
	}
	if _, err := PolicyString(t.TempDir(), "service"); !errors.Is(err, ErrNoHub) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionStringOfIdentity(t *testing.T) {
	h := &Hub{name: "hub.test"}
	sas := &iot.Authentication{Type: iot.AuthenticationSAS, SymmetricKey: &iot.SymmetricKey{PrimaryKey: "a2V5"}}
	tests := []struct {
		id   iot.Identity
		a    *iot.Authentication
		want string
	}{
		{iot.Identity{Device: "d"}, sas, "HostName=hub.test;DeviceId=d;SharedAccessKey=a2V5"},
		{iot.Identity{Device: "d", Module: "m"}, sas, "HostName=hub.test;DeviceId=d;ModuleId=m;SharedAccessKey=a2V5"},
		{iot.Identity{Device: "d"}, &iot.Authentication{Type: iot.AuthenticationCA}, "HostName=hub.test;DeviceId=d;x509=true"},
	}
	for _, tt := range tests {
		if got := h.ConnectionString(tt.id, tt.a).String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestDialable(t *testing.T) {
	tests := []struct {
		in   []string
		want string
	}{
		{[]string{"127.0.0.1", "::1"}, "127.0.0.1"},
		{[]string{"0.0.0.0"}, "127.0.0.1"},
		{[]string{"::"}, "::1"},
		{[]string{"192.0.2.1", "198.51.100.1"}, "192.0.2.1"},
		{[]string{"192.0.2.1", "127.0.0.1"}, "127.0.0.1"},
	}
	for _, tt := range tests {
		if got := dialable(tt.in); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestReadCertificateLeavesKeysBehind(t *testing.T) {
	_, srv := startHub(t, func(http.ResponseWriter, *http.Request) {})
	dir := t.TempDir()
	der := srv.Certificate().Raw
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")})
	for name, text := range map[string][]byte{"pem": cert, "der": der, "both": append(key, cert...)} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadCertificate(file); err != nil || got != string(cert) {
			t.Errorf("%s: got %q %v", name, got, err)
		}
	}
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCertificate(file); err == nil {
		t.Error("a key alone is no error")
	}
}

func TestAuthorities(t *testing.T) {
	var got []string
	dir, _ := startHub(t, func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		json.NewDecoder(r.Body).Decode(&body)
		text, _ := json.Marshal(body)
		got = append(got, r.Method+" "+r.URL.Path+" "+string(text))
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		io.WriteString(w, `{"name":"n"}`)
	})
	h := find(t, Options{Data: dir})
	_, err1 := h.AddAuthority(t.Context(), "n", "C", true)
	_, err2 := h.VerificationCode(t.Context(), "n")
	_, err3 := h.VerifyAuthority(t.Context(), "n", "C")
	if err := errors.Join(err1, err2, err3, h.RemoveAuthority(t.Context(), "n")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`PUT /berth/v1/cas/n {"certificate":"C","isVerified":true}`,
		"POST /berth/v1/cas/n/verification-code null",
		`POST /berth/v1/cas/n/verify {"certificate":"C"}`,
		"DELETE /berth/v1/cas/n null",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
