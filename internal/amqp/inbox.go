package amqp

import (
	"errors"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// inbox is the node behind a link on which a device or module receives its
// cloud-to-device messages.
type inbox struct {
	source

	user   *user
	filter string                   // the subscription's name
	locks  map[uint32]iot.LockToken // of what was sent and is not settled, by delivery id
}

// attachInbox subscribes to the user's messages, and accepts the link when that is done.
func (u *user) attachInbox(at *attachment, to device.Stream) *amqpwire.Error {
	u.inboxes++
	n := &inbox{user: u, filter: "link " + itoa(u.inboxes), locks: make(map[uint32]iot.LockToken)}
	u.links = append(u.links, at.link) // it counts from now on
	at.accept(n, endpoint.Terms{})
	u.do(device.Subscribe{Subs: []device.Subscription{{To: to, Filter: n.filter, QoS: 1}}}, func(err error) {
		if err != nil && !u.ended {
			at.link.Detach(u.conn.condition(asFault(err, "amqp.attach")))
		}
	})
	return nil
}

// flow takes messages for the credit that there is.
func (n *inbox) flow(_ *conn, l *endpoint.Link) {
	n.user.take()
	if l.Drain() {
		l.Drained()
	}
}

// disposition settles a message as the device said.
func (n *inbox) disposition(c *conn, l *endpoint.Link, ev *endpoint.Event) {
	if n.user.ended {
		return
	}
	c.settleDelivery(l, ev, n.locks, func(lock iot.LockToken, outcome device.Outcome, done func(error)) {
		n.user.do(device.Settle{Lock: lock, Outcome: outcome}, done)
	})
}

// lockLost says that a settlement came too late.
func (c *conn) lockLost() *amqpwire.Error {
	return c.condition(fault.New(fault.DeviceMessageLockLost, "amqp.settle", "the lock of the message has ended"))
}

// outcomeOf gives what a delivery state means for a message (amqp 5).
func outcomeOf(s amqpwire.State) (device.Outcome, bool) {
	switch s := s.(type) {
	case amqpwire.Accepted:
		return device.Complete, true
	case amqpwire.Rejected:
		return device.Reject, true
	case amqpwire.Released:
		return device.Abandon, true
	case amqpwire.Modified:
		if s.UndeliverableHere {
			return device.Reject, true
		}
		return device.Abandon, true
	case amqpwire.Received, amqpwire.Other, nil:
	}
	return 0, false
}

// detached gives up the link's place among the receivers.
func (n *inbox) detached(_ *conn, l *endpoint.Link) {
	u := n.user
	n.locks = nil
	if !u.ended && u.session != nil {
		u.do(device.Unsubscribe{Filters: []string{n.filter}}, func(error) {})
	}
	u.detached(l)
}

// take takes results and messages from the session, as many as the user's links have room
// for.
func (u *user) take() {
	if u.session == nil || u.ended {
		return
	}
	var dst [takeAtOnce]device.Delivery
	for {
		l, n := u.receiver()
		room := device.Room{}
		if l != nil {
			room = device.Room{Messages: l.Room(), Bytes: roomBytes}
		}
		got := u.session.Take(dst[:], room)
		for i := range got {
			u.deliver(&got[i], l, n)
		}
		if len(got) < takeAtOnce && (len(got) == 0 || l == nil || l.Room() == 0) {
			return
		}
	}
}

// receiver gives a link that messages can be sent on now.
func (u *user) receiver() (*endpoint.Link, *inbox) {
	for _, l := range u.links {
		if n, ok := l.Data.(*inbox); ok && l.Room() > 0 {
			return l, n
		}
	}
	return nil, nil
}

// deliver passes on one result or message.
func (u *user) deliver(d *device.Delivery, l *endpoint.Link, n *inbox) {
	if d.Message == nil {
		if done := u.results[d.Tag]; done != nil {
			delete(u.results, d.Tag)
			done(d.Err)
		}
		return
	}
	c, m := u.conn, d.Message
	c.scratch = appendCloudMessage(c.scratch[:0], u.id, m)
	id, err := l.Send(endpoint.Message{Tag: m.Lock[:], Payload: c.scratch})
	if err != nil { // the peer takes none of this size, or the link ended meanwhile
		outcome := device.Abandon
		if errors.Is(err, endpoint.ErrTooLarge) {
			outcome = device.Reject
		}
		u.do(device.Settle{Lock: m.Lock, Outcome: outcome}, func(error) {})
		return
	}
	c.facts.Traffic.PacketsOut.Add(1)
	if l.SendsSettled() { // at most once: sent is done
		u.do(device.Settle{Lock: m.Lock, Outcome: device.Complete}, func(error) {})
		return
	}
	n.locks[id] = m.Lock
}
