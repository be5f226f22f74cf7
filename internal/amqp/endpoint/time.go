package endpoint

import (
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// expire ends what has waited for the peer long enough.
func (c *Conn) expire() {
	switch {
	case c.phase == phaseOver:
		return
	case c.phase >= phaseClosing:
		if !c.now.Before(c.closeAt) {
			c.phase = phaseOver
		}
		return
	}
	for len(c.windings) > 0 && !c.now.Before(c.windings[0].windAt) { // in the order of time
		c.windings[0].End(c.windings[0].winding)
	}
	if !c.windAt.IsZero() && !c.now.Before(c.windAt) {
		c.Close(c.winding)
	}
}

// silent closes the connection if the peer has said nothing for too long (AMQP 2.4.5),
// and reports that.
func (c *Conn) silent() bool {
	if c.phase != phaseUp || c.heard || c.now.Sub(c.lastIn) < silence {
		return false
	}
	c.fail(amqpwire.CondResourceLimitExceeded, "nothing came within the idle-time-out")
	return true
}

// keepAlive writes an empty frame if nothing else has been written for long.
func (c *Conn) keepAlive() {
	if c.phase == phaseUp && c.peerIdle > 0 && len(c.out) == c.outStart && c.now.Sub(c.lastOut) >= c.beat() {
		c.out = amqpwire.AppendEmpty(c.out)
	}
}

// beat is how long we send nothing at most: less than half of what the peer allows
// (AMQP 2.4.5).
func (c *Conn) beat() time.Duration { return c.peerIdle * 2 / 5 }

// deadline is when expire has something to do; the zero time is never.
func (c *Conn) deadline() time.Time {
	switch {
	case c.phase == phaseOver:
		return time.Time{}
	case c.phase >= phaseClosing:
		return c.closeAt
	case c.phase != phaseUp:
		return time.Time{}
	}
	at := c.windAt
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if c.idle { // the time that we do not read is not the peer's silence
		earlier(c.lastIn.Add(silence))
	}
	if c.peerIdle > 0 {
		earlier(c.lastOut.Add(c.beat()))
	}
	if len(c.windings) > 0 {
		earlier(c.windings[0].windAt)
	}
	return at
}
