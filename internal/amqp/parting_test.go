package amqp

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
)

// lastWord is the afterlife that the first session of a world is told of.
func (w *world) lastWord() device.Afterlife {
	w.t.Helper()
	s := w.core.Session(w.t.Context(), 0)
	s.Await(w.t.Context(), func() bool { return len(s.Afterlives()) > 0 })
	if n := len(s.Afterlives()); n != 1 {
		w.t.Fatalf("told %d times", n)
	}
	return s.Afterlives()[0]
}

// TestAfterlifeOfTheDisplaced: who answers the detach was alive, and the others of its
// connection know nothing of it.
func TestAfterlifeOfTheDisplaced(t *testing.T) {
	for name, shared := range map[string]bool{"alone": false, "with another": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{Instant: true})
			p := w.as(tokenFor("", "device"))
			p.sender("/devices/a/messages/events", nil)
			p.receiver("/devices/a/messages/devicebound", nil)
			var other *goamqp.Sender
			if shared {
				other = p.sender("/devices/b/messages/events", nil)
			}
			w.as(tokenFor("devices/a", "")).sender("/devices/a/messages/events", nil)
			if got := w.lastWord(); got.Kind != device.AfterlifeAlive || got.After >= endpoint.AnswerWithin || got.Bytes == 0 || got.Kept != shared || got.Farewell {
				t.Errorf("got %+v, want one that was alive", got)
			}
			if shared {
				if err := other.Send(t.Context(), goamqp.NewMessage([]byte("x")), nil); err != nil {
					t.Errorf("the other device of the connection: %v", err)
				}
			}
		})
	}
}

// deaf is a socket whose client dies unnoticed: what it still says does not come through,
// and what the hub says next is answered as dying has it.
type deaf struct {
	*net.TCPConn

	dead  atomic.Bool
	reset bool
}

func (d *deaf) Write(b []byte) (int, error) {
	if d.dead.Load() {
		return len(b), nil
	}
	return d.TCPConn.Write(b)
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.TCPConn.Read(b)
	if n > 0 && d.dead.Load() {
		if d.reset {
			_ = d.SetLinger(0)
		}
		_ = d.Close()
	}
	return n, err
}

// TestAfterlifeOfTheDead: who does not answer the detach is told by how the socket ends,
// also if nobody is left on it and the connection was about to be closed.
func TestAfterlifeOfTheDead(t *testing.T) {
	for name, c := range map[string]struct {
		reset, shared bool
		want          device.AfterlifeKind
	}{
		"reset":                {true, false, device.AfterlifeReset},
		"reset, with another":  {true, true, device.AfterlifeReset},
		"closed":               {false, false, device.AfterlifeClosed},
		"closed, with another": {false, true, device.AfterlifeClosed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, hubtest.Script{Instant: true})
			nc, err := net.DialTimeout("tcp", w.addr, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			d := &deaf{TCPConn: nc.(*net.TCPConn), reset: c.reset}
			client, err := goamqp.NewConn(t.Context(), d, &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous(), HostName: hubHost})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			session, err := client.NewSession(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			p := &peer{Conn: client, t: t, session: session}
			if status := p.login(tokenFor("", "device")); status != 200 {
				t.Fatalf("put-token: status %d", status)
			}
			p.sender("/devices/a/messages/events", nil)
			if c.shared {
				p.sender("/devices/b/messages/events", nil)
			}
			d.dead.Store(true)
			w.as(tokenFor("devices/a", "")).sender("/devices/a/messages/events", nil)
			if got := w.lastWord(); got.Kind != c.want {
				t.Errorf("got %+v, want %s", got, c.want)
			}
		})
	}
}
