package endpoint

import (
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// opened takes the peer's open.
func (c *Conn) opened(o amqpwire.Open) {
	if o.MaxFrameSize < amqpwire.MinMaxFrameSize { // AMQP 2.7.1
		c.fail(amqpwire.CondInvalidField, "max-frame-size is below 512")
		return
	}
	c.peerFrame = int(min(o.MaxFrameSize, MaxFrameSize))
	c.peerChannels = o.ChannelMax
	c.peerIdle = time.Duration(o.IdleTimeOut) * time.Millisecond
	if c.peerIdle != 0 && c.peerIdle < minIdleTimeOut {
		c.peerIdle = 0
		c.fail(amqpwire.CondNotAllowed, "idle-time-out is too short to be met") // AMQP 2.4.5
		return
	}
	c.phase = phaseOpening
	c.event = Event{Kind: OnOpen, Open: &o}
}

// Open answers an OnOpen. The machine itself says container-id, max-frame-size,
// channel-max and idle-time-out; capabilities and properties are the caller's.
func (c *Conn) Open(answer amqpwire.Open) {
	if c.phase != phaseOpening {
		return
	}
	c.phase = phaseUp
	if !c.open(answer) {
		c.fail(amqpwire.CondFrameSizeTooSmall, "the open does not fit into the peer's max-frame-size")
	}
}

func (c *Conn) open(o amqpwire.Open) bool {
	o.ContainerID = c.config.ContainerID
	o.MaxFrameSize = MaxFrameSize
	o.ChannelMax = ChannelMax
	o.IdleTimeOut = uint32(IdleTimeOut / time.Millisecond)
	return c.send(0, o)
}

// Close closes the connection; err is nil for a goodbye. Nothing but the peer's close is
// read afterwards, for AnswerWithin at most.
func (c *Conn) Close(err *amqpwire.Error) {
	switch c.phase {
	case phaseClosing, phaseDiscard, phaseOver:
		return
	case phaseHeader, phaseInit, phaseAsked, phaseResponse, phaseSecond:
		c.over(report{kind: OnClose, err: err}) // there is no frame that could say it
		return
	case phaseOpen, phaseOpening: // AMQP 2.4.1: an open comes before everything
		c.open(amqpwire.Open{})
	case phaseUp:
		c.flush()
	}
	c.sendClose(err)
	c.phase, c.closeAt = phaseClosing, c.now.Add(AnswerWithin)
	c.closed(report{kind: OnClose, err: err})
}

// sendClose writes a close, without the error's text if the peer's frames are too small.
func (c *Conn) sendClose(err *amqpwire.Error) {
	if !c.send(0, amqpwire.Close{Error: err}) {
		c.send(0, amqpwire.Close{Error: bare(err)})
	}
}

// closedByPeer takes the peer's close.
func (c *Conn) closedByPeer(cl amqpwire.Close) {
	if c.phase == phaseUp {
		c.flush()
		c.send(0, amqpwire.Close{})
		c.closed(report{kind: OnClose, byPeer: true, err: cl.Error})
	}
	c.phase = phaseOver
}

// closed lets go of everything, and has it told.
func (c *Conn) closed(r report) {
	for len(c.sessions) > 0 {
		s := c.sessions[len(c.sessions)-1]
		if s.live() {
			s.release()
			s.reported(report{kind: OnEnd, byPeer: r.byPeer, err: r.err})
		}
		c.forget(s)
	}
	c.dirty, c.flows, c.windings, c.channels = nil, nil, nil, nil
	c.windAt, c.owed = time.Time{}, 0
	c.reports = append(c.reports, r)
}

// over ends the connection without a close.
func (c *Conn) over(r report) {
	c.closed(r)
	c.phase = phaseOver
}

// end is over with an error.
func (c *Conn) end(condition, text string) {
	c.over(report{kind: OnClose, err: &amqpwire.Error{Condition: condition, Description: text}})
}

// fail closes the connection with an error.
func (c *Conn) fail(condition, text string) {
	c.Close(&amqpwire.Error{Condition: condition, Description: text})
}

// broken closes the connection because its input cannot be read any more.
func (c *Conn) broken(err error) {
	condition, text := reason(err)
	if c.phase == phaseClosing { // we have said why already
		c.phase = phaseDiscard
		return
	}
	c.fail(condition, text)
	if c.phase == phaseClosing {
		c.phase = phaseDiscard
	}
}

// Wind closes the connection with the error, or nil, as soon as the peer has answered
// every detach and end of ours, and every session that winds is gone; after AnswerWithin
// at the latest. Until then no session is begun.
func (c *Conn) Wind(err *amqpwire.Error) {
	if c.phase != phaseUp {
		c.Close(err)
		return
	}
	if c.windAt.IsZero() {
		c.windAt, c.winding = c.now.Add(AnswerWithin), err
	}
	c.wound()
}

// wound closes a connection that winds if nothing is waited for any more.
func (c *Conn) wound() {
	if !c.windAt.IsZero() && c.owed == 0 {
		c.Close(c.winding)
	}
}
