package endpoint

import (
	"errors"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// What a peer does that the standard has no frame-by-frame answer for.
var (
	errSASLOrder = &amqpwire.DecodeError{Condition: amqpwire.CondIllegalState, Text: "a SASL frame that is not due"}
	errLayer     = &amqpwire.DecodeError{Condition: amqpwire.CondFramingError, Text: "a SASL frame behind the SASL layer"}
	errNotOpen   = &amqpwire.DecodeError{Condition: amqpwire.CondIllegalState, Text: "a frame before the open"}
	errTwice     = &amqpwire.DecodeError{Condition: amqpwire.CondIllegalState, Text: "a second open"}
	errChannel   = &amqpwire.DecodeError{Condition: amqpwire.CondFramingError, Text: "channel number exceeds channel-max"}
	errNoSession = &amqpwire.DecodeError{Condition: amqpwire.CondIllegalState, Text: "no session is begun on the channel"}
)

// frame handles one frame. An error ends the connection.
func (c *Conn) frame(f amqpwire.Frame) error {
	if f.Type != amqpwire.FrameAMQP {
		return errLayer
	}
	if len(f.Body) == 0 {
		return nil
	}
	code, err := f.Code()
	if err != nil {
		return err
	}
	if c.phase == phaseClosing {
		if code == amqpwire.CodeClose {
			c.phase = phaseOver
		}
		return nil
	}
	if code == amqpwire.CodeOpen || code == amqpwire.CodeClose || c.phase != phaseUp {
		return c.connectionFrame(f, code)
	}
	if f.Channel > ChannelMax {
		return errChannel // AMQP 2.7.1
	}
	s := c.latest
	if s == nil || s.in != f.Channel {
		s = c.channels[f.Channel]
		c.latest = s
	}
	if s == nil {
		return c.unmapped(f, code)
	}
	return s.frame(f, code)
}

// unmapped handles a frame on a channel that has no session.
func (c *Conn) unmapped(f amqpwire.Frame, code amqpwire.Code) error {
	switch {
	case code == amqpwire.CodeBegin:
		return c.begin(f)
	case c.late(f.Channel, code):
		return nil
	default:
		return errNoSession
	}
}

// late reports whether a frame on a channel without a session is the echo of one that the
// peer has ended: rhea settles what was on its way when it said end, and only then sees
// that the session is over. Such a frame asks for nothing, so it is ignored; work for a
// session that is not there is still an error.
func (c *Conn) late(channel uint16, code amqpwire.Code) bool {
	switch code {
	case amqpwire.CodeDisposition, amqpwire.CodeFlow, amqpwire.CodeDetach:
		return int(channel) < c.begun
	default:
		return false
	}
}

// frame handles a frame on the session's channel.
func (s *Session) frame(f amqpwire.Frame, code amqpwire.Code) error {
	if s.phase == sessionEnding { // AMQP 2.5.5: only the peer's end is of interest
		if code == amqpwire.CodeEnd {
			s.conn.forget(s)
			s.conn.answered()
		}
		return nil
	}
	switch code {
	case amqpwire.CodeTransfer:
		t, err := f.Transfer()
		if err != nil {
			return err
		}
		s.transfer(&t)
	case amqpwire.CodeDisposition:
		d, err := f.Disposition()
		if err != nil {
			return err
		}
		s.disposition(&d)
	case amqpwire.CodeFlow:
		fl, err := f.Flow()
		if err != nil {
			return err
		}
		s.flow(&fl)
	default:
		return s.set(f)
	}
	return nil
}

// connectionFrame handles a frame that concerns the connection, or comes too early.
func (c *Conn) connectionFrame(f amqpwire.Frame, code amqpwire.Code) error {
	if code != amqpwire.CodeOpen && code != amqpwire.CodeClose {
		return errNotOpen
	}
	p, err := f.Decode()
	if err != nil {
		return err
	}
	switch p := p.(type) {
	case amqpwire.Open:
		if c.phase != phaseOpen {
			return errTwice
		}
		c.opened(p)
	case amqpwire.Close:
		if c.phase != phaseUp {
			return errNotOpen
		}
		c.closedByPeer(p)
	default:
	}
	return nil
}

// set handles what sets up and takes down.
func (s *Session) set(f amqpwire.Frame) error {
	p, err := f.Decode()
	if err != nil {
		return err
	}
	switch p := p.(type) {
	case amqpwire.Attach:
		if p.Handle > HandleMax {
			return errHandle // AMQP 2.7.2
		}
		s.attach(&p)
	case amqpwire.Detach:
		s.detached(p)
	case amqpwire.End:
		s.ended(p)
	case amqpwire.Begin:
		return errBegun
	default:
	}
	return nil
}

// send writes a frame. It reports false, and writes nothing, if the frame exceeds what
// the peer takes.
func (c *Conn) send(channel uint16, p amqpwire.Performative) bool {
	at := len(c.out)
	c.out = amqpwire.AppendFrame(c.out, channel, p)
	if len(c.out)-at <= c.peerFrame {
		return true
	}
	c.out = c.out[:at]
	return false
}

// reason gives the condition and the text of a decoder's error.
func reason(err error) (condition, text string) {
	if d, ok := errors.AsType[*amqpwire.DecodeError](err); ok {
		return d.Condition, d.Text
	}
	return amqpwire.CondInternalError, err.Error()
}

// bare is an error without its text, which fits into the least frame.
func bare(err *amqpwire.Error) *amqpwire.Error {
	if err == nil {
		return nil
	}
	return &amqpwire.Error{Condition: err.Condition}
}
