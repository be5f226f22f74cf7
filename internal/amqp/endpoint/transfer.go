package endpoint

import "github.com/berth-iot/berth/internal/amqpwire"

// partial is a delivery of which more is to come.
type partial struct {
	payload []byte
	id      uint32
	format  uint32
	settled bool
	first   bool // receiver-settle-mode first, whatever the link's
	drop    bool // a resumed delivery, of which we know nothing (AMQP 2.6.13)
	tagLen  uint8
	tag     [maxTag]byte
}

// transfer takes one transfer frame.
func (s *Session) transfer(t *amqpwire.Transfer) {
	s.nextIncoming++
	if s.incoming == 0 {
		s.fail(amqpwire.CondWindowViolation, "a transfer beyond the incoming window")
		return
	}
	s.incoming--
	if s.incoming < incomingWindow/2 && !s.flowDue {
		s.flowDue = true
		s.mark()
	}
	l := s.byIn.get(t.Handle)
	switch {
	case l == nil:
		s.fail(amqpwire.CondUnattachedHandle, "transfer on a handle that is not attached")
		return
	case l.role != amqpwire.RoleReceiver:
		if l.live() {
			l.fail(amqpwire.CondNotAllowed, "transfer on a link whose receiver the peer is")
		}
		return
	case l.partial != nil:
		l.continued(t)
		return
	case !t.DeliveryID.Set:
		if l.live() {
			l.fail(amqpwire.CondInvalidField, "a delivery begins without a delivery-id")
		}
		return
	}
	id := t.DeliveryID.V
	grows := !s.delivered || before(s.lastDelivery, id)
	if grows {
		s.lastDelivery, s.delivered = id, true
	}
	switch {
	case !l.live(): // it may go on with what our detach cut off
		return
	case !grows:
		s.fail(amqpwire.CondInvalidField, "delivery-ids do not grow")
		return
	}
	l.begun(t)
}

// begun takes the first transfer of a delivery.
func (l *Link) begun(t *amqpwire.Transfer) {
	switch {
	case l.credit == 0:
		l.fail(amqpwire.CondTransferLimitExceeded, "a delivery beyond the link's credit")
		return
	case t.Tag == nil || len(t.Tag) > maxTag:
		l.fail(amqpwire.CondInvalidField, "a delivery begins without a delivery-tag, or with one of more than 32 bytes")
		return
	}
	l.credit--
	l.deliveryCount++
	switch {
	case t.Aborted:
		l.refill()
		return
	case t.More:
		p := &partial{id: t.DeliveryID.V, format: t.MessageFormat.V, first: settlesFirst(t), drop: t.Resume, tagLen: uint8(len(t.Tag))}
		copy(p.tag[:], t.Tag)
		l.partial = p
		l.session.received.push(entry{link: l, id: p.id, phase: entryPartial, first: p.first})
		l.count(1)
		l.gather(t)
		return
	case t.Resume:
		l.refill()
		return
	case l.tooLarge(len(t.Payload)):
		return
	}
	l.whole(Delivery{ID: t.DeliveryID.V, Format: t.MessageFormat.V, Settled: t.Settled.V, Tag: t.Tag, Payload: t.Payload}, settlesFirst(t))
}

// continued takes a further transfer of a delivery.
func (l *Link) continued(t *amqpwire.Transfer) {
	p := l.partial
	switch {
	case t.DeliveryID.Set && t.DeliveryID.V != p.id:
		l.fail(amqpwire.CondInvalidField, "a delivery begins before the one before it is complete")
		return
	case t.Aborted:
		l.abort()
		l.refill()
		return
	case !l.gather(t) || t.More:
		return
	}
	d := Delivery{ID: p.id, Format: p.format, Settled: p.settled, Tag: p.tag[:p.tagLen], Payload: p.payload}
	e := l.session.received.find(p.id)
	if e != nil && !p.settled && !p.drop {
		e.phase = entryOpen
		l.partial = nil
		l.session.conn.assembled -= len(p.payload)
	} else {
		d.Settled = true // also if the peer has settled what it had not sent yet
		l.abort()
		l.refill()
	}
	if p.drop {
		return
	}
	l.tells(d)
}

// gather copies the payload behind what came before. It reports false if that was too
// much, and the link is gone.
func (l *Link) gather(t *amqpwire.Transfer) bool {
	p, c := l.partial, l.session.conn
	p.settled = p.settled || t.Settled.V
	if l.tooLarge(len(p.payload) + len(t.Payload)) {
		return false
	}
	if c.assembled+len(t.Payload) > c.limits.assembly {
		l.fail(amqpwire.CondResourceLimitExceeded, "too much of unfinished deliveries on the connection")
		return false
	}
	p.payload = append(p.payload, t.Payload...)
	c.assembled += len(t.Payload)
	return true
}

// tooLarge ends the link over a delivery of so many bytes, if that is too much.
func (l *Link) tooLarge(n int) bool {
	if uint64(n) <= l.maxMessage {
		return false
	}
	l.fail(amqpwire.CondMessageSizeExceeded, "the message exceeds the link's max-message-size")
	return true
}

// abort forgets a delivery of which more was to come.
func (l *Link) abort() {
	if l.partial != nil {
		l.session.conn.assembled -= len(l.partial.payload)
		u := &l.session.received
		if e := u.find(l.partial.id); e != nil && e.link == l {
			u.remove(e)
			u.trim()
		}
		l.partial = nil
	}
}

// settlesFirst says whether a transfer asks for receiver-settle-mode first.
func settlesFirst(t *amqpwire.Transfer) bool {
	return t.ReceiverSettleMode.Set && t.ReceiverSettleMode.V == amqpwire.ReceiverFirst
}

// whole tells a delivery of one frame, and notes it until it is settled.
func (l *Link) whole(d Delivery, first bool) {
	if d.Settled {
		l.refill()
	} else {
		l.session.received.push(entry{link: l, id: d.ID, first: first})
		l.count(1)
	}
	l.tells(d)
}

func (l *Link) tells(d Delivery) {
	c := l.session.conn
	c.delivery = d
	c.event = Event{Kind: OnTransfer, Session: l.session, Link: l, Delivery: &c.delivery}
}
