package web

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/park"
)

// guest is a connection that came through the door. It is a stranger there until its first
// request with a good credential, or the protocol in its WebSocket, has shown who it is.
type guest struct {
	// fixed

	net.Conn // after TLS

	facts *device.Conn
	certs []*x509.Certificate // the client's chain, leaf first, not verified
	until time.Time           // when its time as a stranger is over

	// shared

	admit   func()        // once
	known   atomic.Bool   // it was admitted
	settled chan struct{} // closed when it is no stranger any more, or gone
	settle  func()        // closes it, once
	left    func()        // uncounts it, once

	// owned by who reads

	in []byte // what it said on its way in
}

func (s *Server) newGuest(until time.Time, p park.Peer) *guest {
	g := &guest{Conn: p.Conn, facts: p.Facts, certs: p.Certs, until: until, in: p.In, settled: make(chan struct{})}
	g.settle = sync.OnceFunc(func() { close(g.settled) })
	g.admit = sync.OnceFunc(func() {
		p.Admitted()
		g.known.Store(true)
		g.settle()
	})
	s.guests.Add(1)
	g.left = sync.OnceFunc(func() { s.guests.Add(-1) })
	return g
}

// Read reads what came first, then from the connection.
func (g *guest) Read(b []byte) (int, error) {
	if len(g.in) == 0 {
		return g.Conn.Read(b)
	}
	n := copy(b, g.in)
	if g.in = g.in[n:]; len(g.in) == 0 {
		g.in = nil
	}
	return n, nil
}

// Close closes the connection.
func (g *guest) Close() error {
	g.left()
	g.settle()
	return g.Conn.Close()
}

// CloseWrite ends our side of the stream.
func (g *guest) CloseWrite() error {
	half, ok := g.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// NetConn gives what is below TLS.
func (g *guest) NetConn() net.Conn {
	over, ok := g.Conn.(interface{ NetConn() net.Conn })
	if !ok {
		return g.Conn
	}
	return over.NetConn()
}

// arriveUntil is when a protocol inside has to know who it is.
func (g *guest) arriveUntil() time.Time {
	if g.known.Load() { // an earlier request told, which is no stranger's word
		return time.Now().Add(park.ArriveWithin)
	}
	return g.until
}

// upgraded are the facts of the connection that begins inside this one.
func (g *guest) upgraded(to device.Transport) *device.Conn {
	f := g.facts
	return &device.Conn{
		ID: f.ID, Transport: to, Listener: f.Listener, Remote: f.Remote, Local: f.Local,
		Accepted: f.Accepted, TLS: f.TLS, Kernel: f.Kernel,
	}
}

// guestKey is where a request's context holds its connection, which net/http hands out in
// no other way.
type guestKey struct{}

// withGuest is http.Server.ConnContext.
func withGuest(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, guestKey{}, nc)
}

// guest gives a request's connection, nil if it came another way than by Serve.
func (c *call) guest() *guest {
	g, _ := c.r.Context().Value(guestKey{}).(*guest) // absent in a handler called directly
	return g
}

// admit notes that the caller has shown who it is. What a stranger's time had bounded gets
// the bounds of a request.
func (c *call) admit() {
	g := c.guest()
	if g == nil || g.known.Load() {
		return
	}
	g.admit()
	now, control := time.Now(), http.NewResponseController(c.w)
	_ = control.SetReadDeadline(now.Add(readTimeout)) // a socket that refuses fails at the next read
	_ = control.SetWriteDeadline(now.Add(writeTimeout))
}

// whole reports whether in holds the head of a request, or is too long for one.
func whole(in []byte) bool {
	return len(in) > maxHeader || bytes.Contains(in, []byte("\r\n\r\n")) || bytes.Contains(in, []byte("\n\n"))
}
