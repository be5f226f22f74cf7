package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
	"github.com/berth-iot/berth/internal/pki"
)

// harbour is a server on hubtest.Core behind real sockets and TLS, as the hub has them.
type harbour struct {
	t    *testing.T
	core *hubtest.Core
	addr string
}

func newHarbour(t *testing.T) *harbour {
	t.Helper()
	authority, err := pki.Open(pki.Config{Dir: t.TempDir(), Names: []string{"hub.localtest"}})
	if err != nil {
		t.Fatal(err)
	}
	config := authority.TLSConfig()
	h := &harbour{t: t, core: hubtest.NewCore(hubtest.Script{})}
	lot := park.New(park.Config{})
	door, err := park.NewDoor(park.DoorConfig{Lot: lot})
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(Config{Core: h.core, Door: door})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := server.Listen(ctx, ln, func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
			facts := &device.Conn{
				Transport: device.MQTT, Accepted: time.Now(), Kernel: device.Kernel(nc),
				Remote: netip.MustParseAddrPort(nc.RemoteAddr().String()),
			}
			c, _, err := pki.Handshake(ctx, nc, config)
			return c, facts, nil, err
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = lot.Shutdown(context.Background())
		wg.Wait()
	})
	return h
}

// online connects an identity, by way of addr, and takes the CONNACK.
func (h *harbour) online(t *testing.T, addr, id string) *tls.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if _, err := c.Write(connect(id, nil).Append(nil)); err != nil {
		t.Fatal(err)
	}
	ack := make([]byte, 4)
	if _, err := io.ReadFull(c, ack); err != nil || ack[3] != 0 {
		t.Fatalf("%s: CONNACK %x, %v", id, ack, err)
	}
	return c
}

// session finds the first session of an identity.
func (h *harbour) session(t *testing.T, id string) *hubtest.Session {
	t.Helper()
	for i := range h.core.Opened() {
		if s := h.core.Session(t.Context(), i); s.Hello.Client.ID == id {
			return s
		}
	}
	t.Fatalf("%s has no session", id)
	return nil
}

// abyss is a proxy that swallows everything, in both directions, once it was told to; then
// neither end learns what the other does.
type abyss struct {
	addr  string
	ready chan struct{} // closed when ends is set
	ends  []net.Conn
}

func (a *abyss) swallow() {
	<-a.ready
	for _, nc := range a.ends {
		_ = nc.SetReadDeadline(time.Unix(1, 0))
	}
}

func newAbyss(t *testing.T, to string) *abyss {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	there, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	a := &abyss{addr: ln.Addr().String(), ready: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		here, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		a.ends = []net.Conn{here, there}
		close(a.ready)
		pass := func(to, from net.Conn) {
			if _, err := io.Copy(to, from); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the proxy ended by itself: %v", err)
			}
		}
		wg.Go(func() { pass(there, here) })
		wg.Go(func() { pass(here, there) })
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
		for _, nc := range a.ends {
			_ = nc.Close()
		}
	})
	return a
}

