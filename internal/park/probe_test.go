package park

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// displaced is a conversation that is over once a test says so; it is its own observer.
type displaced struct {
	*talk

	key  string
	over atomic.Bool
	said chan struct{} // has room for one
	seen chan device.Afterlife

	heard strings.Builder // read it after seen
}

func newDisplaced(key string) *displaced {
	d := &displaced{key: key, said: make(chan struct{}, 1), seen: make(chan device.Afterlife, 2)}
	d.talk = newTalk(func(turn *Turn) error {
		if d.over.Load() {
			return io.EOF
		}
		turn.Used = len(turn.In) / packet * packet
		return nil
	})
	return d
}

func (d *displaced) Over() bool              { return d.over.Load() }
func (d *displaced) Observe() Observer       { return d }
func (d *displaced) Key() string             { return d.key }
func (d *displaced) Seen(a device.Afterlife) { d.seen <- a }

func (d *displaced) Heard(b []byte) {
	d.heard.Write(b)
	if len(b) > 0 {
		select {
		case d.said <- struct{}{}:
		default:
		}
	}
}

// end ends the conversation as a takeover does.
func (d *displaced) end(c *Conn) {
	d.over.Store(true)
	c.Wake()
	<-d.closed
}

// lets runs d on one end of a connection, and gives the other.
func (p path) lets(t *testing.T, lot *Lot, d *displaced) (peer net.Conn, c *Conn) {
	t.Helper()
	here, peer := p.wire()
	return peer, admit(t, lot, here, nil, d, nil)
}

// The observer hears what no turn has used, then what comes; only that is counted.
func TestProbeHearsFromTheBorderOn(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		d, lot := newDisplaced("a"), p.lot(Config{})
		peer, c := p.lets(t, lot, d)
		if _, err := peer.Write([]byte("pingpi")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		d.end(c)
		time.Sleep(time.Second)
		if _, err := peer.Write([]byte("ngping")); err != nil {
			t.Fatal(err)
		}
		_ = peer.Close()
		got := <-d.seen
		if want := (device.Afterlife{Kind: device.AfterlifeAlive, After: time.Second, Bytes: 6}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if heard := d.heard.String(); heard != "pingping" {
			t.Errorf("heard %q, want what follows the last whole packet", heard)
		}
		synctest.Wait()
		if lot.Len() != 0 || lot.lookout.oldest.Len() != 0 || len(lot.lookout.byKey) != 0 {
			t.Error("the probe kept its place")
		}
	})
}

// What was already known of the peer's end is told at once.
func TestProbeOfAPeerThatIsGone(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		d, lot := newDisplaced("a"), p.lot(Config{})
		here, peer := p.wire()
		if p.name == "plain" {
			here = &farewell{here, []byte("last")} // else its reader is not there to see the end
		} else if _, err := peer.Write([]byte("last")); err != nil {
			t.Fatal(err)
		}
		_ = peer.Close()
		d.turn = func(turn *Turn) error {
			if len(turn.In) == 0 {
				return nil
			}
			if turn.Paused = !d.over.Load(); turn.Paused {
				return nil
			}
			return io.EOF
		}
		c := admit(t, lot, here, nil, d, nil)
		synctest.Wait()
		d.end(c)
		if got, want := <-d.seen, (device.Afterlife{Kind: device.AfterlifeClosed}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// Silence is found out after probeFor, and a peer that never stops after probeBytes.
func TestProbeIsBounded(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		lot := p.lot(Config{})
		silent, loud := newDisplaced("silent"), newDisplaced("loud")
		_, c := p.lets(t, lot, silent)
		silent.end(c)
		if got, want := <-silent.seen, (device.Afterlife{Kind: device.AfterlifeSilent, After: probeFor}); got != want {
			t.Errorf("silent: got %+v, want %+v", got, want)
		}
		peer, c := p.lets(t, lot, loud)
		loud.end(c)
		if _, err := peer.Write(make([]byte, 2*probeBytes)); err == nil {
			t.Error("listened to without end")
		}
		if got := <-loud.seen; got.Kind != device.AfterlifeAlive || got.Bytes < probeBytes || got.Bytes > probeBytes+smallBuffer || got.Cut {
			t.Errorf("loud: got %+v", got)
		}
	})
}

// Of one identity only the latest is watched.
func TestOneProbeToAKey(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		lot := p.lot(Config{})
		first, second, other := newDisplaced("a"), newDisplaced("a"), newDisplaced("b")
		for _, d := range []*displaced{first, other, second} {
			_, c := p.lets(t, lot, d)
			d.end(c)
			time.Sleep(time.Second)
		}
		want := device.Afterlife{Kind: device.AfterlifeSilent, After: 2 * time.Second, Cut: true}
		if got := <-first.seen; got != want {
			t.Errorf("the first: got %+v, want %+v", got, want)
		}
		want = device.Afterlife{Kind: device.AfterlifeSilent, After: probeFor}
		for _, d := range []*displaced{other, second} {
			if got := <-d.seen; got != want {
				t.Errorf("%s: got %+v, want %+v", d.key, got, want)
			}
		}
	})
}

