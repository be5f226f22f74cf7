package amqp

import (
	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/fault"
)

// request is a message to a node that answers ($cbs, $management).
type request struct {
	session   *endpoint.Session
	node      place
	id        amqpwire.Value // message-id, in its own type
	replyTo   string
	operation string
	arguments amqpwire.Value // application properties, a map with string keys
	body      amqpwire.Value // an amqp-value; null for none
}

// readRequest reads a request. What it gives borrows from nobody.
func readRequest(l *endpoint.Link, d *endpoint.Delivery) (request, error) {
	const op = "amqp.request"
	m, err := amqpwire.ScanMessage(d.Payload)
	if err != nil {
		return request{}, fault.Wrap(err, fault.IotHubFormatError, op, "%s", err.Error())
	}
	p, err := amqpwire.DecodeProperties(m.Properties)
	if err != nil {
		return request{}, fault.Wrap(err, fault.IotHubFormatError, op, "%s", err.Error())
	}
	if n := len(p.MessageID.Raw()); n > maxRequestID {
		return request{}, fault.New(fault.ArgumentInvalid, op, "the message-id has %d bytes, at most %d are allowed", n, maxRequestID)
	}
	arguments, err := amqpwire.DecodeApplicationProperties(m.ApplicationProperties)
	if err != nil {
		return request{}, fault.Wrap(err, fault.IotHubFormatError, op, "%s", err.Error())
	}
	q := request{
		session: l.Session(), id: p.MessageID.Clone(), replyTo: string(p.ReplyTo),
		arguments: arguments.Clone(), body: m.Value().Clone(),
	}
	for data := range m.Data() { // a token is sent so as well
		q.body = amqpwire.Binary(append([]byte(nil), data...))
		break
	}
	q.operation, _ = arguments.Get("operation").AsText()
	if to, ok := l.Data.(addressed); ok {
		q.node = to.place()
	}
	return q, nil
}

// addressed is a node of which several links of one session may be ends: its requests
// come on one, its replies leave on another.
type addressed interface{ place() place }

func (cbs) place() place { return placeCBS }

// replies is the node behind a link on which the replies of another leave.
type replies struct {
	source

	of      place
	address string   // the client's own for it: what its requests name as reply-to
	queue   [][]byte // replies that wait for credit
	count   uint64
}

func (r *replies) place() place { return r.of }

// answer replies to a request: to the link whose target is the request's reply-to,
// otherwise to the session's link from the same node, otherwise to the connection's. A
// reply that nobody waits for is dropped.
func (c *conn) answer(q request, err error, body amqpwire.Value) {
	l, r := c.replyLink(q)
	if l == nil {
		return
	}
	status, text := 200, "OK"
	var conditionOf string
	if err != nil {
		e := c.condition(err)
		status, text, conditionOf = requestStatus(err), e.Description, e.Condition
	}
	c.reply(l, r, appendReply(nil, q.id, status, text, conditionOf, body))
}

// requestStatus is the status-code of an error. 401 stands for every refusal of a
// credential (amqp 2).
func requestStatus(err error) int {
	switch status := fault.Of(err).Status(); status {
	case 400, 404, 500, 503:
		return status
	case 429:
		return 503
	default:
		return 401
	}
}

// appendReply encodes a reply: the correlation-id is the request's message-id in its own
// type, the status an int.
func appendReply(b []byte, id amqpwire.Value, status int, text, condition string, body amqpwire.Value) []byte {
	p := amqpwire.Properties{CorrelationID: id}
	b = p.Append(b)
	b = amqpwire.AppendSection(b, amqpwire.CodeApplicationProperties)
	b, at := amqpwire.OpenMap(b)
	b = amqpwire.AppendString(b, "status-code")
	b = amqpwire.AppendInt(b, int32(status))
	b = amqpwire.AppendString(b, "status-description")
	b = amqpwire.AppendString(b, text)
	pairs := 2
	if condition != "" {
		b = amqpwire.AppendString(b, "error-condition")
		b = amqpwire.AppendSymbol(b, condition)
		pairs++
	}
	b = amqpwire.CloseMap(b, at, pairs)
	b = amqpwire.AppendSection(b, amqpwire.CodeValue)
	return body.Append(b)
}

// replyLink finds where the reply to a request goes.
func (c *conn) replyLink(q request) (*endpoint.Link, *replies) {
	var inSession, anywhere *endpoint.Link
	for s := range c.machine.Sessions() {
		for l := range s.Links() {
			r, ok := l.Data.(*replies)
			switch {
			case !ok || r.of != q.node:
				continue
			case q.replyTo != "" && r.address == q.replyTo && s == q.session:
				return l, r
			case s == q.session:
				inSession = l
			default:
				anywhere = l
			}
		}
	}
	for _, l := range []*endpoint.Link{inSession, anywhere} {
		if l != nil {
			r, _ := l.Data.(*replies)
			return l, r
		}
	}
	return nil, nil
}

// reply sends a reply as soon as there is credit for it. Too many that wait mean that the
// peer does not read them: the oldest of the link goes.
func (c *conn) reply(l *endpoint.Link, r *replies, payload []byte) {
	if c.replies >= maxReplies && len(r.queue) > 0 {
		r.queue = r.queue[1:]
		c.replies--
	}
	if c.replies >= maxReplies {
		return
	}
	r.queue = append(r.queue, payload)
	c.replies++
	r.flow(c, l)
}

// flow sends what waits.
func (r *replies) flow(c *conn, l *endpoint.Link) {
	for len(r.queue) > 0 && l.Room() > 0 {
		r.count++
		var tag [16]byte
		for i := range 8 {
			tag[15-i] = byte(r.count >> (8 * i))
		}
		_, err := l.Send(endpoint.Message{Tag: tag[:], Settled: true, Payload: r.queue[0]})
		if err != nil && l.Live() && l.Room() == 0 {
			break
		}
		r.queue = r.queue[1:] // sent, or too large for the peer
		c.replies--
		c.facts.Traffic.PacketsOut.Add(1)
	}
	if len(r.queue) == 0 {
		r.queue = nil
	}
	if l.Drain() {
		l.Drained()
	}
}

// disposition completes what the peer has not settled itself; replies mean nothing more.
func (r *replies) disposition(_ *conn, l *endpoint.Link, ev *endpoint.Event) {
	if !ev.Settled {
		l.Settle(ev.ID, amqpwire.Accepted{})
	}
}

// detached forgets what waits.
func (r *replies) detached(c *conn, _ *endpoint.Link) {
	c.replies -= len(r.queue)
	r.queue = nil
}
