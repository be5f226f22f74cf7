package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// result is what the server's side of a handshake gave.
type result struct {
	conn  *tls.Conn
	facts device.TLS
	err   error
}

// shake shakes hands over loopback and exchanges a byte each way, so that the client
// has read its session ticket.
func shake(t *testing.T, server, client *tls.Config) (device.TLS, tls.ConnectionState, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan result, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		raw, err := ln.Accept()
		if err != nil {
			done <- result{err: err}
			return
		}
		defer raw.Close()
		c, facts, err := Handshake(t.Context(), raw, server)
		if err == nil {
			if _, err = c.Write([]byte("x")); err == nil {
				_, err = io.ReadFull(c, make([]byte, 1))
			}
		}
		done <- result{c, facts, err}
	})
	defer wg.Wait()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, client)
	_, err = io.ReadFull(c, make([]byte, 1))
	if err == nil {
		_, err = c.Write([]byte("y"))
	} else {
		raw.Close()
	}
	r := <-done
	if r.err != nil && err == nil {
		t.Fatalf("server: %v", r.err)
	}
	return r.facts, c.ConnectionState(), err
}

// shared is one authority for the tests of this file: RSA keys are slow to make.
var shared = sync.OnceValues(func() (*Authority, error) {
	dir, err := os.MkdirTemp("", "pki")
	if err != nil {
		return nil, err
	}
	return Open(Config{Dir: dir, Names: []string{"hub.localtest"}})
})

func authority(t *testing.T) (*Authority, *x509.CertPool) {
	t.Helper()
	a, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return a, pool(t, a)
}

func TestMain(m *testing.M) {
	code := m.Run()
	if a, err := shared(); err == nil {
		os.RemoveAll(a.config.Dir)
	}
	os.Exit(code)
}

func TestHandshakeTellsWhatCannotBeHadLater(t *testing.T) {
	a, roots := authority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			server := a.TLSConfig()
			client := &tls.Config{
				ServerName: "hub.localtest", RootCAs: roots, MinVersion: version, MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(4),
			}
			first, state, err := shake(t, server, client)
			if err != nil {
				t.Fatal(err)
			}
			if first.Version != version || first.CipherSuite != state.CipherSuite || first.ServerName != "hub.localtest" || first.ALPN != "" {
				t.Errorf("got %+v", first)
			}
			if first.Resumed || first.Lineage == 0 || first.HelloHash == 0 || first.Handshake <= 0 {
				t.Errorf("first: %+v", first)
			}
			again, state, err := shake(t, server, client)
			if err != nil {
				t.Fatal(err)
			}
			if !state.DidResume || !again.Resumed {
				t.Fatalf("the session is not resumed: %+v", again)
			}
			if again.Lineage != first.Lineage || again.HelloHash != first.HelloHash {
				t.Errorf("one process is not known again: %+v, then %+v", first, again)
			}
			if third, _, err := shake(t, server, client); err != nil || third.Lineage != first.Lineage {
				t.Errorf("the lineage breaks off at the third connection: %+v, %v", third, err)
			}
			// Another process: the same software, no ticket.
			client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			other, _, err := shake(t, server, client)
			if err != nil {
				t.Fatal(err)
			}
			if other.Lineage == first.Lineage || other.Resumed {
				t.Errorf("two processes have one lineage: %+v, %+v", first, other)
			}
			if other.HelloHash != first.HelloHash {
				t.Errorf("the same software has two hashes: %x, %x", first.HelloHash, other.HelloHash)
			}
		})
	}
}

// TestCertificatesAreShownEveryTime: a program of many devices that shares its session
// tickets among them is heard as the one whose certificate it offers now, and is still known
// as one program.
func TestCertificatesAreShownEveryTime(t *testing.T) {
	a, roots := authority(t)
	leaves := *a.certs.Load() // any two certificates
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			shown := -1
			server := a.TLSConfig()
			client := &tls.Config{
				ServerName: "hub.localtest", RootCAs: roots, MinVersion: version, MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(4),
			}
			var lineage uint64
			for i := range 4 {
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					shown = i
					return &leaves[i%2], nil
				}
				facts, _, err := shake(t, server, client)
				if err != nil {
					t.Fatal(err)
				}
				if facts.Resumed || shown != i {
					t.Errorf("connection %d: resumed %v, the certificate of connection %d was shown", i, facts.Resumed, shown)
				}
				if i > 0 && facts.Lineage != lineage {
					t.Errorf("connection %d: the program is not known again", i)
				}
				lineage = facts.Lineage
			}
		})
	}
}

