package park

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// probe watches the peer of a conversation that is over. It holds a socket whose write
// side is shut, until the peer's end, probeFor or probeBytes. On the parked path it is
// the stage of that socket; on the plain path it holds one goroutine.
type probe struct {
	// fixed

	c        *Conn
	s        *socket // nil: the plain path
	until    int64   // on the parked path: when to give up, in the lot's time
	observer Observer
	key      string
	shut     time.Time // when our write side was shut
	met      error     // what the read side had met before; nil: it is still open

	// owned by the owner, or by the reader

	life device.Afterlife

	// shared

	ended atomic.Bool // another takes its place: stop now

	// guarded by the lookout's mu

	place *list.Element // nil: it has none
}

// cut ends the probe early. It may be called by any goroutine, at any time.
func (p *probe) cut() {
	p.ended.Store(true)
	if p.s != nil {
		p.s.signal(woken)
		return
	}
	_ = p.c.nc.SetReadDeadline(time.Unix(1, 0)) // a socket that refuses is closed
}

// run watches unless a read has met the end already (err), reports and closes the
// socket.
func (p *probe) run(err error) { p.finish(p.listen(err)) }

// step listens to what has come; it reports and closes the socket when that is all.
func (p *probe) step(s *socket, bits uint32) bool {
	err := p.listen(nil)
	if errors.Is(err, errNothing) && bits&cut == 0 && !p.ended.Load() && s.lot.now() < p.until {
		s.wakeAt(p.until)
		return false
	}
	p.finish(err)
	return true
}

// listen reads until something ends that, unless it has ended already.
func (p *probe) listen(err error) error {
	if p.met != nil {
		err = p.met
	}
	var buf [smallBuffer]byte
	for err == nil && p.life.Bytes < probeBytes {
		var n int
		n, err = p.c.nc.Read(buf[:])
		p.heard(buf[:n])
	}
	return err
}

// finish reports what was seen and closes the socket; err is what ended listening.
func (p *probe) finish(err error) {
	p.judge(err)
	p.c.lot.lookout.leave(p)
	_ = p.c.lot.guarded(func() error { p.observer.Seen(p.life); return nil })
	p.c.abort()
	p.c.lot.left(p.c)
}

// heard counts what came, and forgets it.
func (p *probe) heard(b []byte) {
	if len(b) == 0 {
		return
	}
	now := time.Now()
	if p.life.Kind == 0 {
		p.life.Kind, p.life.After = device.AfterlifeAlive, now.Sub(p.shut)
	}
	p.life.Bytes += len(b)
	p.c.meter.In(now, len(b))
	_ = p.c.lot.guarded(func() error { p.observer.Heard(b); return nil })
}

// judge says what the end of reading means, nil for enough of it.
func (p *probe) judge(err error) {
	after := max(0, time.Since(p.shut))
	kind := meaning(p.c.nc, err)
	if kind == device.AfterlifeSilent {
		p.life.Cut = p.ended.Load() || errors.Is(err, net.ErrClosed) && after < probeFor*9/10
	}
	if p.life.Kind == 0 {
		p.life.Kind, p.life.After = kind, after
	}
}

// meaning says what a read error tells of the peer.
func meaning(nc net.Conn, err error) device.AfterlifeKind {
	switch {
	case goodbye(nc, err):
		return device.AfterlifeAlive
	case isReset(err):
		return device.AfterlifeReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return device.AfterlifeClosed
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) { // as a WebSocket tells a deadline
		return device.AfterlifeSilent
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return device.AfterlifeSilent
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok { // no way to the peer
		return device.AfterlifeSilent
	}
	return device.AfterlifeClosed // a stream that is no longer TLS
}

// isReset reports whether the peer's kernel said that it knows no such connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// goodbye reports whether a read error is the peer's own word, in the language of what
// carries the stream: a TLS alert, which is authenticated, or a frame. A connection may
// know itself (Farewell); a layer may know that the stream ended below it (Ended), which
// is what tells a close_notify from a stream that was merely closed.
func goodbye(nc net.Conn, err error) bool {
	if own, ok := nc.(interface{ Farewell() bool }); ok {
		return own.Farewell()
	}
	over, layered := nc.(interface{ NetConn() net.Conn })
	if !layered {
		return false
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" { // as crypto/tls names it
		return true
	}
	for errors.Is(err, io.EOF) && layered {
		below := over.NetConn()
		if stream, ok := below.(interface{ Ended() bool }); ok {
			return !stream.Ended()
		}
		over, layered = below.(interface{ NetConn() net.Conn })
	}
	return false
}
