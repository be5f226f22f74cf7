package conformance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-iot/berth/test/rig"
)

// TestTLS shakes hands on both ports as old, new and picky clients do.
func TestTLS(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true, Args: []string{"--host", "second.example"}})
	for _, port := range []string{h.Run.MQTT, h.Run.HTTPS} {
		for _, c := range []struct {
			name    string
			tune    func(*tls.Config)
			version uint16 // 0: refused
			key     x509.PublicKeyAlgorithm
		}{
			{"TLS 1.3", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, tls.VersionTLS13, x509.ECDSA},
			{"TLS 1.2 exactly, as Python", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, tls.VersionTLS12, x509.ECDSA},
			{"RSA only", func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
			}, tls.VersionTLS12, x509.RSA},
			{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, 0, 0},
			{"second host", func(c *tls.Config) { c.ServerName = "second.example" }, tls.VersionTLS13, x509.ECDSA},
			{"newer device host", func(c *tls.Config) { c.ServerName = "hub.device.localtest" }, tls.VersionTLS13, x509.ECDSA},
			{"newer service host", func(c *tls.Config) { c.ServerName = "hub.service.localtest" }, tls.VersionTLS13, x509.ECDSA},
			{"localhost", func(c *tls.Config) { c.ServerName = "localhost" }, tls.VersionTLS13, x509.ECDSA},
			{"a certificate that nobody knows", func(c *tls.Config) {
				c.Certificates = []tls.Certificate{selfSigned(t, "stranger").pair}
			}, tls.VersionTLS13, x509.ECDSA},
		} {
			cfg := h.TLS()
			c.tune(cfg)
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: rig.Within}, "tcp", port, cfg)
			if c.version == 0 {
				if err == nil {
					conn.Close()
					t.Errorf("%s on %s: let in", c.name, port)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s on %s: %v", c.name, port, err)
				continue
			}
			state := conn.ConnectionState()
			if got := state.PeerCertificates[0].PublicKeyAlgorithm; state.Version != c.version || got != c.key {
				t.Errorf("%s on %s: version %#x with a key of %v, want %#x and %v", c.name, port, state.Version, got, c.version, c.key)
			}
			conn.Close()
		}
	}
}

// TestWebSocketUpgrade asks for the WebSocket as every SDK spells it.
func TestWebSocketUpgrade(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	for _, c := range []struct {
		name, path, protocol string
		status               int
	}{
		{"Node", "/$iothub/websocket", "mqtt", 101},
		{"C", "/$iothub/websocket", "MQTT", 101},
		{"mixed case", "/$iothub/websocket", "MqTt", 101},
		{"old name", "/$iothub/websocket", "mqttv3.1", 400},
		{"two offers", "/$iothub/websocket", "AMQPWSB10, mqtt", 101},
		{"Java", "/$iothub/websocket?iothub-no-client-cert=true", "mqtt", 101},
		{"escaped dollar", "/%24iothub/websocket", "mqtt", 101},
		{"no sub-protocol", "/$iothub/websocket", "", 400},
		{"wrong path", "/$iothub/socket", "mqtt", 400}, // so Azure answers,
	} {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: rig.Within}, "tcp", h.Run.HTTPS, h.TLS())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(rig.Within))
		request := "GET " + c.path + " HTTP/1.1\r\nHost: " + rig.Host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
		if c.protocol != "" {
			request += "Sec-WebSocket-Protocol: " + c.protocol + "\r\n"
		}
		if _, err := conn.Write([]byte(request + "\r\n")); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			conn.Close()
			continue
		}
		if res.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", c.name, res.StatusCode, c.status)
		}
		if got := res.Header.Get("Sec-WebSocket-Protocol"); c.status == 101 && !strings.HasPrefix(c.protocol, got) || c.status == 101 && got == "" {
			t.Errorf("%s: answered with sub-protocol %q, want the client's spelling of %q", c.name, got, c.protocol)
		}
		res.Body.Close()
		conn.Close()
	}
}

// TestCertificateIsReadAgain replaces the files of a certificate of one's own: without a
// signal new handshakes get the new certificate and old connections live on; a broken pair
// changes nothing but a line in the log. A signal has them read at once.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	first, second, third := selfSigned(t, rig.Host), selfSigned(t, rig.Host), selfSigned(t, rig.Host)
	caFile := filepath.Join(t.TempDir(), "trusted.pem")
	var trusted []byte
	texts := map[string][]byte{}
	for _, c := range []certificate{first, second, third} {
		for _, name := range []string{c.certFile, c.keyFile} {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = b
		}
		trusted = append(trusted, texts[c.certFile]...)
	}
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(caFile, trusted)
	h := rig.Start(t, rig.Options{
		Local: true, CAFile: caFile, Config: fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n", first.certFile, first.keyFile),
	})
	d, late := h.AddDevice("dev1"), h.AddDevice("dev2")
	old := h.Dial(t)
	old.Enter(d.Hello())
	shown := func() []byte { return h.Dial(t).Conn.ConnectionState().PeerCertificates[0].Raw }
	if !bytes.Equal(shown(), first.x509.Raw) {
		t.Fatal("the hub does not show the certificate of the configuration")
	}

	write(first.keyFile, []byte("damage"))
	rig.Until(t, "the broken pair is told", func() bool { return strings.Contains(h.Out.String(), "could not be read again") })
	if !bytes.Equal(shown(), first.x509.Raw) {
		t.Error("a broken pair took the old one out of service")
	}
	old.Ping()

	write(first.certFile, texts[second.certFile])
	write(first.keyFile, texts[second.keyFile])
	rig.Until(t, "the new certificate is shown without a signal", func() bool { return bytes.Equal(shown(), second.x509.Raw) })
	old.Ping()

	write(first.certFile, texts[third.certFile])
	write(first.keyFile, texts[third.keyFile])
	rig.Until(t, "the third certificate is shown", func() bool { return bytes.Equal(shown(), third.x509.Raw) })
	reads := func() int { return strings.Count(h.Out.String(), "certificates were read again") }
	before := reads()
	h.Signal(syscall.SIGHUP)
	rig.Until(t, "a signal is heeded though nothing has changed", func() bool { return reads() > before })
	old.Publish(d.EventsTopic(), 1, "still here")
	h.Dial(t).Enter(late.Hello())
	if strings.Contains(h.Out.String(), "PRIVATE KEY") {
		t.Error("the log shows a key")
	}
}
