package amqp

import (
	"slices"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// formatBatch is the message format of a batch: each data section of its body is a
// message (amqp 3).
const formatBatch uint32 = 0x80013700

// telemetry is the node behind a link on which a device sends its messages.
type telemetry struct {
	sink

	user *user
}

// run is the messages of one user that the log is to be given.
type run struct {
	raws   []iot.Raw
	marks  []mark // one for each message
	size   int
	listed bool // in conn.runs
}

// mark says which delivery a message is of.
type mark struct {
	link *endpoint.Link // nil for one that came settled
	id   uint32
	last bool // the delivery's last message
}

// transfer gathers a message, or those of a batch.
func (n *telemetry) transfer(c *conn, l *endpoint.Link, d *endpoint.Delivery) {
	u := n.user
	if u.ended {
		return
	}
	from := len(u.run.raws)
	err := u.gather(d)
	if err != nil {
		u.run.raws, u.run.marks = u.run.raws[:from], u.run.marks[:from]
		if !d.Settled {
			l.Settle(d.ID, amqpwire.Rejected{Error: c.condition(err)})
		}
		return
	}
	for i := from; i < len(u.run.raws); i++ {
		m := mark{id: d.ID, last: i == len(u.run.raws)-1}
		if !d.Settled {
			m.link = l
		}
		u.run.marks = append(u.run.marks, m)
		u.run.size += u.run.raws[i].Size()
	}
	if !u.run.listed {
		u.run.listed = true
		c.runs = append(c.runs, u)
	}
	if len(u.run.raws) >= maxRun || u.run.size >= maxRunBytes {
		u.flush()
	}
}

func (n *telemetry) detached(_ *conn, l *endpoint.Link) { n.user.detached(l) }

// gather reads a delivery into the run.
func (u *user) gather(d *endpoint.Delivery) error {
	m, err := amqpwire.ScanMessage(d.Payload)
	if err != nil {
		return formatFault(err)
	}
	if d.Format != formatBatch {
		return u.add(d.Payload, &m)
	}
	if m.BodyCode != amqpwire.CodeData {
		return fault.New(fault.IotHubFormatError, "amqp.telemetry", "a batch (message format 0x%x) has no data sections", formatBatch)
	}
	if len(d.Payload) > iot.MaxMessageSize {
		return tooLarge("batch", len(d.Payload))
	}
	for data := range m.Data() {
		inner, err := amqpwire.ScanMessage(data)
		if err != nil {
			return formatFault(err)
		}
		if err := u.add(data, &inner); err != nil {
			return err
		}
	}
	return nil
}

// add adds one message to the run: the sections before the body as they came, and the
// body's bytes if it is one data section, else its sections.
func (u *user) add(encoded []byte, m *amqpwire.Message) error {
	raw := iot.Raw{Source: iot.SourceAMQP, Props: before(encoded, m)}
	if m.BodyCode == amqpwire.CodeData && m.BodySections == 1 {
		for data := range m.Data() {
			raw.Body = data
		}
	} else if len(m.Body) > 0 {
		raw.Flags, raw.Body = iot.RawSections, m.Body
	}
	if raw.Size() > iot.MaxMessageSize {
		return tooLarge("message", raw.Size())
	}
	u.run.raws = append(u.run.raws, raw)
	return nil
}

// before gives what stands before the body of a message.
func before(encoded []byte, m *amqpwire.Message) []byte {
	return encoded[:len(encoded)-len(m.Body)-len(m.Footer)]
}

func formatFault(err error) error {
	return fault.Wrap(err, fault.IotHubFormatError, "amqp.telemetry", "the message cannot be read: %s", err.Error())
}

func tooLarge(what string, size int) error {
	return fault.New(fault.MessageTooLarge, "amqp.telemetry", "the %s has %d bytes, at most %d are allowed", what, size, iot.MaxMessageSize)
}

// flushRuns gives the log what this turn has brought.
func (c *conn) flushRuns() {
	for _, u := range c.runs {
		u.run.listed = false
		u.flush()
	}
	c.runs = c.runs[:0]
}

// flush gives the log the messages of the run. What it, or the window, has no room for is
// kept, and the connection not read until it has been taken: the bytes are only ours until
// the turn ends.
func (u *user) flush() {
	switch {
	case slices.Contains(u.conn.full, u):
		return // earlier in this turn
	case len(u.run.raws) == 0 || u.ended:
		u.run.empty()
		return
	}
	left := u.append()
	if left == 0 {
		u.run.empty()
		return
	}
	for i := range u.run.raws {
		r := &u.run.raws[i]
		r.Props, r.Body = append([]byte(nil), r.Props...), append([]byte(nil), r.Body...)
	}
	u.conn.full = append(u.conn.full, u)
}

// refill tries again what the log had no room for.
func (c *conn) refill() {
	waiting := c.full
	c.full = nil
	for _, u := range waiting {
		if u.ended {
			continue
		}
		if u.append() > 0 {
			c.full = append(c.full, u)
		} else {
			u.run.empty()
		}
	}
}

// append hands the run to the session, as far as the window goes, and notes what waits to
// be durable. It says how many messages are left.
func (u *user) append() (left int) {
	for len(u.run.raws) > 0 {
		n, err := u.session.Append(u.run.raws[:u.window.room(u.run.raws)])
		for i, m := range u.run.marks[:n] {
			u.window.push(m, u.run.raws[i].Size())
		}
		u.run.raws, u.run.marks = u.run.raws[n:], u.run.marks[n:]
		if err == nil {
			break
		}
		if u.session.Err() != nil {
			u.run.raws, u.run.marks = nil, nil
			u.conn.ring(u) // to part
			return 0
		}
		u.reject(err)
	}
	return len(u.run.raws)
}

// reject refuses the delivery whose message the log refused, and what is left of it.
func (u *user) reject(err error) {
	m := u.run.marks[0]
	n := 1
	for n < len(u.run.marks) && u.run.marks[n].id == m.id && u.run.marks[n].link == m.link {
		n++
	}
	u.window.drop(m)
	if m.link != nil {
		m.link.Settle(m.id, amqpwire.Rejected{Error: u.conn.condition(asFault(err, "amqp.telemetry"))})
	}
	u.run.raws, u.run.marks = u.run.raws[n:], u.run.marks[n:]
}

// empty forgets the run but keeps its room.
func (r *run) empty() {
	clear(r.raws)
	clear(r.marks)
	r.raws, r.marks, r.size = r.raws[:0], r.marks[:0], 0
	if cap(r.raws) > maxRun {
		r.raws, r.marks = nil, nil
	}
}

// forget takes a user out of what is to be flushed.
func (c *conn) forget(u *user) {
	for i, o := range c.full {
		if o == u {
			c.full = append(c.full[:i], c.full[i+1:]...)
			break
		}
	}
}

// acknowledge accepts the deliveries that have become durable.
func (u *user) acknowledge() {
	durable := u.session.Durable()
	u.window.durable(durable-u.acked, func(l *endpoint.Link, id uint32) { l.Settle(id, amqpwire.Accepted{}) })
	u.acked = durable
}
