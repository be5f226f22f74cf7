package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/park"
)

// echo speaks what it hears, until the peer ends or says "bye".
type echo struct {
	facts chan *device.Conn
	certs chan []*x509.Certificate
	ended chan error
}

func newEcho() *echo {
	return &echo{facts: make(chan *device.Conn, 8), certs: make(chan []*x509.Certificate, 8), ended: make(chan error, 8)}
}

func (e *echo) serve(_ context.Context, p park.Peer) {
	nc := p.Conn
	p.Admitted()
	e.facts <- p.Facts
	e.certs <- p.Certs
	buf := make([]byte, 4096)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			nc.Close()
			e.ended <- err
			return
		}
		if _, err := nc.Write(buf[:n]); err != nil {
			nc.Close()
			e.ended <- err
			return
		}
		if string(buf[:n]) == "bye" { // as park ends a conversation
			_ = nc.(interface{ CloseWrite() error }).CloseWrite()
			_ = nc.SetReadDeadline(time.Now().Add(time.Second))
			_, err := io.Copy(io.Discard, nc)
			nc.Close()
			e.ended <- err
			return
		}
	}
}

func withEcho(e *echo) func(*Config) {
	return func(c *Config) { c.Sockets = map[string]Socket{"mqtt": {Transport: device.MQTTWS, Serve: e.serve}} }
}

// ws dials a WebSocket.
func (s *served) ws(t *testing.T, path string, protocols ...string) (*websocket.Conn, answer, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DialContext: s.dial,
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true,
			Certificates:       []tls.Certificate{certificate(t, "d1")},
		},
	}}
	c, a, err := websocket.Dial(t.Context(), "wss://"+hubHost+path, &websocket.DialOptions{
		HTTPClient: client, Subprotocols: protocols, HTTPHeader: http.Header{"Origin": {"https://anywhere.example"}},
		CompressionMode: websocket.CompressionContextTakeover,
	})
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	if a == nil {
		return c, answer{}, err
	}
	if a.Body != nil {
		t.Cleanup(func() { a.Body.Close() })
	}
	return c, answer{Status: a.StatusCode, Header: a.Header, Body: a.Body}, err
}

// TestWebSocketEchoesEverySpelling of path and sub-protocol (device-mqtt-http 1).
func TestWebSocketEchoesEverySpelling(t *testing.T) {
	e := newEcho()
	s := serveTLS(t, newFixture(t, withEcho(e)))
	for _, tt := range []struct {
		path      string
		protocols []string
		want      string
	}{
		{"/$iothub/websocket", []string{"mqtt"}, "mqtt"},
		{"/$iothub/websocket", []string{"MQTT"}, "MQTT"},
		{"/%24iothub/websocket", []string{"Mqtt"}, "Mqtt"},
		{"/$iothub/websocket?iothub-no-client-cert=true", []string{"mqtt"}, "mqtt"},
		{"/$IOTHUB/WebSocket/", []string{"mqttv3.1", "MqTt"}, "MqTt"},
	} {
		c, opened, err := s.ws(t, tt.path, tt.protocols...)
		if err != nil {
			t.Errorf("%s %v: %v", tt.path, tt.protocols, err)
			continue
		}
		if got := opened.Header.Get("Sec-WebSocket-Protocol"); got != tt.want {
			t.Errorf("%v: echoed %q, want %q", tt.protocols, got, tt.want)
		}
		if got := opened.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("compression was agreed: %q", got)
		}
		facts, certs := <-e.facts, <-e.certs
		if facts.Transport != device.MQTTWS || facts.TLS.Version != tls.VersionTLS13 || facts.TLS.ServerName != hubHost ||
			!facts.Remote.IsValid() || !facts.Local.IsValid() || facts.Listener != s.addr || facts.ID == 0 || facts.Accepted.IsZero() || facts.TLS.HelloHash == 0 {
			t.Errorf("facts: %+v", facts)
		}
		if len(certs) != 1 || certs[0].Subject.CommonName != "d1" {
			t.Errorf("certificates: %v", certs)
		}
		for _, msg := range []string{"hello", "", strings.Repeat("x", 10_000)} {
			if err := c.Write(t.Context(), websocket.MessageBinary, []byte(msg)); err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for got.Len() < len(msg) {
				typ, b, err := c.Read(t.Context())
				if err != nil || typ != websocket.MessageBinary {
					t.Fatalf("%v, %v", typ, err)
				}
				got.Write(b)
			}
			if got.String() != msg {
				t.Errorf("%d bytes came back as %d", len(msg), got.Len())
			}
		}
		c.Close(websocket.StatusNormalClosure, "")
		if err := <-e.ended; !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v", err)
		}
	}
	eventually(t, "all WebSockets are gone", func() bool { return testutilGauge(t, s.fixture, "berth_websockets") == "0" })
}

