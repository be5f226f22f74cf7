package park

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
)

// path is one of the two ways a connection is driven. A conversation cannot tell them
// apart; tests can, by who holds the peer's end.
type path struct {
	*testing.T

	name string
	lot  func(Config) *Lot
	// wire gives the two ends of a connection; the hub's is for serve.
	wire func() (here, peer net.Conn)
}

// bufferOf is how much is in flight each way on a parked path in memory.
const bufferOf = 64 * 1024

// bothPaths runs a test on each, in a bubble.
func bothPaths(t *testing.T, test func(p path)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(path{t, "plain", New, func() (net.Conn, net.Conn) {
				here, peer := net.Pipe()
				return &halves{Conn: here}, peer
			}})
		})
	})
	t.Run("parked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			test(path{t, "parked", m.lot, func() (net.Conn, net.Conn) { return m.wire() }})
		})
	})
}

// guest is the first stage of a socket in these tests: what serves it.
type guest func(nc net.Conn)

func (v guest) step(s *socket, _ uint32) bool {
	v(s)
	if _, still := s.stage.(guest); still {
		_ = s.Close()
		return true
	}
	return s.stage.step(s, s.take())
}

// serve calls f with nc, as a door does, on a goroutine. The connection is still in use
// when f has returned, if that is parked.
func serve(t *testing.T, lot *Lot, nc net.Conn, f func(nc net.Conn)) (wait func()) {
	t.Helper()
	var wg sync.WaitGroup
	s, err := lot.adopt(nc, guest(func(nc net.Conn) {
		defer wg.Done()
		f(nc)
	}))
	wg.Add(1)
	if err != nil {
		go func() {
			defer wg.Done()
			f(nc)
		}()
		return wg.Wait
	}
	if err := lot.system.watch(s.fd, s.k); err != nil {
		t.Fatal(err)
	}
	go s.own()
	return wg.Wait
}

// admit admits nc and runs k on it, in the way of its path.
func admit(t *testing.T, lot *Lot, nc net.Conn, meter Meter, k Conversation, leftover []byte) (c *Conn) {
	t.Helper()
	admitted := make(chan *Conn, 1)
	serve(t, lot, nc, func(nc net.Conn) {
		c, err := lot.Admit(nc, meter)
		admitted <- c
		if err != nil {
			t.Error(err)
			return
		}
		c.Run(k, leftover)
	})
	if c = <-admitted; c == nil {
		t.FailNow()
	}
	return c
}

// open runs k on one end of a connection and gives the other.
func (p path) open(t *testing.T, lot *Lot, k Conversation) (peer net.Conn, c *Conn) {
	t.Helper()
	here, peer := p.wire()
	c = admit(t, lot, here, nil, k, nil)
	t.Cleanup(func() {
		_ = peer.Close()
		_ = lot.Shutdown(context.Background())
		synctest.Wait()
	})
	synctest.Wait() // it runs, and has had its first turn
	return peer, c
}