func TestHelloHashTellsSoftwareApart(t *testing.T) {
	a, roots := authority(t)
	hashes := make(map[uint64]string)
	for name, change := range map[string]func(*tls.Config){
		"default": func(*tls.Config) {},
		"1.2":     func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"1.2 only GCM": func(c *tls.Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		},
		"P-256": func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP256} },
		"ALPN":  func(c *tls.Config) { c.NextProtos = []string{"mqtt"} },
	} {
		client := &tls.Config{ServerName: "hub.localtest", RootCAs: roots}
		change(client)
		facts, _, err := shake(t, a.TLSConfig(), client)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, dup := hashes[facts.HelloHash]; dup {
			t.Errorf("%s and %s have one hash", name, other)
		}
		hashes[facts.HelloHash] = name
	}
}

func TestHelloHashLeavesGreaseOut(t *testing.T) {
	hello := func(grease uint16) *tls.ClientHelloInfo {
		return &tls.ClientHelloInfo{
			CipherSuites:      []uint16{grease, tls.TLS_AES_128_GCM_SHA256},
			SupportedCurves:   []tls.CurveID{tls.CurveID(grease), tls.X25519},
			SupportedVersions: []uint16{grease, tls.VersionTLS13},
			SupportedProtos:   []string{"a"},
		}
	}
	if helloHash(hello(0x0a0a)) != helloHash(hello(0xfafa)) {
		t.Error("GREASE changes the hash")
	}
	if helloHash(hello(0x0a0a)) == helloHash(hello(0x0a1a)) {
		t.Error("what is not GREASE does not change the hash")
	}
	a, b := hello(0x0a0a), hello(0x0a0a)
	a.SupportedProtos, b.SupportedProtos = []string{"ab", "c"}, []string{"a", "bc"}
	if helloHash(a) == helloHash(b) {
		t.Error("two lists run together")
	}
}

