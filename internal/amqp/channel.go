package amqp

import (
	"strings"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// channel is the node behind one of the pair of links by which a device speaks of its
// twin, or is called (amqp 3). Twins and calls have no traffic yet: a request is answered
// with the hub's refusal.
type channel struct {
	replies

	user *user
	twin bool
	pair string // com.microsoft:channel-correlation-id, the same on both links
}

// attachChannel accepts a link of the twin or of methods.
func (u *user) attachChannel(at *attachment) *amqpwire.Error {
	pair, _ := at.asked.Properties.Get("com.microsoft:channel-correlation-id").AsText()
	n := &channel{
		replies: replies{of: at.address.place}, user: u, twin: at.address.place == placeTwin,
		pair: strings.Clone(pair[:min(len(pair), maxClientText)]),
	}
	u.accept(at, n, requestCredit)
	return nil
}

// transfer takes a twin request, which is answered on the paired link, or the answer to a
// call, which nobody waits for.
func (n *channel) transfer(c *conn, l *endpoint.Link, d *endpoint.Delivery) {
	id, err := correlation(d.Payload)
	if err != nil {
		l.Settle(d.ID, amqpwire.Rejected{Error: c.condition(err)})
		return
	}
	l.SettleNow(d.ID, amqpwire.Accepted{}) // uamqp takes an answer before it for a failure
	u := n.user
	if !n.twin || u.ended {
		return
	}
	u.do(device.TwinRead{}, func(err error) {
		if out, r := u.paired(n); out != nil && err != nil {
			c.reply(out, &r.replies, appendTwinError(nil, id, err, c.condition(err).Description))
		}
	})
}

// correlation gives what the answer to a request names it by; it borrows from nobody.
func correlation(encoded []byte) (amqpwire.Value, error) {
	m, err := amqpwire.ScanMessage(encoded)
	if err != nil {
		return amqpwire.Value{}, formatFault(err)
	}
	p, err := amqpwire.DecodeProperties(m.Properties)
	if err != nil {
		return amqpwire.Value{}, formatFault(err)
	}
	if n := len(p.CorrelationID.Raw()); n > maxRequestID {
		return amqpwire.Value{}, fault.New(fault.ArgumentInvalid, "amqp.request", "the correlation-id has %d bytes, at most %d are allowed", n, maxRequestID)
	}
	return p.CorrelationID.Clone(), nil
}

// paired gives the link by which the answers to a channel's requests leave.
func (u *user) paired(n *channel) (*endpoint.Link, *channel) {
	for _, l := range u.links {
		if o, ok := l.Data.(*channel); ok && o.of == n.of && o.pair == n.pair && l.Role() == amqpwire.RoleSender {
			return l, o
		}
	}
	return nil, nil
}

// appendTwinError encodes the answer to a twin request that failed (amqp 3): status is an
// int, version would be a long.
func appendTwinError(b []byte, id amqpwire.Value, err error, text string) []byte {
	b = amqpwire.AppendSection(b, amqpwire.CodeMessageAnnotations)
	b, at := amqpwire.OpenMap(b)
	b = amqpwire.AppendSymbol(b, "status")
	b = amqpwire.AppendInt(b, int32(fault.Of(err).Status()))
	b = amqpwire.CloseMap(b, at, 1)
	p := amqpwire.Properties{CorrelationID: id}
	b = p.Append(b)
	return amqpwire.AppendData(b, errorBody(err, text))
}

// detached takes the link from its user.
func (n *channel) detached(c *conn, l *endpoint.Link) {
	n.replies.detached(c, l)
	n.user.detached(l)
}
