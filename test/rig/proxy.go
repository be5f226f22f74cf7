package rig

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between clients and the MQTT port and does to their connections what
// bad networks, crashes and address translation do. TLS passes through it untouched.
type Proxy struct {
	// fixed

	Addr string // where clients dial it
	tb   testing.TB
	hub  string
	ln   net.Listener
	wg   sync.WaitGroup

	// guarded by mu

	mu    sync.Mutex
	from  string
	lines []*Line
}

// Proxy starts a proxy whose connections the hub sees come from the given address of
// the loopback network, such as 127.0.0.2. It ends with the test.
func (h *Hub) Proxy(tb testing.TB, from string) *Proxy {
	tb.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: ln.Addr().String(), tb: tb, hub: h.Run.MQTT, ln: ln, from: from}
	p.wg.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

func (p *Proxy) close() {
	_ = p.ln.Close()
	p.mu.Lock()
	lines := p.lines
	p.mu.Unlock()
	for _, l := range lines {
		l.end()
	}
	p.wg.Wait()
}

// From gives the connections that come from now on another address.
func (p *Proxy) From(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from = addr
}

// Last is the connection that came last.
func (p *Proxy) Last() *Line {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == 0 {
		p.tb.Fatal("nobody connected through the proxy")
	}
	return p.lines[len(p.lines)-1]
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		from := p.from
		p.mu.Unlock()
		d := net.Dialer{Timeout: requestWithin, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		hub, err := d.DialContext(p.tb.Context(), "tcp", p.hub)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &Line{client: client.(*net.TCPConn), hub: hub.(*net.TCPConn)} //nolint:forcetypeassert // both are TCP
		l.change = sync.NewCond(&l.mu)
		p.mu.Lock()
		p.lines = append(p.lines, l)
		p.mu.Unlock()
		p.wg.Go(func() { l.carry(l.hub, l.client, func() flow { return l.up }) })
		p.wg.Go(func() { l.carry(l.client, l.hub, func() flow { return l.down }) })
	}
}

// flow is what becomes of the bytes of one direction.
type flow uint8

const (
	passes flow = iota
	vanishes
	waits
)

// Line is one connection through a Proxy.
type Line struct {
	// fixed

	client, hub *net.TCPConn

	// guarded by mu

	mu       sync.Mutex
	change   *sync.Cond
	up, down flow // from the client, from the hub
	dead     bool // whatever the hub says next is answered with a reset
	ended    bool
}

func (l *Line) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.change.Broadcast()
}

// Silence lets nothing pass any more, either way: the network is gone, and neither
// side is told.
func (l *Line) Silence() { l.set(func() { l.up, l.down = vanishes, vanishes }) }

// Mute lets nothing of the client's pass any more; it still hears the hub.
func (l *Line) Mute() { l.set(func() { l.up = vanishes }) }

// Hold keeps back what the client says until Flush.
func (l *Line) Hold() { l.set(func() { l.up = waits }) }

// Flush lets what was held pass, and what comes.
func (l *Line) Flush() { l.set(func() { l.up = passes }) }

// Reset ends the connection with a reset to both sides.
func (l *Line) Reset() {
	for _, c := range []*net.TCPConn{l.client, l.hub} {
		_ = c.SetLinger(0)
	}
	l.end()
}

// Die is the end of the client's process and system at once: the hub is not told, and
// is answered with a reset when it says something next.
func (l *Line) Die() { l.set(func() { l.up, l.down, l.dead = vanishes, vanishes, true }) }

func (l *Line) end() {
	l.set(func() { l.ended = true })
	_ = l.client.Close()
	_ = l.hub.Close()
}

// carry takes one direction's bytes from one side to the other, as far as they may
// pass.
func (l *Line) carry(to, from *net.TCPConn, how func() flow) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		l.mu.Lock()
		for how() == waits && !l.ended {
			l.change.Wait()
		}
		passing, reset := how() == passes, l.dead && from == l.hub
		l.mu.Unlock()
		if reset {
			_ = l.hub.SetLinger(0)
			_ = l.hub.Close()
			return
		}
		if passing && n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err == nil {
			continue
		}
		if passing && errors.Is(err, io.EOF) {
			_ = to.CloseWrite()
		} else if passing {
			_ = to.SetLinger(0) // a reset is passed on as one
			_ = to.Close()
		}
		return
	}
}
