package amqp

import (
	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// attachment is an attach that is to be answered.
type attachment struct {
	link    *endpoint.Link
	asked   *amqpwire.Attach
	address address
	written string // the address as the client wrote it
	sends   bool   // the client sends on the link
}

// attach finds what a link is to, and accepts or refuses it. The other end's address is
// the client's own; it is echoed.
func (c *conn) attach(l *endpoint.Link, a *amqpwire.Attach) {
	at := attachment{link: l, asked: a, sends: l.Role() == amqpwire.RoleReceiver}
	if at.sends {
		switch target := a.Target.(type) {
		case *amqpwire.Node:
			at.written = target.Address
		case *amqpwire.Coordinator:
			l.Refuse(c.refusal(amqpwire.CondNotImplemented, fault.GenericNotImplemented, "there are no transactions here"))
			return
		}
	} else if a.Source != nil {
		at.written = a.Source.Address
	}
	at.address = parseAddress(at.written)
	if err := c.admit(&at); err != nil {
		l.Refuse(err)
	}
}

// admit accepts an attach, or begins what will accept or refuse it, or says why it is
// refused.
func (c *conn) admit(at *attachment) *amqpwire.Error {
	switch at.address.place {
	case placeCBS:
		return c.attachCBS(at)
	case placeTelemetry, placeInbox, placeMethods, placeTwin:
		return c.attachDevice(at)
	case placeManagement:
		return c.attachManagement(at)
	case placePartition:
		return c.attachPartition(at)
	case placeCommands:
		return c.attachCommands(at)
	case placeFeedback:
		return c.attachQueue(at, c.server.cfg.Queues.Feedback)
	case placeFiles:
		return c.attachQueue(at, c.server.cfg.Queues.FileNotifications)
	case placeEvents:
		return c.redirect(at)
	default:
	}
	return c.refusal(amqpwire.CondNotFound, fault.AmqpAddressNotFound, "there is no %s here", quoted(at.written))
}

// attachCBS takes the pair of links by which tokens come; they alone need no claim.
func (c *conn) attachCBS(at *attachment) *amqpwire.Error {
	if at.sends {
		at.accept(cbs{}, endpoint.Terms{MaxMessageSize: maxRequest})
		at.link.Allow(requestCredit)
		return nil
	}
	return c.attachReplies(at, placeCBS)
}

// attachReplies takes a link by which the replies of a place leave. Its address is kept.
func (c *conn) attachReplies(at *attachment, of place) *amqpwire.Error {
	r := &replies{of: of}
	if target, ok := at.asked.Target.(*amqpwire.Node); ok {
		r.address = target.Address
	}
	if len(r.address) > maxAddress {
		return c.refusal(amqpwire.CondInvalidField, fault.ArgumentInvalid, "the target's address has %d bytes, at most %d are allowed", len(r.address), maxAddress)
	}
	at.accept(r, endpoint.Terms{})
	return nil
}

// accept accepts the attach. What a client sends is settled at once: uamqp, in az, asks for
// receiver-settle-mode second, and then hears only of an outcome that settles.
func (at *attachment) accept(n node, terms endpoint.Terms) {
	at.link.Data = n
	terms.SettleAtOnce = at.sends
	at.link.Accept(terms)
}

// serves says whether a policy's claim of the connection gives the right of a back-end on
// the resource of an address; a refusal is the attach's answer.
func (c *conn) serves(at *attachment) *amqpwire.Error {
	entity := at.address.place == placePartition
	if err := c.claims.permit(at.address.resource(), entity, iot.ServiceConnect); err != nil {
		return c.condition(err)
	}
	return nil
}