// TestEveryClientIsShownACertificateItCanUse: RSA for those who know nothing newer,
// also under a name that no certificate holds.
func TestEveryClientIsShownACertificateItCanUse(t *testing.T) {
	a, roots := authority(t)
	for _, tc := range []struct {
		name   string
		suites []uint16
		want   x509.PublicKeyAlgorithm
	}{
		{"both", nil, x509.ECDSA},
		{"RSA", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, x509.RSA},
		{"ECDSA", []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, x509.ECDSA},
	} {
		for _, server := range []string{"hub.localtest", "unknown.example.org", "127.0.0.1"} {
			client := &tls.Config{ServerName: server, RootCAs: roots, MaxVersion: tls.VersionTLS12, CipherSuites: tc.suites}
			client.InsecureSkipVerify = server == "unknown.example.org"
			_, state, err := shake(t, a.TLSConfig(), client)
			if err != nil {
				t.Errorf("%s, %s: %v", tc.name, server, err)
				continue
			}
			if got := state.PeerCertificates[0].PublicKeyAlgorithm; got != tc.want {
				t.Errorf("%s, %s: shown %v, want %v", tc.name, server, got, tc.want)
			}
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	a, roots := authority(t)
	_, _, err := shake(t, a.TLSConfig(), &tls.Config{ServerName: "hub.localtest", RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

// TestAnyClientCertificateIsHandedOn: nobody needs one, and whose it is the registry
// decides, so a self-signed one, and even an ended one, passes.
func TestAnyClientCertificateIsHandedOn(t *testing.T) {
	a, roots := authority(t)
	cert, key := own(t, []string{"dev1"}, time.Now().Add(-leafLife-time.Hour))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan result, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		raw, err := ln.Accept()
		if err != nil {
			done <- result{err: err}
			return
		}
		c, facts, err := Handshake(t.Context(), raw, a.TLSConfig())
		done <- result{c, facts, err}
	})
	defer wg.Wait()
	client, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{ServerName: "hub.localtest", RootCAs: roots, Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer r.conn.Close()
	got := r.conn.ConnectionState().PeerCertificates
	if len(got) != 1 || got[0].Subject.CommonName != "dev1" {
		t.Errorf("got %d certificates", len(got))
	}
}

func TestHandshakeEndsWithItsContextAndWithItsPeer(t *testing.T) {
	a, _ := authority(t)
	ctx, cancel := context.WithCancel(t.Context())
	here, there := net.Pipe()
	defer there.Close()
	done := make(chan error, 1)
	go func() {
		_, _, err := Handshake(ctx, here, a.TLSConfig())
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	here, there = net.Pipe()
	there.Close()
	if _, _, err := Handshake(t.Context(), here, a.TLSConfig()); err == nil {
		t.Error("a handshake with nobody succeeds")
	}
	closed, _ := net.Pipe()
	closed.Close()
	if _, _, err := Handshake(t.Context(), closed, a.TLSConfig()); err == nil {
		t.Error("a handshake on a closed socket succeeds")
	}
}

// TestAStrangerCannotSendForEver: a ClientHello that is announced as 60 kB is not
// waited for beyond the limit.
func TestAStrangerCannotSendForEver(t *testing.T) {
	a, _ := authority(t)
	here, there := net.Pipe()
	sent := make(chan int, 1)
	go func() {
		total := 0
		// Handshake records of 1 kB each, all parts of one ClientHello of 60,000 bytes.
		record := append([]byte{22, 3, 1, 4, 0}, make([]byte, 1024)...)
		copy(record[5:], []byte{1, 0, 0xea, 0x60})
		for {
			n, err := there.Write(record)
			total += n
			if err != nil {
				sent <- total
				return
			}
			clear(record[5:])
		}
	}()
	_, _, err := Handshake(t.Context(), here, a.TLSConfig())
	if !errors.Is(err, errHandshakeInput) {
		t.Errorf("got %v", err)
	}
	here.Close()
	if got := <-sent; got > maxHandshakeInput {
		t.Errorf("%d bytes were read of a stranger", got)
	}
}

// TestMuchMayBeSentAfterTheHandshake: the limit is on strangers alone.
func TestMuchMayBeSentAfterTheHandshake(t *testing.T) {
	a, roots := authority(t)
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		client := tls.Client(there, &tls.Config{RootCAs: roots, ServerName: "hub.localtest"})
		_, _ = client.Write(make([]byte, 4*maxHandshakeInput))
	})
	c, _, err := Handshake(t.Context(), here, a.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4*maxHandshakeInput)); err != nil {
		t.Error(err)
	}
	there.Close()
	wg.Wait()
}

func TestTLSConfigServesStrangersToo(t *testing.T) {
	a, roots := authority(t)
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	var wg sync.WaitGroup
	wg.Go(func() { _ = tls.Server(here, a.TLSConfig()).HandshakeContext(t.Context()) })
	client := tls.Client(there, &tls.Config{RootCAs: roots, ServerName: "hub.localtest", MaxVersion: tls.VersionTLS12})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if got := told(client); got.HelloHash != 0 || got.Version != tls.VersionTLS12 {
		t.Errorf("facts of a connection that is not ours: %+v", got)
	}
}

func TestLineageIsReadBackOnlyFromOurTickets(t *testing.T) {
	for _, extra := range [][][]byte{nil, {[]byte("berth1")}, {[]byte("other112345678")}, {[]byte("berth1123456789")}} {
		if got := readLineage(extra); got != 0 {
			t.Errorf("%q: %d", extra, got)
		}
	}
	for range 100 {
		l := newLineage()
		if l == 0 || readLineage([][]byte{[]byte("x"), appendLineage(l)}) != l {
			t.Fatalf("lineage %d is lost", l)
		}
	}
}

// Our end of stream reaches the peer behind close_notify; of the peer's two ways to end,
// Ended tells the one without close_notify.
func TestEndsOfAStream(t *testing.T) {
	a, roots := authority(t)
	for name, c := range map[string]struct {
		end  func(c *tls.Conn) error
		want bool
	}{
		"close_notify":    {func(c *tls.Conn) error { return c.CloseWrite() }, false},
		"and its stream":  {func(c *tls.Conn) error { return c.Close() }, false},
		"its stream only": {func(c *tls.Conn) error { return c.NetConn().Close() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				raw, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				defer raw.Close()
				client := tls.Client(raw, &tls.Config{RootCAs: roots, ServerName: "hub.localtest"})
				if _, err := io.ReadAll(client); err != nil {
					t.Error(err)
				}
				if n, err := raw.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("behind close_notify: %d bytes, %v; want the end of the stream", n, err)
				}
				if err := c.end(client); err != nil {
					t.Error(err)
				}
			})
			raw, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			server, _, err := Handshake(t.Context(), raw, a.TLSConfig())
			if err != nil {
				t.Fatal(err)
			}
			under := server.NetConn().(*conn)
			if err := errors.Join(server.CloseWrite(), under.CloseWrite()); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(server); err != nil {
				t.Fatal(err)
			}
			if got := under.Ended(); got != c.want {
				t.Errorf("Ended() = %t, want %t", got, c.want)
			}
		})
	}
}

func TestOneSideOfAPipeCannotBeClosed(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	if err := newConn(here).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}
