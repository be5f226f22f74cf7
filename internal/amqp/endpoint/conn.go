package endpoint

import (
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Config is what a connection is made with. Every field is needed.
type Config struct {
	ContainerID string   // ours
	Mechanisms  []string // of SASL, in order of preference; not changed afterwards
}

// Conn is a server's end of one connection. See the package's description for how it is
// driven.
type Conn struct {
	// fixed

	config Config

	// the turn

	now      time.Time
	out      []byte
	outStart int  // how much of out was there before
	work     int  // what is left of the turn's share
	heard    bool // a whole frame came in this turn
	idle     bool // Step came to Idle in this turn

	// the connection

	phase   phase
	limits  limits
	lastIn  time.Time
	lastOut time.Time
	closeAt time.Time // a close of ours is given up
	windAt  time.Time // a wind is given up; zero for none
	winding *amqpwire.Error
	owed    int // detaches, ends and winds of ours that wait for the peer

	// what the peer announced

	peerFrame    int
	peerChannels uint16
	peerIdle     time.Duration // 0 for none

	// sessions and what they have in common

	sessions  []*Session // in no order; ended ones stay until the peer's end
	channels  map[uint16]*Session
	begun     int      // one more than the highest channel that ever had a session
	latest    *Session // of the latest frame
	links     int
	assembled int // bytes of unfinished deliveries
	heldBytes int
	unsettled int // deliveries that we sent

	// what is to be told and done

	reports  []report
	settling settling
	dirty    []*Session // have dispositions or a window to tell
	flows    []*Link    // have credit to tell
	windings []*Session
	event    Event    // of the frame in hand; none if its kind is Idle
	delivery Delivery // of that event
}

// phase is where a connection stands.
type phase uint8

const (
	phaseHeader   phase = iota // a protocol header of either layer is due
	phaseInit                  // SASL: the client's choice is due
	phaseAsked                 // SASL: the caller owes an answer
	phaseResponse              // SASL: the client's response is due
	phaseSecond                // SASL is done: the AMQP header is due
	phaseOpen                  // the peer's open is due
	phaseOpening               // the caller owes our open
	phaseUp                    // both are open
	phaseClosing               // our close is sent: everything but the peer's is ignored
	phaseDiscard               // the same, and the input cannot be read any more
	phaseOver                  // nothing is sent or read any more
)

// New makes the machine of a connection on which nothing has come yet.
func New(config Config) *Conn {
	return &Conn{config: config, limits: stranger(), peerFrame: amqpwire.MinMaxFrameSize}
}

// Trust says that the peer has proven who it is: the limits are wide from now on.
func (c *Conn) Trust() { c.limits = trusted() }

// Over says that the connection is over: once Out is written the socket is closed.
func (c *Conn) Over() bool { return c.phase == phaseOver }

// Full says that no more can be sent until this turn's output has left.
func (c *Conn) Full() bool { return len(c.out)-c.outStart >= maxOut }

// Kept is how many sessions and links there are, those that wait for the peer's answer to
// their end among them.
func (c *Conn) Kept() int { return len(c.sessions) + c.links }

// Sessions gives the sessions that have not ended.
func (c *Conn) Sessions() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for _, s := range slices.Clone(c.sessions) {
			if s.live() && !yield(s) {
				return
			}
		}
	}
}

// Start begins a turn: what is to be sent is appended to out.
func (c *Conn) Start(now time.Time, out []byte) {
	if c.lastIn.IsZero() || !c.idle { // the first turn, or we did not read
		c.lastIn = now
	}
	if c.lastOut.IsZero() {
		c.lastOut = now
	}
	c.now, c.out, c.outStart = now, out, len(out)
	c.work, c.heard, c.idle = turnWork, false, false
	c.expire()
}

// Finish ends a turn. It gives back what is to be sent, and when to take a turn even if
// nothing happens; the zero time is never.
func (c *Conn) Finish() (out []byte, deadline time.Time) {
	c.flush()
	c.keepAlive()
	if c.heard {
		c.lastIn = c.now
	}
	if len(c.out) > c.outStart {
		c.lastOut = c.now
	}
	out, c.out, c.event, c.delivery = c.out, nil, Event{}, Delivery{}
	return out, c.deadline()
}

// Step handles input until there is something to tell; it says how many bytes it used.
// Frames that tell nothing (a window, an empty frame) are handled on the way.
func (c *Conn) Step(in []byte) (ev Event, used int) {
	for {
		if len(c.reports) > 0 {
			if ev, ok := c.told(); ok {
				return ev, used
			}
			continue
		}
		switch {
		case c.phase >= phaseDiscard:
			c.idle = true
			return Event{}, len(in)
		case c.phase == phaseAsked || c.phase == phaseOpening:
			return Event{Kind: Held}, used
		case c.work <= 0 || c.Full():
			return Event{Kind: More}, used
		}
		if c.settling.session != nil {
			if ev, ok := c.settled(); ok {
				return ev, used
			}
			continue
		}
		n, more := c.handle(in[used:])
		if used += n; c.event.Kind != Idle || !more {
			ev, c.event.Kind = c.event, Idle
			return ev, used
		}
	}
}

// handle handles one protocol header or frame. It reports false if there is none, and
// nothing else is to be told.
func (c *Conn) handle(in []byte) (used int, more bool) {
	used, err := c.next(in)
	switch {
	case errors.Is(err, amqpwire.ErrShort):
		c.idle = true
		return 0, c.silent()
	case err != nil:
		c.broken(err)
		return 0, true
	}
	c.work--
	c.heard = true
	return used, true
}

// next handles one protocol header or frame; what it tells is in event.
func (c *Conn) next(in []byte) (int, error) {
	switch c.phase {
	case phaseHeader, phaseSecond:
		return c.header(in)
	case phaseInit, phaseResponse:
		return c.sasl(in)
	default:
	}
	f, n, err := amqpwire.Split(in, c.limits.frame)
	if err != nil {
		return 0, err
	}
	return n, c.frame(f)
}