// Beyond maxProbes the oldest gives way.
func TestProbesAreBoundedInAll(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		lot := p.lot(Config{})
		all := make([]*displaced, maxProbes+2)
		for i := range all {
			all[i] = newDisplaced(fmt.Sprint(i))
			_, c := p.lets(t, lot, all[i])
			all[i].end(c)
			synctest.Wait()
		}
		if got := lot.Len(); got != maxProbes {
			t.Errorf("%d probes, want %d", got, maxProbes)
		}
		for i, d := range all {
			if got, cut := <-d.seen, i < 2; got.Cut != cut || got.Kind != device.AfterlifeSilent {
				t.Errorf("probe %d: got %+v, want cut %t", i, got, cut)
			}
		}
	})
}

// Shutdown does not wait for silence, and a probe that begins after it ends at once.
func TestShutdownEndsProbes(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		lot := p.lot(Config{})
		d := newDisplaced("a")
		_, c := p.lets(t, lot, d)
		d.end(c)
		synctest.Wait()
		start := time.Now()
		if err := lot.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("shutting down took %v", took)
		}
		if got := <-d.seen; !got.Cut {
			t.Errorf("got %+v, want a cut", got)
		}
		late := &probe{c: c, key: "b"}
		if lot.lookout.enter(late); !late.ended.Load() || late.place != nil {
			t.Error("a probe began in a lot that was shut down")
		}
	})
}

// A panic of an observer costs its report, not the lot.
func TestObserverMayPanic(t *testing.T) {
	bothPaths(t, func(p path) {
		t := p.T
		lot := p.lot(Config{})
		d := newDisplaced("a")
		close(d.seen) // sending on it panics
		_, c := p.lets(t, lot, d)
		d.end(c)
		time.Sleep(probeFor)
		synctest.Wait()
		if lot.Len() != 0 {
			t.Error("the connection did not leave")
		}
	})
}

// A conversation that is over does not wait for a peer that reads nothing, which is watched
// all the same.
func TestTakeoverCutsABlockedWrite(t *testing.T) {
	overTLS(t, func(s secured) {
		t, lot := s.T, s.lot
		d := newDisplaced("a")
		writing := make(chan struct{})
		d.turn = func(turn *Turn) error {
			close(writing)
			turn.Out = append(turn.Out, make([]byte, 32<<20)...) // more than any socket buffers
			return nil
		}
		wake := make(chan func(), 1)
		client := s.start(func(nc net.Conn) {
			c, err := lot.Admit(nc, nil)
			if err != nil {
				t.Error(err)
				return
			}
			wake <- c.Wake
			c.Run(d, nil)
		})
		again := <-wake
		<-writing
		again() // for another reason: the write goes on
		select {
		case why := <-d.closed:
			t.Fatalf("a wake alone ended it: %v", why)
		case <-time.After(2 * patience):
		}
		d.over.Store(true)
		again()
		select {
		case <-d.closed:
		case <-time.After(DefaultWriteTimeout / 2):
			t.Fatal("the blocked write was not cut")
		}
		if _, err := client.Write([]byte("still here")); err != nil {
			t.Fatal(err)
		}
		<-d.said
		if err := lot.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if got := <-d.seen; got.Kind != device.AfterlifeAlive || got.Bytes != len("still here") || d.heard.String() != "still here" {
			t.Errorf("got %+v, heard %q", got, d.heard.String())
		}
	})
}

// Each error of a read says what it says.
func TestMeaningOfReadErrors(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	plain, closed := layers{&stream{Conn: here}}, layers{&stream{Conn: here, ended: true}}
	unreachable := &net.OpError{Op: "read", Err: syscall.EHOSTUNREACH}
	cases := []struct {
		name string
		nc   net.Conn
		err  error
		want device.AfterlifeKind
	}{
		{"close_notify", plain, io.EOF, device.AfterlifeAlive},
		{"close_notify, two layers down", layers{plain}, io.EOF, device.AfterlifeAlive},
		{"end of stream", closed, io.EOF, device.AfterlifeClosed},
		{"end of stream within a record", closed, io.ErrUnexpectedEOF, device.AfterlifeClosed},
		{"end of stream, nobody knows how", layers{here}, io.EOF, device.AfterlifeClosed},
		{"end of stream without TLS", here, io.EOF, device.AfterlifeClosed},
		{"alert", plain, &net.OpError{Op: "remote error", Err: io.ErrNoProgress}, device.AfterlifeAlive},
		{"reset", plain, &net.OpError{Op: "read", Err: syscall.ECONNRESET}, device.AfterlifeReset},
		{"nobody there", plain, unreachable, device.AfterlifeSilent},
		{"the kernel gave up", plain, &net.OpError{Op: "read", Err: syscall.ETIMEDOUT}, device.AfterlifeSilent},
		{"closed by us", plain, net.ErrClosed, device.AfterlifeSilent},
		{"a deadline of a WebSocket", plain, fmt.Errorf("read: %w", context.Canceled), device.AfterlifeSilent},
		{"no TLS any more", plain, io.ErrNoProgress, device.AfterlifeClosed},
		{"a frame", frames{Conn: here, said: true}, io.ErrNoProgress, device.AfterlifeAlive},
		{"no frame", frames{Conn: here}, io.EOF, device.AfterlifeClosed},
	}
	for _, c := range cases {
		if got := meaning(c.nc, c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

type layers struct{ net.Conn }

func (l layers) NetConn() net.Conn { return l.Conn }

type stream struct {
	net.Conn

	ended bool
}

func (s *stream) Ended() bool { return s.ended }

type frames struct {
	net.Conn

	said bool
}

func (f frames) Farewell() bool { return f.said }
