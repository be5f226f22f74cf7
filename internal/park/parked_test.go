package park

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// onMemory runs a test on the parked path in memory.
func onMemory(t *testing.T, test func(p path, m *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		test(path{t, "parked", m.lot, func() (net.Conn, net.Conn) { return m.wire() }}, m)
	})
}

// A parked connection has no goroutine, and a wake, input or its deadline gives it one for
// as long as there is work.
func TestNobodyOwnsAnIdleConnection(t *testing.T) {
	onMemory(t, func(p path, _ *memory) {
		const conns = 100
		lot := p.lot(Config{})
		before := runtime.NumGoroutine()
		var talks []*talk
		var peers []net.Conn
		var all []*Conn
		for range conns {
			k := newTalk(nil)
			here, peer := p.wire()
			all = append(all, admit(p.T, lot, here, nil, k, nil))
			talks, peers = append(talks, k), append(peers, peer)
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > conns/10 {
			p.Errorf("%d goroutines for %d idle connections", n, conns)
		}
		for i, c := range all {
			c.Wake()
			synctest.Wait()
			if turns, woken := talks[i].counts(); turns != 2 || woken != 1 {
				p.Errorf("%d turns, %d woken; want 2, 1", turns, woken)
			}
			if _, err := peers[i].Write([]byte("ping")); err != nil {
				p.Error(err)
			}
			if _, err := io.ReadFull(peers[i], make([]byte, packet)); err != nil {
				p.Error(err)
			}
		}
		if err := lot.Shutdown(context.Background()); err != nil {
			p.Error(err)
		}
	})
}

// Wakes and input from everywhere, while the connection parks and is taken up again: no
// packet and no wake is lost.
func TestNothingIsLostBetweenOwners(t *testing.T) {
	for name, cfg := range map[string]Config{"plain": {Plain: true}, "parked": {}} {
		t.Run(name, func(t *testing.T) {
			const conns, packets = 20, 300
			lot := New(cfg)
			var wg sync.WaitGroup
			for range conns {
				accepted, peer := tcpPair(t)
				var owed, paid int // wakes: guarded by mu
				var mu sync.Mutex
				settled := make(chan struct{}, 1)
				k := newTalk(nil)
				k.turn = func(turn *Turn) error {
					if turn.Woken {
						mu.Lock()
						paid = owed
						mu.Unlock()
						select {
						case settled <- struct{}{}:
						default:
						}
					}
					k.echo(turn)
					return nil
				}
				c := admit(t, lot, accepted, nil, k, nil)
				wg.Go(func() {
					for range packets {
						mu.Lock()
						owed++
						mu.Unlock()
						c.Wake()
					}
					for done := false; !done; {
						<-settled
						mu.Lock()
						done = paid == owed
						mu.Unlock()
					}
				})
				wg.Go(func() {
					b := make([]byte, packet)
					for i := range uint32(packets) {
						binary.BigEndian.PutUint32(b, i)
						if _, err := peer.Write(b); err != nil {
							t.Error(err)
							return
						}
						if _, err := io.ReadFull(peer, b); err != nil || binary.BigEndian.Uint32(b) != i {
							t.Errorf("packet %d: %x, %v", i, b, err)
							return
						}
					}
				})
			}
			wg.Wait()
			if err := lot.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A packet that trickles in is kept as it grows, at a cost in proportion to its size, and
// handled when it is whole.
func TestTrickledPacket(t *testing.T) {
	bothPaths(t, func(p path) {
		const size = 100_000
		k := newTalk(func(turn *Turn) error {
			if len(turn.In) >= size {
				turn.Used = size
				turn.Out = append(turn.Out, "done"...)
			}
			return nil
		})
		peer, c := p.open(p.T, p.lot(Config{}), k)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		sent := bytes.Repeat([]byte{1}, size)
		for len(sent) > 0 {
			n := min(50, len(sent))
			if _, err := peer.Write(sent[:n]); err != nil {
				p.Fatal(err)
			}
			sent = sent[n:]
			synctest.Wait() // between two owners
		}
		if _, err := io.ReadFull(peer, make([]byte, 4)); err != nil {
			p.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 500*size {
			p.Errorf("%d bytes were allocated for a packet of %d", got, size)
		}
		synctest.Wait()
		if c.s != nil && len(c.s.stage.(*parked).kept) > 0 {
			p.Error("an idle connection keeps a buffer")
		}
	})
}

// A peer that has ended its side may still be answered.
func TestHalfClosedPeerIsAnswered(t *testing.T) {
	onMemory(t, func(p path, _ *memory) {
		var k *talk
		k = newTalk(func(turn *Turn) error {
			if turn.Paused = len(turn.In) > 0 && !turn.Woken; !turn.Paused { // the answer takes time
				k.echo(turn)
			}
			return nil
		})
		peer, c := p.open(p.T, p.lot(Config{}), k)
		if _, err := peer.Write([]byte("ping")); err != nil {
			p.Fatal(err)
		}
		if err := peer.(*far).CloseWrite(); err != nil {
			p.Fatal(err)
		}
		synctest.Wait()
		c.Wake()
		if why := <-k.closed; !errors.Is(why, ErrPeerClosed) {
			p.Errorf("Closed(%v), want ErrPeerClosed", why)
		}
		peer.(*far).mu.Lock()
		got := string(peer.(*far).out)
		peer.(*far).mu.Unlock()
		if got != "ping" {
			p.Errorf("answered %q, want ping", got)
		}
	})
}

// A peer that reads slowly gets everything, as long as each turn's output is read in time.
func TestSlowReaderGetsEverything(t *testing.T) {
	bothPaths(t, func(p path) {
		const size = 4 * bufferOf
		k := newTalk(func(turn *Turn) error {
			if turn.Used = len(turn.In); turn.Used > 0 {
				turn.Out = append(turn.Out, bytes.Repeat([]byte{7}, size)...)
			}
			return nil
		})
		lot := p.lot(Config{})
		peer, _ := p.open(p.T, lot, k)
		other := newTalk(nil)
		neighbour, _ := p.open(p.T, lot, other)
		if _, err := peer.Write([]byte("more")); err != nil {
			p.Fatal(err)
		}
		buf := make([]byte, bufferOf/2)
		for got := 0; got < size; {
			time.Sleep(time.Second) // eight of them, of the 20 s there are
			n, err := peer.Read(buf)
			if err != nil {
				p.Fatal(err)
			}
			got += n
			if _, err := neighbour.Write([]byte("ping")); err != nil {
				p.Fatal(err)
			}
			if _, err := io.ReadFull(neighbour, make([]byte, packet)); err != nil {
				p.Fatal(err)
			}
		}
	})
}

// News of a descriptor that was closed does not reach whoever has it next.
func TestStaleNewsReachesNobody(t *testing.T) {
	onMemory(t, func(p path, m *memory) {
		lot := p.lot(Config{})
		k := newTalk(func(turn *Turn) error { turn.Used = len(turn.In); return nil })
		peer, c := p.open(p.T, lot, k)
		stale, fd := c.s.k, c.s.fd
		_ = peer.Close()
		<-k.closed
		synctest.Wait()
		next := newTalk(nil)
		_, d := p.open(p.T, lot, next)
		if d.s.fd != fd || d.s.k.slot != stale.slot {
			p.Fatalf("descriptor %d in slot %d, want %d in %d again", d.s.fd, d.s.k.slot, fd, stale.slot)
		}
		m.happened([]happening{{stale, readable | hungUp | woken | cut}})
		lot.sweep.enlist(stale, lot.now())
		time.Sleep(time.Second)
		synctest.Wait()
		if turns, woken := next.counts(); turns != 1 || woken != 0 {
			p.Errorf("%d turns, %d woken; want its first only", turns, woken)
		}
		c.Wake() // of the old one, from somebody who does not know yet
		synctest.Wait()
		if turns, _ := next.counts(); turns != 1 {
			p.Error("a late wake reached the new one")
		}
	})
}

// The kernel is asked about a parked socket, and never about whoever has its descriptor
// after it.
func TestKernelOfAParkedSocket(t *testing.T) {
	lot := New(Config{})
	defer func() { _ = lot.Shutdown(context.Background()) }()
	accepted, peer := tcpPair(t)
	c := admit(t, lot, accepted, nil, newTalk(nil), nil)
	if c.s == nil {
		if runtime.GOOS == "linux" {
			t.Fatal("a TCP socket was not parked")
		}
		return
	}
	ask := device.Kernel(&layers{c.nc})
	if got := ask(); got.State != 1 {
		t.Errorf("state %d, want 1 (established)", got.State)
	}
	fd := c.s.fd
	_ = peer.Close()
	for lot.Len() > 0 {
		runtime.Gosched()
	}
	var next []*Conn
	for range 5 {
		again, far := tcpPair(t)
		next = append(next, admit(t, lot, again, nil, newTalk(nil), nil))
		defer far.Close()
	}
	reused := false
	for _, c := range next {
		reused = reused || c.s.fd == fd
	}
	if !reused {
		t.Errorf("descriptor %d was not used again", fd)
	}
	if got := ask(); got.Known() {
		t.Errorf("a closed socket gave %+v", got)
	}
}

// While few descriptors are left, connections leave them to others.
func TestLastDescriptorsAreForOthers(t *testing.T) {
	lot := New(Config{})
	defer func() { _ = lot.Shutdown(context.Background()) }()
	first, _ := tcpPair(t)
	if admit(t, lot, first, nil, newTalk(nil), nil).s == nil {
		return // this system parks nothing
	}
	limit := setHighest(lot, 3)
	accepted, peer := tcpPair(t)
	if _, err := lot.adopt(accepted, guest(nil)); !errors.Is(err, errFew) {
		t.Errorf("adopt = %v, want errFew", err)
	}
	if _, err := io.ReadAll(peer); err != nil { // it was closed
		t.Error(err)
	}
	setHighest(lot, limit)
	next, _ := tcpPair(t)
	admit(t, lot, next, nil, newTalk(nil), nil)
}

// After a burst of goodbyes to say, Shutdown spreads them, in time for who waits for it.
func TestShutdownSpreadsGoodbyes(t *testing.T) {
	bothPaths(t, func(p path) {
		const conns = 200
		lot := p.lot(Config{})
		start := time.Now()
		var mu sync.Mutex
		var at []time.Duration
		for range conns {
			k := newTalk(func(turn *Turn) error {
				if turn.Stopping {
					mu.Lock()
					at = append(at, time.Since(start))
					mu.Unlock()
				}
				turn.Used = len(turn.In)
				return nil
			})
			peer, _ := p.open(p.T, lot, k)
			go func() {
				_, _ = io.Copy(io.Discard, peer)
				_ = peer.Close()
			}()
		}
		start = time.Now()
		if err := lot.Shutdown(context.Background()); err != nil {
			p.Error(err)
		}
		if took := time.Since(start); took > conns*spacing+lingerFor {
			p.Errorf("Shutdown took %v", took)
		}
		if len(at) != conns {
			p.Fatalf("%d goodbyes, want %d", len(at), conns)
		}
		half := 0
		for _, d := range at {
			if d < conns*spacing/2 {
				half++
			}
		}
		if half < conns/3 || half > 2*conns/3 {
			p.Errorf("%d of %d goodbyes in the first half of the time", half, conns)
		}
	})
}

// A lot that says its goodbyes at once does.
func TestShutdownWithoutSpread(t *testing.T) {
	bothPaths(t, func(p path) {
		lot := p.lot(Config{Spread: -1})
		for range 50 {
			peer, _ := p.open(p.T, lot, newTalk(nil))
			go func() {
				_, _ = io.Copy(io.Discard, peer)
				_ = peer.Close()
			}()
		}
		start := time.Now()
		if err := lot.Shutdown(context.Background()); err != nil {
			p.Error(err)
		}
		want := time.Duration(0)
		if p.name == "plain" {
			want = lingerFor // a pipe has no halves, so nobody learns that we have gone
		}
		if took := time.Since(start); took != want {
			p.Errorf("it took %v, want %v", took, want)
		}
	})
}

// Large packets over TLS arrive whole, and between them nothing is kept of what TLS needed
// for them.
func TestTLSBuffersAreTakenBack(t *testing.T) {
	onMemory(t, func(p path, _ *memory) {
		lot := p.lot(Config{})
		here, peer := p.wire()
		cert := certificate(p.T)
		var server *tls.Conn
		serve(p.T, lot, here, func(nc net.Conn) {
			server = tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})
			if err := server.Handshake(); err != nil {
				p.Error(err)
			}
			run(p.T, lot, server, newTalk(nil))
		})
		client := tls.Client(peer, &tls.Config{InsecureSkipVerify: true})
		if err := client.Handshake(); err != nil {
			p.Fatal(err)
		}
		sent := []byte(strings.Repeat("abcd", 50_000))
		for range 3 {
			synctest.Wait()
			if n := held(lot, server); n != 0 {
				p.Errorf("%d bytes kept while idle", n)
			}
			go func() {
				if _, err := client.Write(sent); err != nil {
					p.Error(err)
				}
			}()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
				p.Fatalf("the echo differs, %v", err)
			}
		}
		_ = client.Close()
		_ = lot.Shutdown(context.Background())
	})
}

// Many connections take turns with few buffers, and each reads its own.
func TestLentBuffersAreNotMixedUp(t *testing.T) {
	lot := New(Config{})
	var clients []*tls.Conn
	for range 8 {
		clients = append(clients, secure(t, lot, &tls.Config{}, func(nc net.Conn) { run(t, lot, nc, newTalk(nil)) }))
	}
	var wg sync.WaitGroup
	for i, client := range clients {
		wg.Go(func() {
			for n := range 100 {
				sent := bytes.Repeat([]byte{byte(i), byte(n), 1, 2}, 1+(n*n*37)%9000)
				go func() { _, _ = client.Write(sent) }()
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("client %d, message %d: the echo differs, %v", i, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := lot.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// The peer's reset ends a parked connection.
func TestResetEndsAParkedConnection(t *testing.T) {
	onMemory(t, func(p path, _ *memory) {
		k := newTalk(nil)
		peer, _ := p.open(p.T, p.lot(Config{}), k)
		peer.(*far).end(true)
		if why := <-k.closed; !errors.Is(why, syscall.ECONNRESET) {
			p.Errorf("Closed(%v), want a reset", why)
		}
	})
}
