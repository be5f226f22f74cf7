package amqp

import (
	"log/slog"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// cbs takes tokens: claims-based security, in the form that Azure's clients speak
// (amqp 2).
type cbs struct{ sink }

// transfer takes one put-token.
func (cbs) transfer(c *conn, l *endpoint.Link, d *endpoint.Delivery) {
	q, err := readRequest(l, d)
	if err != nil {
		l.Settle(d.ID, amqpwire.Rejected{Error: c.condition(err)})
		return
	}
	l.SettleNow(d.ID, amqpwire.Accepted{}) // uamqp takes an answer before it for a failure
	if q.operation != "put-token" {
		c.answer(q, fault.New(fault.ArgumentInvalid, "amqp.cbs", "the operation %s is not known here; put-token is", quoted(q.operation)), amqpwire.Value{})
		return
	}
	token, ok := q.body.AsText()
	if !ok {
		token = string(q.body.Raw())
	}
	answer := func(err error) { c.answer(q, err, amqpwire.Value{}) }
	if err := c.put(token, "amqp.cbs", answer); err != nil {
		answer(err)
	}
}

func (cbs) detached(*conn, *endpoint.Link) {}

// put has a token judged beside the owner, takes it if it is good, and tells what came of
// it. An error means that it was not looked at, and nothing will be told.
func (c *conn) put(token, op string, then func(error)) error {
	host := c.host
	return c.off(func() func() {
		k, err := c.judge(token, host)
		return func() {
			if err == nil {
				err = c.claim(k)
			}
			if err != nil {
				c.refuse(op, err)
			}
			then(err)
		}
	})
}

// claim takes a token that was found good: what rests on an earlier one for the same goes
// on with it.
func (c *conn) claim(k claim) error {
	if err := c.claims.put(k); err != nil {
		return err
	}
	if k.identity != (iot.Identity{}) {
		c.server.proofs.enter(k.identity, c)
	}
	c.trust()
	c.ends = c.claims.expire(c.now, c.unproven)
	c.renewUsers(k)
	return nil
}

// refuse tells the operator's log of a credential that was not accepted.
func (c *conn) refuse(op string, err error) {
	c.log.Debug("credential refused", slog.String("op", op), slog.String("err", err.Error()))
}
