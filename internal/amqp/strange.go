package amqp

import (
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// countStrange counts what the peer has begun without having proved anything. Whoever makes
// it too much for all of them together is closed.
func (c *conn) countStrange() {
	n := 0
	if !c.proven {
		n = max(0, c.machine.Kept()-firstFew)
	}
	more := n - c.strange
	c.strange = n
	if more == 0 || c.server.strange.Add(int64(more)) <= maxStrange || more < 0 || c.bye.Kind != 0 {
		return
	}
	e := c.refusal(amqpwire.CondResourceLimitExceeded, fault.ThrottleBacklogLimitExceeded,
		"connections without a token have more than %d sessions and links together", maxStrange)
	c.bye = device.Goodbye{Kind: device.GoodbyeProtocol, Detail: e.Description}
	c.machine.Close(e)
}
