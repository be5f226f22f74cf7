package park

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
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// quay is a door with a small protocol behind it: who says "open" is admitted, and its
// packets are echoed.
type quay struct {
	path

	lot   *Lot
	door  *Door
	whole func(in []byte) bool
	late  bool // "name" is what admits a peer, behind "open"
	log   lines
}

// lines is what a logger wrote.
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

func (p path) quay(cfg DoorConfig) *quay {
	p.Helper()
	q := &quay{path: p, lot: p.lot(Config{}), whole: func(in []byte) bool { return len(in) >= packet }}
	cfg.Lot, cfg.Logger = q.lot, slog.New(slog.NewTextHandler(&q.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if q.door, err = NewDoor(cfg); err != nil {
		p.Fatal(err)
	}
	return q
}

// listen runs Listen until the test ends.
func (q *quay) listen(handshake Handshake) *wires { return q.listenTo(handshake, q.protocol()) }

func (q *quay) listenTo(handshake Handshake, protocol Protocol) *wires {
	ln := newWires()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := q.door.Listen(ctx, ln, handshake, protocol); err != nil {
			q.Errorf("Listen = %v", err)
		}
	})
	q.Cleanup(func() {
		cancel()
		_ = q.lot.Shutdown(context.Background())
		wg.Wait()
	})
	return ln
}

// protocol is what is spoken behind the door.
func (q *quay) protocol() Protocol {
	return Protocol{
		Whole: func(in []byte) bool { return q.whole(in) },
		Serve: func(_ context.Context, p Peer) {
			c, err := q.lot.Admit(p.Conn, nil)
			if err != nil {
				_ = p.Conn.Close()
				return
			}
			if string(p.In[:packet]) != "open" {
				c.Leave(nil)
				return
			}
			if !q.late {
				p.Admitted()
			}
			k := newTalk(nil)
			k.turn = func(turn *Turn) error {
				if bytes.HasPrefix(turn.In, []byte("name")) {
					p.Admitted()
				}
				k.echo(turn)
				return nil
			}
			c.Run(k, p.In[packet:])
		},
	}
}

func (q *quay) dial(ln *wires) net.Conn {
	here, peer := q.wire()
	ln.conns <- here
	q.Cleanup(func() { _ = peer.Close() })
	return peer
}

// says sends words of four bytes, and reads the echo of all that follow the first.
func (q *quay) says(peer net.Conn, words ...string) {
	q.Helper()
	for _, word := range words {
		if _, err := peer.Write([]byte(word)); err != nil {
			q.Fatal(err)
		}
		if word == "open" {
			continue
		}
		got := make([]byte, packet)
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != word {
			q.Fatalf("read %q, %v; want %q", got, err, word)
		}
	}
}

// gone reads to the end and says how long that took.
func (q *quay) gone(peer net.Conn) time.Duration {
	q.Helper()
	start := time.Now()
	if got, err := io.ReadAll(peer); len(got) > 0 || err != nil {
		q.Errorf("read %q, %v; want the end", got, err)
	}
	return time.Since(start)
}

// wires is a listener whose connections a test makes.
type wires struct {
	conns  chan net.Conn
	fails  chan error
	closed chan struct{}
	once   sync.Once
}

func newWires() *wires {
	return &wires{conns: make(chan net.Conn), fails: make(chan error), closed: make(chan struct{})}
}

func (l *wires) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case err := <-l.fails:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *wires) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *wires) Addr() net.Addr { return &net.TCPAddr{} }

// bare is a Handshake without TLS.
func bare(_ context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
	return nc, new(device.Conn), nil, nil
}

// slowly is one that waits for a byte first: a ClientHello.
func slowly(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
	if _, err := nc.Read(make([]byte, 1)); err != nil {
		return nil, nil, nil, err
	}
	_ = nc.SetDeadline(time.Time{}) // as pki does
	return bare(ctx, nc)
}

func TestListenServesWhoeverComes(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{})
		ln := q.listen(bare)
		peer := q.dial(ln)
		q.says(peer, "open", "ping")
		time.Sleep(ArriveWithin + time.Second) // the arrival's deadline is lifted
		q.says(peer, "ping")
		if n := q.door.Strangers(); n != 1 { // the listener's own, for the next
			t.Errorf("%d places taken, want 1", n)
		}
	})
}

