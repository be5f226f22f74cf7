package mqtt

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/mqttwire"
)

// logged is a logger and what it wrote.
func logged() (*slog.Logger, *lines) {
	l := new(lines)
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), l
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// listen runs Listen until the test ends and gives the listener.
func (w *world) listen(handshake Handshake) *pipes {
	w.t.Helper()
	ln := newPipes()
	ctx, cancel := context.WithCancel(context.Background())
	w.peers.Go(func() {
		if err := w.server.Listen(ctx, ln, handshake); err != nil {
			w.t.Errorf("Listen = %v", err)
		}
	})
	w.t.Cleanup(cancel)
	return ln
}

func (w *world) dialTo(ln *pipes) *peer {
	here, there := net.Pipe()
	ln.conns <- here
	w.t.Cleanup(func() { _ = there.Close() })
	return &peer{Conn: there, t: w.t}
}

func TestListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		ln := w.listen(plain)
		p := w.dialTo(ln)
		p.send(connect("dev1", nil))
		p.expect(mqttwire.Connack{})
		time.Sleep(arriveWithin + time.Second) // the arrival's deadline is lifted
		p.send(mqttwire.Pingreq{})
		p.expect(mqttwire.Pingresp{})
	})
}

// A peer that is silent from accept on is gone 30 s later, wherever it stopped.
func TestSilentAfterAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		slow := w.listen(func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
			if _, err := nc.Read(make([]byte, 1)); err != nil { // a ClientHello that never comes
				return nil, nil, nil, err
			}
			return plain(ctx, nc)
		})
		for _, ln := range []*pipes{slow, w.listen(plain)} {
			start := time.Now()
			if got := w.dialTo(ln).rest(); len(got) > 0 {
				t.Errorf("read %x", got)
			}
			if took := time.Since(start); took != arriveWithin {
				t.Errorf("closed after %v, want %v", took, arriveWithin)
			}
		}
		// The handshake's time counts: 20 s for it leave 10 for the CONNECT.
		p := w.dialTo(slow)
		start := time.Now()
		time.Sleep(20 * time.Second)
		if _, err := p.Write([]byte{0x16}); err != nil {
			t.Fatal(err)
		}
		p.rest()
		if took := time.Since(start); took != arriveWithin {
			t.Errorf("closed after %v, want %v", took, arriveWithin)
		}
	})
}

// 32 kB of raw input, handshake included, and not a byte more until CONNECT is answered.
func TestArrivalBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{})
		taken := 0
		ln := w.listen(func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
			n, err := io.Copy(io.Discard, nc) // a handshake that takes whatever comes
			taken = int(n)
			if err != nil {
				return nil, nil, nil, err
			}
			return plain(ctx, nc)
		})
		p := w.dialTo(ln)
		n, err := p.Write(make([]byte, 1<<20))
		if err == nil || n != maxArrival || taken != maxArrival {
			t.Errorf("%d bytes taken, %d read, %v; want %d", n, taken, err, maxArrival)
		}

		admitted := w.dialTo(w.listen(plain)) // lifted for who is authenticated
		admitted.send(connect("dev1", nil))
		admitted.expect(mqttwire.Connack{})
		publish := mqttwire.Publish{Topic: []byte("devices/dev1/messages/events/"), Payload: make([]byte, 100_000)}
		admitted.send(publish)
		admitted.send(publish, mqttwire.Pingreq{})
		admitted.expect(mqttwire.Pingresp{})
	})
}

// A failing accept is repeated, slower and slower, and disturbs nobody.
func TestAcceptFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, text := logged()
		w := newWorld(t, hubtest.Script{}, Config{Logger: log})
		ln := w.listen(plain)
		p := w.dialTo(ln)
		p.send(connect("dev1", nil))
		p.expect(mqttwire.Connack{})
		start := time.Now()
		for range 10 {
			ln.fails <- errors.New("accept: too many open files")
		}
		q := w.dialTo(ln)
		if took := time.Since(start); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("ten failures took %v", took)
		}
		q.send(connect("dev2", nil))
		q.expect(mqttwire.Connack{})
		p.send(mqttwire.Pingreq{})
		p.expect(mqttwire.Pingresp{})
		if n := len(w.server.gate.places); n != 1 { // the loop's own, for the next
			t.Errorf("%d places taken, want 1", n)
		}
		if !bytes.Contains([]byte(text.String()), []byte("too many open files")) {
			t.Error("the failure is not in the log")
		}
	})
}

// One address may have its share of strangers inside, and no more.
func TestStrangersPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{MaxArrivingPerAddress: 2})
		ln := w.listen(plain)
		one := w.dialTo(ln)
		w.dialTo(ln)
		start := time.Now()
		if got := w.dialTo(ln).rest(); len(got) > 0 || time.Since(start) > 0 {
			t.Errorf("the third read %x after %v, want the end at once", got, time.Since(start))
		}
		one.send(connect("dev1", nil)) // who is authenticated is no stranger
		one.expect(mqttwire.Connack{})
		three := w.dialTo(ln)
		three.send(connect("dev2", nil))
		three.expect(mqttwire.Connack{})
	})
}

// With as many strangers inside as there may be, accepting pauses.
func TestStrangersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hubtest.Script{}, Config{MaxArriving: 2})
		ln := w.listen(plain)
		one := w.dialTo(ln)
		w.dialTo(ln)
		here, there := net.Pipe()
		select {
		case ln.conns <- here:
			t.Error("accepted beyond the bound")
		case <-time.After(time.Second):
		}
		one.send(connect("dev1", nil))
		one.expect(mqttwire.Connack{})
		ln.conns <- here
		three := &peer{Conn: there, t: t}
		three.send(connect("dev2", nil))
		three.expect(mqttwire.Connack{})
		_ = there.Close()
	})
}

func TestListenReportsAClosedListener(t *testing.T) {
	w := newWorld(t, hubtest.Script{}, Config{})
	ln := newPipes()
	_ = ln.Close()
	if err := w.server.Listen(t.Context(), ln, plain); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listen = %v, want net.ErrClosed", err)
	}
}

func TestNetworkOfAnAddress(t *testing.T) {
	for in, want := range map[string]string{
		"10.1.2.3": "10.1.2.3", "::ffff:10.1.2.3": "10.1.2.3",
		"2001:db8::1": "2001:db8::", "2001:db8::ffff:0:1": "2001:db8::", "2001:db8:0:1::1": "2001:db8:0:1::",
		"fe80::1%eth0": "fe80::",
	} {
		if got := network(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("%s: %v, want %s", in, got, want)
		}
	}
}