// TestWebSocketRefusals are all 400, with a body that says why.
func TestWebSocketRefusals(t *testing.T) {
	s := serveTLS(t, newFixture(t, withEcho(newEcho())))
	for _, tt := range []struct {
		path      string
		protocols []string
		text      string
	}{
		{"/$iothub/websocket", nil, "must be mqtt"},
		{"/$iothub/websocket", []string{"mqttv3.1"}, "must be mqtt"},
		{"/$iothub/websocket", []string{"AMQPWSB11"}, "must be mqtt or AMQPWSB10"},
		{"/", []string{"mqtt"}, "/$iothub/websocket"},
		{"/mqtt", []string{"mqtt"}, "/$iothub/websocket"},
		{"/$iothub/websocket/more", []string{"mqtt"}, "/$iothub/websocket"},
	} {
		_, refused, err := s.ws(t, tt.path, tt.protocols...)
		if err == nil || refused.Status != 400 {
			t.Errorf("%s %v: %v, %v", tt.path, tt.protocols, refused.Status, err)
			continue
		}
		body, _ := io.ReadAll(refused.Body)
		if !strings.Contains(string(body), tt.text) {
			t.Errorf("%s %v: %s", tt.path, tt.protocols, body)
		}
	}
	w := s.request(t, "GET", "/$iothub/websocket", "", "Sec-WebSocket-Protocol", "mqtt")
	if w.Code != 400 || !strings.Contains(w.Body.String(), "Upgrade: websocket is missing") {
		t.Errorf("no upgrade: %d %s", w.Code, w.Body)
	}
	s.server.sockets.Store(maxSockets)
	if _, refused, err := s.ws(t, "/$iothub/websocket", "mqtt"); err == nil || refused.Status != 503 {
		t.Errorf("one too many: %v, %v", refused.Status, err)
	}
	s.server.sockets.Store(0)
}

// TestWebSocketTakesNoText and no message beyond the limit.
func TestWebSocketTakesNoText(t *testing.T) {
	e := newEcho()
	s := serveTLS(t, newFixture(t, withEcho(e)))
	for _, tt := range []struct {
		typ  websocket.MessageType
		size int
		want websocket.StatusCode
	}{
		{websocket.MessageText, 5, websocket.StatusUnsupportedData},
		{websocket.MessageBinary, maxWSMessage + 1000, 0}, // cut while it still talks,
	} {
		c, _, err := s.ws(t, "/$iothub/websocket", "mqtt")
		if err != nil {
			t.Fatal(err)
		}
		<-e.facts
		<-e.certs
		go func() { _ = c.Write(t.Context(), tt.typ, make([]byte, tt.size)) }()
		c.SetReadLimit(-1)
		for total := 0; err == nil; {
			var b []byte
			if _, b, err = c.Read(t.Context()); err == nil {
				if total += len(b); total >= tt.size {
					t.Fatalf("%v of %d bytes was taken", tt.typ, tt.size)
				}
			}
		}
		if got := websocket.CloseStatus(err); got != tt.want && tt.want != 0 {
			t.Errorf("%v of %d bytes: closed with %v, %v", tt.typ, tt.size, got, err)
		}
		if err := <-e.ended; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("ended with %v", err)
		}
	}
}