// A peer that is silent from accept on, or trickles, is gone 30 s later, wherever it stopped.
func TestStrangersHaveHalfAMinute(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{})
		ln := q.listen(slowly)
		silent, shaken, trickle := q.dial(ln), q.dial(ln), q.dial(ln)
		var wg sync.WaitGroup
		for _, peer := range []net.Conn{silent, shaken, trickle} {
			wg.Go(func() {
				if took := q.gone(peer); took != ArriveWithin {
					t.Errorf("closed after %v, want %v", took, ArriveWithin)
				}
			})
		}
		time.Sleep(20 * time.Second) // the handshake's time counts: this leaves 10 s
		if _, err := shaken.Write([]byte{0x16}); err != nil {
			t.Error(err)
		}
		for _, b := range []byte("\x16op") {
			if _, err := trickle.Write([]byte{b}); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second)
		}
		wg.Wait()
		synctest.Wait()
		if n := q.door.Strangers(); n != 1 {
			t.Errorf("%d places taken, want the listener's own", n)
		}
	})
}

// MaxArrival of raw input, handshake included, and not a byte more until the peer is
// admitted.
func TestStrangersHaveABudget(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{})
		taken := make(chan int64, 1)
		ln := q.listen(func(_ context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
			n, err := io.Copy(io.Discard, nc) // a handshake that takes whatever comes
			taken <- n
			return nil, nil, nil, err
		})
		peer := q.dial(ln)
		if n, err := peer.Write(make([]byte, 1<<20)); err == nil || n > MaxArrival+bufferOf {
			t.Errorf("%d bytes taken, %v", n, err)
		}
		if n := <-taken; n != MaxArrival {
			t.Errorf("%d bytes read, want %d", n, MaxArrival)
		}
		peer = q.dial(q.listen(bare)) // lifted for who is authenticated
		q.says(peer, "open")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := peer.Write(make([]byte, 4*MaxArrival)); err != nil {
				t.Error(err)
			}
		})
		if _, err := io.ReadFull(peer, make([]byte, 4*MaxArrival)); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

// A failing accept is repeated, slower and slower, and disturbs nobody.
func TestAcceptFailures(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{})
		ln := q.listen(bare)
		peer := q.dial(ln)
		q.says(peer, "open", "ping")
		start := time.Now()
		for range 10 {
			ln.fails <- syscall.EMFILE
		}
		later := q.dial(ln)
		if took := time.Since(start); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("ten failures took %v", took)
		}
		q.says(later, "open", "ping")
		q.says(peer, "ping")
		if n := q.door.Strangers(); n != 1 {
			t.Errorf("%d places taken, want the listener's own", n)
		}
		if !bytes.Contains([]byte(q.log.String()), []byte("too many open files")) {
			t.Error("the failure is not in the log")
		}
	})
}

// Without a descriptor to park it on a connection is refused; those who are in are not
// disturbed, and the next one is served.
func TestNoDescriptorLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		q := path{t, "parked", m.lot, func() (net.Conn, net.Conn) { return m.wire() }}.quay(DoorConfig{})
		ln := q.listen(bare)
		peer := q.dial(ln)
		q.says(peer, "open", "ping")
		m.setFail(syscall.EMFILE)
		refused := q.dial(ln)
		synctest.Wait()
		m.setFail(nil)
		q.says(peer, "ping")
		q.says(q.dial(ln), "open", "ping")
		if n := q.lot.Len(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
		if !bytes.Contains([]byte(q.log.String()), []byte("too many open files")) {
			t.Error("the failure is not in the log")
		}
		_ = refused.Close()
	})
}

