package web

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// door bounds who is inside: connections altogether (accepting pauses beyond), of
// one address (closed at once beyond), and how many raw bytes each may send before
// its first request is whole, because crypto/tls alone would take a certificate
// message of 256 KiB. A WebSocket leaves the count when it is upgraded: its protocol
// has limits of its own.
type door struct {
	// fixed

	places     chan struct{} // one token per connection inside
	perAddress int
	now        func() time.Time
	closed     chan struct{}
	once       sync.Once

	// guarded by mu

	mu   sync.Mutex
	from map[netip.Addr]int
}

func newDoor(places, perAddress int, now func() time.Time) *door {
	return &door{
		now: now, places: make(chan struct{}, places), perAddress: perAddress,
		closed: make(chan struct{}), from: make(map[netip.Addr]int),
	}
}

// close lets a waiting Accept go.
func (d *door) close() { d.once.Do(func() { close(d.closed) }) }

func (d *door) listen(ln net.Listener) net.Listener {
	return &doorListener{Listener: ln, door: d, gone: make(chan struct{})}
}

// doorListener accepts through a door.
type doorListener struct {
	net.Listener

	door *door
	once sync.Once
	gone chan struct{} // closed with the listener
}

// Accept waits for a place, then for a connection.
func (l *doorListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.door.places <- struct{}{}:
		case <-l.gone:
			return nil, net.ErrClosed
		case <-l.door.closed:
			return nil, net.ErrClosed
		}
		nc, err := l.Listener.Accept()
		if err != nil {
			<-l.door.places
			return nil, err
		}
		if g, ok := l.door.enter(nc); ok {
			return g, nil
		}
		<-l.door.places
		_ = nc.Close()
	}
}

// Close stops accepting.
func (l *doorListener) Close() error {
	l.once.Do(func() { close(l.gone) })
	return l.Listener.Close()
}

// enter counts a connection, unless its address has too many.
func (d *door) enter(nc net.Conn) (*guest, bool) {
	addr := remoteAddr(nc)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.from[addr] >= d.perAddress {
		return nil, false
	}
	d.from[addr]++
	g := &guest{Conn: nc, addr: addr, accepted: d.now()}
	g.budget.Store(maxRawInput)
	return g, true
}

// leave uncounts a connection, once.
func (d *door) leave(g *guest) {
	if g.left.Swap(true) {
		return
	}
	d.mu.Lock()
	if d.from[g.addr]--; d.from[g.addr] <= 0 {
		delete(d.from, g.addr)
	}
	d.mu.Unlock()
	<-d.places
}

// state is http.Server.ConnState.
func (d *door) state(nc net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	if g := guestOf(nc); g != nil {
		d.leave(g)
	}
}

// guest is a socket that came through the door.
type guest struct {
	net.Conn

	addr     netip.Addr
	accepted time.Time
	left     atomic.Bool
	budget   atomic.Int64 // raw bytes it may still send; negative: no bound any more
}

var errBudget = errors.New("too much input before the first request")

// Read counts what comes until the first request is whole.
func (g *guest) Read(b []byte) (int, error) {
	left := g.budget.Load()
	if left < 0 {
		return g.Conn.Read(b)
	}
	if left == 0 {
		return 0, errBudget
	}
	n, err := g.Conn.Read(b[:min(int64(len(b)), left)])
	g.budget.CompareAndSwap(left, left-int64(n))
	return n, err
}

// CloseWrite ends our side of the stream.
func (g *guest) CloseWrite() error {
	if half, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// guestOf finds the socket that came through the door under the layers on it.
func guestOf(nc net.Conn) *guest {
	for nc != nil {
		if g, ok := nc.(*guest); ok {
			return g
		}
		over, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = over.NetConn()
	}
	return nil
}

// pass lifts the bound on a connection's input: its first request is here, and from
// now on net/http and the routes bound each request.
func pass(r *http.Request) {
	if g := guestOf(connOf(r)); g != nil {
		g.budget.Store(-1)
	}
}

// remoteAddr is the address a peer counts under: of IPv6 its /64.
func remoteAddr(nc net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	addr := at.Addr().Unmap()
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}
