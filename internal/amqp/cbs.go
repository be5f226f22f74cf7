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
	host := c.host
	err = c.off(func() func() {
		k, err := c.judge(token, host)
		return func() {
			if err == nil {
				err = c.claim(k)
			}
			if err != nil {
				c.refuse("amqp.cbs", err)
			}
			c.answer(q, err, amqpwire.Value{})
		}
	})
	if err != nil {
		c.answer(q, err, amqpwire.Value{})
	}
}

func (cbs) detached(*conn, *endpoint.Link) {}

// claim takes a token that was found good: what rests on an earlier one for the same goes
// on with it.
func (c *conn) claim(k claim) error {
	if err := c.claims.put(k); err != nil {
		return err
	}
	if k.identity != (iot.Identity{}) {
		c.proofs[k.identity] = struct{}{}
		c.server.proofs.enter(k.identity, c)
	}
	c.trust()
	c.ends = c.claims.expire(c.now)
	c.renewUsers(k)
	return nil
}

// refuse tells the operator's log of a credential that was not accepted.
func (c *conn) refuse(op string, err error) {
	c.log.Debug("credential refused", slog.String("op", op), slog.String("err", err.Error()))
}