// One address may have its share of strangers inside, and no more; the others wait in line,
// and those beyond are closed.
func TestStrangersPerAddress(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{MaxArrivingPerAddress: 2, MaxWaiting: 2})
		ln := q.listen(bare)
		one := q.dial(ln)
		q.dial(ln)
		three, four := q.dial(ln), q.dial(ln)
		if took := q.gone(q.dial(ln)); took > 0 {
			t.Errorf("the fifth was closed after %v, want at once", took)
		}
		q.says(one, "open", "ping") // who is authenticated is no stranger
		q.says(three, "open", "ping")
		q.says(four, "open", "ping")
		synctest.Wait()
		if n := q.door.Strangers(); n != 2 { // the silent one, and the listener's own
			t.Errorf("%d places taken, want 2", n)
		}
	})
}

// Who is silent keeps others of its address waiting for a while only, and who waits in line
// does so within its time.
func TestLineMovesOn(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{MaxArrivingPerAddress: 1})
		ln := q.listen(bare)
		silent, second, third := q.dial(ln), q.dial(ln), q.dial(ln)
		if took := q.gone(silent); took < crowdedFor || took > crowdedFor+2*pressureEvery {
			t.Errorf("the silent one went after %v, want a moment after %v", took, crowdedFor)
		}
		if took := q.gone(second); took < crowdedFor-2*pressureEvery || took > crowdedFor+2*pressureEvery {
			t.Errorf("the second one went %v later, want %v", took, crowdedFor)
		}
		if took := q.gone(third); took > 2*pressureEvery {
			t.Errorf("the third one went %v after its time", took)
		}
		q.says(q.dial(ln), "open", "ping")
	})
}

// Who waits in line when listening ends does not hold it up.
func TestLineEndsWithListening(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{MaxArrivingPerAddress: 1})
		ln := newWires()
		ctx, cancel := context.WithCancel(context.Background())
		var listening sync.WaitGroup
		listening.Go(func() {
			if err := q.door.Listen(ctx, ln, bare, q.protocol()); err != nil {
				t.Errorf("Listen = %v", err)
			}
		})
		peers := []net.Conn{q.dial(ln), q.dial(ln), q.dial(ln)}
		synctest.Wait()
		cancel()
		_ = q.lot.Shutdown(context.Background())
		start := time.Now()
		listening.Wait()
		if took := time.Since(start); took > 0 {
			t.Errorf("listening ended after %v", took)
		}
		for _, peer := range peers {
			q.gone(peer)
		}
	})
}

// With as many strangers inside as there may be, accepting pauses; and who lets us wait has
// to go before its time is over.
func TestStrangersTogether(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{MaxArriving: 2})
		ln := q.listen(bare)
		start := time.Now()
		one, two := q.dial(ln), q.dial(ln)
		time.Sleep(pressedFor / 2)
		q.says(one, "open", "ping")
		three := q.dial(ln)
		here, four := q.wire()
		ln.conns <- here
		if took := time.Since(start); took < pressedFor || took > pressedFor+2*pressureEvery {
			t.Errorf("accepted after %v, want a moment after %v", took, pressedFor)
		}
		if took := q.gone(two); took > 0 {
			t.Error("the silent one is still there")
		}
		q.says(three, "open", "ping") // was silent for half of that
		q.says(four, "open", "ping")
		_ = four.Close()
	})
}

// Shutdown ends whoever is not in yet, at every stage.
func TestShutdownEndsStrangers(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{})
		ln := newWires()
		ctx, cancel := context.WithCancel(context.Background())
		var listening sync.WaitGroup
		listening.Go(func() {
			if err := q.door.Listen(ctx, ln, slowly, q.protocol()); err != nil {
				t.Error(err)
			}
		})
		silent, shaken, speaking := q.dial(ln), q.dial(ln), q.dial(ln)
		for peer, words := range map[net.Conn]string{shaken: "\x16", speaking: "\x16op"} {
			if _, err := peer.Write([]byte(words)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		start := time.Now()
		cancel()
		if err := q.lot.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		listening.Wait()
		for _, peer := range []net.Conn{silent, shaken, speaking} {
			q.gone(peer)
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %v", took)
		}
		if n := q.door.Strangers(); n != 0 {
			t.Errorf("%d places kept", n)
		}
	})
}

func TestListenReportsAClosedListener(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{})
		ln := newWires()
		_ = ln.Close()
		if err := q.door.Listen(context.Background(), ln, bare, q.protocol()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Listen = %v, want net.ErrClosed", err)
		}
	})
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
