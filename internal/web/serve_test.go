package web

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/park"
	"github.com/berth-iot/berth/internal/pki"
)

// certificate makes a self-signed certificate.
func certificate(tb testing.TB, name string) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// authority is the hub's own side of TLS, with a certificate of the test's.
func authority(t *testing.T) *pki.Authority {
	t.Helper()
	dir := t.TempDir()
	own := certificate(t, hubHost)
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key},
	}
	for name, block := range files {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := pki.Open(pki.Config{
		Dir: dir, Names: []string{hubHost}, Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// served is a fixture behind a real listener with TLS.
type served struct {
	*fixture
	addr   string
	client *http.Client
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

func serveTLS(t *testing.T, f *fixture, perAddress ...int) *served {
	t.Helper()
	cfg := park.DoorConfig{Lot: park.New(park.Config{})}
	if len(perAddress) > 0 {
		cfg.MaxArrivingPerAddress = perAddress[0]
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door, err := park.NewDoor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f.server.Serve(context.Background(), ln, door, shake(authority(t).TLSConfig("http/1.1"))); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	s := &served{fixture: f, addr: ln.Addr().String()}
	s.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.addr)
	}
	transport := &http.Transport{
		DialContext:     s.dial,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	s.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		wg.Wait()
	})
	return s
}

// shake is the hub's side of TLS.
func shake(config *tls.Config) park.Handshake {
	return func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
		facts := &device.Conn{
			ID: 1, Transport: device.HTTPS, Accepted: time.Now(), Listener: nc.LocalAddr().String(),
			Remote: netip.MustParseAddrPort(nc.RemoteAddr().String()), Local: netip.MustParseAddrPort(nc.LocalAddr().String()),
			Kernel: device.Kernel(nc),
		}
		conn, told, err := pki.Handshake(ctx, nc, config)
		if err != nil {
			return nil, nil, nil, err
		}
		facts.TLS = told
		return conn, facts, pki.Certificates(conn), nil
	}
}

// answer is an open answer; its body is closed with the test.
type answer struct {
	Status int
	Header http.Header
	Body   io.ReadCloser
}

// get opens a stream as the service policy.
func (s *served) get(t *testing.T, target string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+hubHost+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", token("service"))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Body.Close() })
	return answer{Status: a.StatusCode, Header: a.Header, Body: a.Body}
}

// handshake dials TLS.
func (s *served) handshake(t *testing.T) *tls.Conn {
	t.Helper()
	nc, err := s.dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	t.Cleanup(func() { c.Close() })
	return c
}

// TestHeadersOnTheWire: names as the real hub spells them, on a real connection, and
// no HTTP/2.
func TestHeadersOnTheWire(t *testing.T) {
	s := serveTLS(t, newFixture(t))
	c := s.handshake(t)
	if _, err := io.WriteString(c, "GET /devices/none?"+version+" HTTP/1.1\r\nHost: "+hubHost+":8443\r\nAuthorization: "+token("registryRead")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := c.ConnectionState().NegotiatedProtocol; got == "h2" {
		t.Error("HTTP/2 was agreed")
	}
	r := bufio.NewReader(c)
	var head strings.Builder
	for line, err := r.ReadString('\n'); err == nil && line != "\r\n"; line, err = r.ReadString('\n') {
		head.WriteString(line)
	}
	for _, want := range []string{
		"HTTP/1.1 404 ", "\r\niothub-errorcode: DeviceNotFound\r\n", "\r\nx-ms-request-id: 00000000-0000-4000-8000-000000000000\r\n", "\r\nDate: ",
	} {
		if !strings.Contains(head.String(), want) {
			t.Errorf("no %q in\n%s", want, head.String())
		}
	}
}

// TestOversizedHeaderIsRefused, and so is input that never becomes a request.
func TestOversizedHeaderIsRefused(t *testing.T) {
	s := serveTLS(t, newFixture(t))
	for size, want := range map[int]string{maxHeader + 5000: "HTTP/1.1 431 ", 3 * maxHeader: "HTTP/1.1 4"} {
		c := s.handshake(t)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("a", size))
		answer, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(answer), want) {
			t.Errorf("%d bytes: got %q", size, answer)
		}
	}
}

// TestSlowHeaderIsCut: whoever trickles the headers of a request behind the first, which is
// the door's to bound, is gone before half a minute. The limit is net/http's to enforce; that
// it is set is ours.
func TestSlowHeaderIsCut(t *testing.T) {
	f := newFixture(t)
	f.server.http.ReadHeaderTimeout = 50 * time.Millisecond
	s := serveTLS(t, f)
	c := s.handshake(t)
	in := bufio.NewReader(c)
	ask(t, c, in, "")
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := in.ReadByte(); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Error("the connection is still open")
	}
	for name, d := range map[string]time.Duration{
		"headers": headerTimeout, "request": readTimeout,
	} {
		if d <= 0 || d > 30*time.Second {
			t.Errorf("%s may take %s", name, d)
		}
	}
	if srv := newFixture(t).server.http; srv.ReadHeaderTimeout != headerTimeout || srv.ReadTimeout != readTimeout ||
		srv.WriteTimeout != writeTimeout || srv.IdleTimeout != idleTimeout || srv.MaxHeaderBytes != maxHeader {
		t.Error("a limit is not set")
	}
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// TestUnreadBodyDoesNotHold: a refused request whose body never comes is answered.
func TestUnreadBodyDoesNotHold(t *testing.T) {
	f := newFixture(t)
	f.server.http.ReadTimeout = 200 * time.Millisecond
	s := serveTLS(t, f)
	c := s.handshake(t)
	if _, err := io.WriteString(c, "PUT /devices/d1?"+version+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if !strings.HasPrefix(line, "HTTP/1.1 401 ") {
		t.Errorf("got %q, %v", line, err)
	}
}

// TestOpsPort answers operators.
func TestOpsPort(t *testing.T) {
	var notReady error
	f := newFixture(t, func(c *Config) { c.Ready = func() error { return notReady } })
	f.request(t, "GET", "/devices/d1?"+version, "")
	ops := f.server.OpsHandler()
	get := func(path string) (int, string) {
		w := httptestGet(t, ops, path)
		return w.Code, w.Body.String()
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code, body := get("/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	notReady = errors.New("the store is opening")
	if code, body := get("/readyz"); code != 503 || body != "the store is opening\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	code, body := get("/metrics")
	for _, want := range []string{
		`berth_http_requests_total{route="/devices/{device}",status="401"} 1`,
		`berth_http_auth_failures_total{code="401002"} 1`, "berth_websockets 0", "berth_event_streams 0",
	} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("metrics: %d, no %s", code, want)
		}
	}
	if code, body := get("/debug/pprof/"); code != 200 || !strings.Contains(body, "goroutine") {
		t.Errorf("pprof: %d", code)
	}
	if code, _ := get("/devices"); code != 404 {
		t.Errorf("devices on the operators' port: %d", code)
	}
	if w := f.as(t, "iothubowner", "GET", "/metrics", ""); w.Code != 404 {
		t.Errorf("metrics on the public port: %d", w.Code)
	}
}
