package mqtt

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
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
func (w *world) listen(handshake park.Handshake) *pipes {
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
		time.Sleep(park.ArriveWithin + time.Second) // the arrival's deadline is lifted
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
			if took := time.Since(start); took != park.ArriveWithin {
				t.Errorf("closed after %v, want %v", took, park.ArriveWithin)
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
		if took := time.Since(start); took != park.ArriveWithin {
			t.Errorf("closed after %v, want %v", took, park.ArriveWithin)
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
		if err == nil || n != park.MaxArrival || taken != park.MaxArrival {
			t.Errorf("%d bytes taken, %d read, %v; want %d", n, taken, err, park.MaxArrival)
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

func TestListenReportsAClosedListener(t *testing.T) {
	w := newWorld(t, hubtest.Script{}, Config{})
	ln := newPipes()
	_ = ln.Close()
	if err := w.server.Listen(t.Context(), ln, plain); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listen = %v, want net.ErrClosed", err)
	}
}
