package park

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// Conn is one connection of a Lot. Wake may be called by any goroutine, at any
// time; Run or Leave is called once.
type Conn struct {
	// fixed

	lot   *Lot
	nc    net.Conn
	meter Meter
	s     *socket       // nil: the plain path
	poke  chan struct{} // to the owner on the plain path: look at what happened; capacity 1

	// shared: on the plain path, what a socket's word holds

	happened atomic.Uint32
}

// Wake asks for a turn with Woken set. It never blocks and coalesces; it may be
// called before Run, whose first turn then is woken, and after the end.
func (c *Conn) Wake() { c.signal(woken) }

// signal tells the owner of bits.
func (c *Conn) signal(bits uint32) {
	if c.s != nil {
		c.s.signal(bits)
		return
	}
	c.happened.Or(bits)
	c.poked()
}

// poked makes the owner on the plain path look.
func (c *Conn) poked() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// Run gives the connection to conv, with leftover as input already read (copied). conv
// has its first turn at once, also when leftover is empty. On the plain path Run blocks
// until the connection has ended; a connection that can be parked it only hands over, and
// the caller, who is the goroutine that a Door gave it to, must return for the first turn to
// begin. A peer that is watched (see Observed) outlasts both: conv.Closed tells the end.
// Any deadline on the socket is lifted.
func (c *Conn) Run(conv Conversation, leftover []byte) {
	_ = c.nc.SetDeadline(time.Time{}) // a socket that refuses fails at the first read
	c.lot.ebb.moved()
	if c.s != nil {
		c.s.park(c, conv, leftover)
		c.lot.runs(c)
		return
	}
	c.lot.runs(c)
	newOwner(c, conv, leftover).run()
}

// Leave ends a connection that never ran: it writes last within a short deadline,
// closes and leaves the lot.
func (c *Conn) Leave(last []byte) {
	if len(last) > 0 {
		now := time.Now()
		_ = c.nc.SetWriteDeadline(now.Add(lingerFor))
		if _, err := c.nc.Write(last); err != nil {
			c.abort()
			c.lot.left(c)
			return
		}
		c.meter.Out(now, len(last))
		if c.closeWrite() == nil {
			if c.s != nil {
				c.s.linger(c)
				return
			}
			c.drain()
		}
	}
	_ = c.nc.Close()
	c.lot.left(c)
}

// write writes b within WriteTimeout.
func (c *Conn) write(now time.Time, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := c.nc.SetWriteDeadline(now.Add(c.lot.cfg.WriteTimeout)); err != nil {
		return err
	}
	n, err := c.nc.Write(b)
	if c.s == nil && err == nil {
		_ = c.nc.SetWriteDeadline(time.Time{}) // TLS may have to answer while it reads
	}
	c.meter.Out(now, n)
	return err
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
// for a peer that does not read. On the parked path it is for the owner.
func (c *Conn) abort() {
	if over, layered := c.nc.(interface{ NetConn() net.Conn }); layered {
		_ = over.NetConn().Close()
		return
	}
	_ = c.nc.Close()
}

// cut is abort for everybody else.
func (c *Conn) cut() {
	if c.s != nil {
		c.s.signal(cut)
		return
	}
	c.abort()
}

// under gives the socket that nc lies on, if it is one that can be parked.
func under(nc net.Conn) *socket {
	for nc != nil {
		if s, ok := nc.(*socket); ok {
			return s
		}
		over, layered := nc.(interface{ NetConn() net.Conn })
		if !layered {
			return nil
		}
		nc = over.NetConn()
	}
	return nil
}