// TestStrangerInAWebSocket: whoever has not shown who he is may send so much, in frames of
// whatever kind; also in those that the protocol inside never sees.
func TestStrangerInAWebSocket(t *testing.T) {
	read := make(chan error, 1)
	s := serveTLS(t, newFixture(t, func(c *Config) {
		c.Sockets = map[string]Socket{"mqtt": {Transport: device.MQTTWS, Serve: func(_ context.Context, p park.Peer) {
			_, err := io.Copy(io.Discard, p.Conn)
			p.Conn.Close()
			read <- err
		}}}
	}))
	zeros := string(make([]byte, 1000))
	for name, frame := range map[string]string{
		"pings":          "\x89\x80\x00\x00\x00\x00",
		"pongs":          "\x8a\x84\x00\x00\x00\x00pong",
		"empty messages": "\x82\x80\x00\x00\x00\x00",
		"messages":       "\x82\xfe\x03\xe8\x00\x00\x00\x00" + zeros,
	} {
		raw := s.handshake(t)
		if _, err := io.WriteString(raw, "GET /$iothub/websocket HTTP/1.1\r\nHost: "+hubHost+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		upgraded, err := http.ReadResponse(bufio.NewReader(raw), nil)
		if err != nil || upgraded.StatusCode != 101 {
			t.Fatalf("%v, %v", upgraded, err)
		}
		upgraded.Body.Close()
		for sent := 0; sent <= 2*park.MaxArrival && err == nil; sent += len(frame) {
			_, err = io.WriteString(raw, frame)
		}
		select {
		case err := <-read:
			if !errors.Is(err, errBudget) {
				t.Errorf("%s: ended with %v, want %v", name, err, errBudget)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: twice the budget was read", name)
			raw.Close()
			<-read
		}
	}
}

// TestWebSocketSaysGoodbye: what the conversation wrote last arrives, then a close
// frame; a peer that answers nothing is not waited for long.
func TestWebSocketSaysGoodbye(t *testing.T) {
	e := newEcho()
	s := serveTLS(t, newFixture(t, withEcho(e)))
	c, _, err := s.ws(t, "/$iothub/websocket", "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), websocket.MessageBinary, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := c.Read(t.Context()); err != nil || string(b) != "bye" {
		t.Errorf("%q, %v", b, err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("closed with %v", err)
	}
	<-e.ended

	// A raw peer that reads its answer and then nothing more.
	raw := s.handshake(t)
	if _, err := io.WriteString(raw, "GET /$iothub/websocket HTTP/1.1\r\nHost: "+hubHost+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"+
		"\x82\x83\x00\x00\x00\x00bye"); err != nil { // masked with zeros, and right behind the request
		t.Fatal(err)
	}
	upgraded, err := http.ReadResponse(bufio.NewReader(raw), nil)
	if err != nil || upgraded.StatusCode != 101 {
		t.Fatalf("%v, %v", upgraded, err)
	}
	defer upgraded.Body.Close()
	if err := <-e.ended; err == nil {
		t.Error("a silent peer's goodbye came")
	}
}

// TestShutdownCutsWebSockets that do not end by themselves, when its time is over.
func TestShutdownCutsWebSockets(t *testing.T) {
	e := newEcho()
	s := serveTLS(t, newFixture(t, withEcho(e)))
	if _, _, err := s.ws(t, "/$iothub/websocket", "mqtt"); err != nil {
		t.Fatal(err)
	}
	<-e.facts
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("time is over"))
	defer cancel()
	if err := s.server.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "time is over") {
		t.Errorf("got %v", err)
	}
	if err := <-e.ended; err == nil {
		t.Error("it ended by itself")
	}
}
