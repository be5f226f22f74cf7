package park

import (
	"errors"
	"net"
	"time"
)

// Conn is one connection of a Lot. Wake may be called by any goroutine, at any
// time; Run or Leave is called once.
type Conn struct {
	// fixed

	lot   *Lot
	nc    net.Conn
	meter Meter
	wake  chan struct{} // capacity 1: wakes coalesce
}

// Wake asks for a turn with Woken set. It never blocks and coalesces; it may be
// called before Run, whose first turn then is woken, and after the end.
func (c *Conn) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run gives the connection to conv, with leftover as input already read (copied). conv
// has its first turn at once, also when leftover is empty. Run blocks until the connection
// has ended; a caller must not rely on that, since an implementation that parks idle
// connections returns as soon as there is nothing to do, and a peer that is watched (see
// Observed) outlasts it: conv.Closed tells the end. Any
// deadline on the socket is lifted.
func (c *Conn) Run(conv Conversation, leftover []byte) {
	c.lot.runs(c)
	_ = c.nc.SetDeadline(time.Time{}) // a socket that refuses fails at the first read
	newOwner(c, conv, leftover).run()
}

// Leave ends a connection that never ran: it writes last within a short deadline,
// closes and leaves the lot.
func (c *Conn) Leave(last []byte) {
	defer c.lot.left(c)
	if len(last) > 0 {
		now := time.Now()
		_ = c.nc.SetWriteDeadline(now.Add(lingerFor))
		if _, err := c.nc.Write(last); err != nil {
			c.abort()
			return
		}
		c.meter.Out(now, len(last))
		if c.closeWrite() == nil {
			c.drain()
		}
	}
	_ = c.nc.Close()
}

// drain reads and forgets what the peer still sends, until it closes or the linger is over.
func (c *Conn) drain() {
	_ = c.nc.SetReadDeadline(time.Now().Add(lingerFor))
	buf := c.lot.buffers.Get().(*[bigBuffer]byte) // the pool holds nothing else
	defer c.lot.buffers.Put(buf)
	for left := lingerBytes; left > 0; {
		n, err := c.nc.Read(buf[:])
		if err != nil {
			return
		}
		left -= n
	}
}

// closeWrite ends our side of the stream: what a TLS connection calls close_notify,
// and then the socket's own end of stream. A peer that reads nothing delays it by
// lingerFor at most. Without an error the read side is still worth draining.
func (c *Conn) closeWrite() error {
	over, layered := c.nc.(interface{ NetConn() net.Conn })
	if !layered {
		return closeWrite(c.nc)
	}
	late := time.AfterFunc(lingerFor, func() { _ = over.NetConn().SetWriteDeadline(time.Unix(1, 0)) })
	defer late.Stop()
	said, ended := closeWrite(c.nc), closeWrite(over.NetConn())
	if errors.Is(ended, errors.ErrUnsupported) {
		return said
	}
	return errors.Join(said, ended)
}

// closeBelow ends our side of the stream below any layer, without its last words.
func (c *Conn) closeBelow() error {
	if over, layered := c.nc.(interface{ NetConn() net.Conn }); layered {
		return closeWrite(over.NetConn())
	}
	return closeWrite(c.nc)
}

func closeWrite(nc net.Conn) error {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// abort closes the socket below any layer, without last words, so that it cannot wait
// for a peer that does not read.
func (c *Conn) abort() {
	if over, layered := c.nc.(interface{ NetConn() net.Conn }); layered {
		_ = over.NetConn().Close()
		return
	}
	_ = c.nc.Close()
}
