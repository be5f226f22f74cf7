package amqp

import (
	"strconv"
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Queues are the hub's own messages to back-ends. wake is called, from any goroutine, when
// there may be more to take; the caller closes the receiver. Errors are fault.Error.
type Queues interface {
	Feedback(wake func()) (device.Receiver, error)
	FileNotifications(wake func()) (device.Receiver, error)
}

// queue is the node behind a link on which a back-end receives the hub's own messages.
type queue struct {
	source

	receiver device.Receiver
	link     *endpoint.Link
	tag      uint64
	locks    map[uint32]iot.LockToken // of what was sent and is not settled, by delivery id
	results  map[uint64]func(error)   // of settlements under way, by their tag
}

// attachQueue takes a link to feedback or file notifications.
func (c *conn) attachQueue(at *attachment, open func(wake func()) (device.Receiver, error)) *amqpwire.Error {
	if err := c.serves(at); err != nil {
		return err
	}
	if at.sends {
		return c.refusal(amqpwire.CondNotAllowed, fault.InvalidOperation, "%s is for receiving", quoted(at.written))
	}
	q := &queue{link: at.link, locks: make(map[uint32]iot.LockToken), results: make(map[uint64]func(error))}
	var err error
	if q.receiver, err = open(func() { c.ring(q) }); err != nil {
		return c.condition(asFault(err, "amqp.queue"))
	}
	at.accept(q, endpoint.Terms{})
	return nil
}

// woken takes what there is.
func (q *queue) woken(c *conn) { q.flow(c, q.link) }

// flow takes results, and messages for the credit that there is.
func (q *queue) flow(c *conn, l *endpoint.Link) {
	var dst [takeAtOnce]device.Delivery
	for l.Live() {
		got := q.receiver.Take(dst[:], device.Room{Messages: l.Room(), Bytes: roomBytes})
		for i := range got {
			q.deliver(c, &got[i])
		}
		if len(got) < takeAtOnce {
			break
		}
	}
	if l.Drain() {
		l.Drained()
	}
}

// deliver passes on one result or message.
func (q *queue) deliver(c *conn, d *device.Delivery) {
	if d.Message == nil {
		if done := q.results[d.Tag]; done != nil {
			delete(q.results, d.Tag)
			done(d.Err)
		}
		return
	}
	c.scratch = c.appendQueued(c.scratch[:0], d.Message)
	id, err := q.link.Send(endpoint.Message{Tag: d.Message.Lock[:], Payload: c.scratch})
	switch {
	case err != nil:
		q.settle(d.Message.Lock, device.Abandon, func(error) {})
	case q.link.SendsSettled():
		q.settle(d.Message.Lock, device.Complete, func(error) {})
	default:
		q.locks[id] = d.Message.Lock
	}
	c.facts.Traffic.PacketsOut.Add(1)
}

// appendQueued encodes a message of the hub's own. .NET needs the user-id and the enqueued
// time (amqp 5).
func (c *conn) appendQueued(b []byte, m *iot.LockedMessage) []byte {
	b = amqpwire.Header{DeliveryCount: uint32(m.DeliveryCount)}.Append(b)
	b = amqpwire.AppendSection(b, amqpwire.CodeMessageAnnotations)
	b, at := amqpwire.OpenMap(b)
	b = amqpwire.AppendSymbol(b, iot.EnqueuedTime)
	b = amqpwire.AppendTimestamp(b, m.Enqueued.UnixMilli())
	b = amqpwire.AppendSymbol(b, "x-opt-sequence-number")
	b = amqpwire.AppendLong(b, int64(m.Sequence))
	b = amqpwire.AppendSymbol(b, "x-opt-lock-token")
	b = amqpwire.AppendString(b, m.Lock.String())
	b = amqpwire.CloseMap(b, at, 3)
	p := amqpwire.Properties{UserID: []byte(m.UserID), ContentType: []byte(m.ContentType), ContentEncoding: []byte("utf-8")}
	if m.MessageID != "" {
		p.MessageID = amqpwire.String(m.MessageID)
	} else {
		p.MessageID = amqpwire.String(strconv.FormatUint(m.Sequence, 10) + "-" + m.Enqueued.Format(time.RFC3339))
	}
	p.CreationTime = timestamp(m.Enqueued)
	b = p.Append(b)
	return amqpwire.AppendData(b, m.Body)
}

// settle ends the lock of a message.
func (q *queue) settle(lock iot.LockToken, outcome device.Outcome, done func(error)) {
	q.tag++
	if err := q.receiver.Do(device.Op{Tag: q.tag, What: device.Settle{Lock: lock, Outcome: outcome}}); err != nil {
		done(err)
		return
	}
	q.results[q.tag] = done
}

// disposition settles a message as the back-end said.
func (q *queue) disposition(c *conn, l *endpoint.Link, ev *endpoint.Event) {
	c.settleDelivery(l, ev, q.locks, q.settle)
}

// detached gives up the place among the receivers.
func (q *queue) detached(*conn, *endpoint.Link) { q.receiver.Close() }

// settleDelivery passes on what a receiver says of a message that was sent to it: settle
// ends the lock, and its result, if the receiver waits for one, is told.
func (c *conn) settleDelivery(
	l *endpoint.Link, ev *endpoint.Event, locks map[uint32]iot.LockToken, settle func(iot.LockToken, device.Outcome, func(error)),
) {
	lock, ok := locks[ev.ID]
	if !ok {
		if !ev.Settled {
			l.Settle(ev.ID, amqpwire.Rejected{Error: c.lockLost()})
		}
		return
	}
	outcome, ok := outcomeOf(ev.State)
	if !ok && !ev.Settled {
		return // received: not an outcome yet
	}
	if !ok {
		outcome = device.Abandon // settled without an outcome
	}
	delete(locks, ev.ID)
	id, settled, state := ev.ID, ev.Settled, ev.State
	settle(lock, outcome, func(err error) {
		switch {
		case settled:
		case err == nil:
			l.Settle(id, state)
		case fault.Of(err) == fault.DeviceMessageLockLost:
			l.Settle(id, amqpwire.Rejected{Error: c.lockLost()})
		default:
			l.Settle(id, amqpwire.Rejected{Error: c.condition(asFault(err, "amqp.settle"))})
		}
	})
}