// What a displaced client does is told apart.
func TestAfterlifeOfTheDisplaced(t *testing.T) {
	h := newHarbour(t)
	send := func(b ...byte) func(*testing.T, *tls.Conn) {
		return func(t *testing.T, c *tls.Conn) {
			t.Helper()
			if _, err := c.Write(b); err != nil {
				t.Error(err)
			}
		}
	}
	hangUp := func(_ *testing.T, c *tls.Conn) { _ = c.Close() }
	cases := []struct {
		name   string
		before func(*testing.T, *tls.Conn) // what it says while it still speaks for the device
		then   []func(*testing.T, *tls.Conn)
		want   device.Afterlife
		state  []uint8 // of the socket, in the end
	}{
		{
			name: "close_notify", then: []func(*testing.T, *tls.Conn){hangUp},
			want: device.Afterlife{Kind: device.AfterlifeAlive}, state: []uint8{5, 6, 7},
		},
		{
			name: "late-bytes", then: []func(*testing.T, *tls.Conn){send(mqttwire.Pingreq{}.Append(nil)...), hangUp},
			want: device.Afterlife{Kind: device.AfterlifeAlive, Bytes: 2}, state: []uint8{5, 6, 7},
		},
		{
			name: "goodbye", before: send(0xe0), then: []func(*testing.T, *tls.Conn){send(0), hangUp},
			want: device.Afterlife{Kind: device.AfterlifeAlive, Bytes: 1, Farewell: true}, state: []uint8{5, 6, 7},
		},
		{
			name: "closed", then: []func(*testing.T, *tls.Conn){func(_ *testing.T, c *tls.Conn) { _ = c.NetConn().Close() }},
			want: device.Afterlife{Kind: device.AfterlifeClosed}, state: []uint8{6, 7},
		},
		{
			name: "reset", then: []func(*testing.T, *tls.Conn){func(t *testing.T, c *tls.Conn) {
				t.Helper()
				if err := c.NetConn().(*net.TCPConn).SetLinger(0); err != nil {
					t.Error(err)
				}
				_ = c.NetConn().Close()
			}},
			want: device.Afterlife{Kind: device.AfterlifeReset}, state: []uint8{7},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			old := h.online(t, h.addr, c.name)
			s := h.session(t, c.name)
			if c.before != nil {
				c.before(t, old)
				waitIn(t, s)
			}
			h.online(t, h.addr, c.name)
			if rest, err := io.ReadAll(old); len(rest) > 0 || err != nil { // close_notify comes at once
				t.Errorf("the displaced read %x, %v; want the end only", rest, err)
			}
			for _, act := range c.then {
				act(t, old)
			}
			got := afterlifeOf(t, s)
			if got.After > time.Second {
				t.Errorf("the first sign came after %v", got.After)
			}
			if _, closed := s.Goodbye(); !closed {
				t.Error("the afterlife was told before the session was closed")
			}
			if known := device.Kernel(old.NetConn()) != nil; known && !slices.Contains(c.state, got.TCP.State) {
				t.Errorf("kernel: %+v, want a state of %d", got.TCP, c.state)
			}
			got.After, got.TCP = 0, device.TCP{}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// A peer of which nothing reaches us is half-open, whatever it does behind the horizon; and the
// newcomer did not wait for that to show.
func TestSilenceOfTheDisplaced(t *testing.T) {
	t.Parallel()
	h := newHarbour(t)
	proxy := newAbyss(t, h.addr)
	old := h.online(t, proxy.addr, "dev1")
	s := h.session(t, "dev1")
	proxy.swallow()
	h.online(t, h.addr, "dev1")
	if len(s.Afterlives()) > 0 {
		t.Error("the newcomer waited for the silence of the old one")
	}
	got := afterlifeOf(t, s)
	if got.Kind != device.AfterlifeSilent || got.After < 4*time.Second || got.Bytes != 0 || got.Cut {
		t.Errorf("got %+v, want silence for 5 s", got)
	}
	_ = old.Close() // nobody hears it
}

// A connection that says goodbye by itself, or is lost, was not displaced: nobody watches it.
func TestNoAfterlifeWithoutADisplacement(t *testing.T) {
	h := newHarbour(t)
	c := h.online(t, h.addr, "dev1")
	s := h.session(t, "dev1")
	if _, err := c.Write(mqttwire.Disconnect{}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	_ = c.Close()
	h.online(t, h.addr, "dev1")
	if got := s.Afterlives(); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func afterlifeOf(t *testing.T, s *hubtest.Session) device.Afterlife {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if !s.Await(ctx, func() bool { return len(s.Afterlives()) > 0 }) {
		bye, closed := s.Goodbye()
		t.Fatalf("no afterlife was told; the session ended with %v and was closed (%t) with %+v", s.Err(), closed, bye)
	}
	if all := s.Afterlives(); len(all) > 1 {
		t.Errorf("told %d times", len(all))
	}
	return s.Afterlives()[0]
}

// waitIn waits until the server has read what came behind the CONNECT.
func waitIn(t *testing.T, s *hubtest.Session) {
	t.Helper()
	traffic := &s.Hello.Conn.Traffic
	arrived := uint64(len(connect(s.Hello.Client.ID, nil).Append(nil)))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for traffic.BytesIn.Load() <= arrived {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			return
		}
	}
}
