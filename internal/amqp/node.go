package amqp

import (
	"github.com/berth-iot/berth/internal/amqp/endpoint"
)

// node is what is behind an attached link. Its methods are called by the owner of the
// connection, in its turn; they may call every method of the link.
type node interface {
	// transfer takes a message that the peer sent. What d points to is valid until the
	// method returns, the bytes in it until the end of the turn.
	transfer(c *conn, l *endpoint.Link, d *endpoint.Delivery)
	// flow tells that there may be room to send, or that the peer asks to drain.
	flow(c *conn, l *endpoint.Link)
	// disposition tells the state of a message that was sent (endpoint.OnDisposition).
	disposition(c *conn, l *endpoint.Link, ev *endpoint.Event)
	// detached tells that the link is over, whoever ended it.
	detached(c *conn, l *endpoint.Link)
}

// sink is a node of which nothing is sent to the peer.
type sink struct{}

func (sink) flow(*conn, *endpoint.Link)                         {}
func (sink) disposition(*conn, *endpoint.Link, *endpoint.Event) {}

// source is a node to which the peer sends nothing: the machine lets it send only where
// it was given credit.
type source struct{}

func (source) transfer(*conn, *endpoint.Link, *endpoint.Delivery) {}
