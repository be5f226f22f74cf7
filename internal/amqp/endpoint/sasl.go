package endpoint

import (
	"errors"
	"slices"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// header answers a protocol header.
func (c *Conn) header(in []byte) (int, error) {
	h, n, err := amqpwire.SplitProto(in)
	switch {
	case errors.Is(err, amqpwire.ErrShort):
		return 0, err
	case err == nil && h.Supported(amqpwire.ProtoAMQP):
		c.out = amqpwire.AppendProto(c.out, amqpwire.ProtoAMQP)
		c.phase = phaseOpen
		return n, nil
	case err == nil && h.Supported(amqpwire.ProtoSASL) && c.phase == phaseHeader:
		c.out = amqpwire.AppendProto(c.out, amqpwire.ProtoSASL)
		c.out = amqpwire.AppendSASL(c.out, amqpwire.SASLMechanisms{Mechanisms: c.config.Mechanisms})
		c.phase = phaseInit
		return n, nil
	}
	// AMQP 2.2: a header that is not ours is answered with ours, and the socket is closed.
	c.out = amqpwire.AppendProto(c.out, amqpwire.ProtoAMQP)
	c.end(amqpwire.CondFramingError, "the protocol header asks for nothing that is spoken here")
	return 0, nil
}

// sasl reads a frame of the SASL layer.
func (c *Conn) sasl(in []byte) (int, error) {
	f, n, err := amqpwire.Split(in, maxSASLFrame)
	if err != nil {
		return 0, err
	}
	body, err := f.DecodeSASL()
	if err != nil {
		return 0, err
	}
	switch body := body.(type) {
	case amqpwire.SASLInit:
		if c.phase != phaseInit {
			break
		}
		if !slices.Contains(c.config.Mechanisms, body.Mechanism) {
			c.phase = phaseAsked
			c.Outcome(amqpwire.SASLAuth)
			return n, nil
		}
		c.phase = phaseAsked
		c.event = Event{Kind: OnSASL, Init: &body}
		return n, nil
	case amqpwire.SASLResponse:
		if c.phase != phaseResponse {
			break
		}
		c.phase = phaseAsked
		c.event = Event{Kind: OnSASL, Response: body.Response}
		return n, nil
	default:
	}
	return 0, errSASLOrder
}

// Challenge asks the peer for another response: it answers an OnSASL.
func (c *Conn) Challenge(challenge []byte) {
	if c.phase == phaseAsked {
		c.out = amqpwire.AppendSASL(c.out, amqpwire.SASLChallenge{Challenge: challenge})
		c.phase = phaseResponse
	}
}

// Outcome ends the SASL layer: it answers an OnSASL. With any code but SASLOK the
// connection is over.
func (c *Conn) Outcome(code amqpwire.SASLCode) {
	if c.phase != phaseAsked {
		return
	}
	c.out = amqpwire.AppendSASL(c.out, amqpwire.SASLOutcome{Code: code})
	c.phase = phaseSecond
	if code != amqpwire.SASLOK {
		c.end(amqpwire.CondUnauthorizedAccess, "the SASL layer was refused")
	}
}
