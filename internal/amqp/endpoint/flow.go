package endpoint

import "github.com/berth-iot/berth/internal/amqpwire"

// Allow gives a link on which the peer sends credit: at most n deliveries may be on
// their way or unsettled. The machine tops the credit up from then on. With 0 no more
// credit is given; what the peer has it keeps.
func (l *Link) Allow(n uint32) {
	if l.role == amqpwire.RoleReceiver && l.up() {
		l.allowed = min(n, maxUnsettled)
		l.refill()
	}
}

// wanted is the credit that a link should have.
func (l *Link) wanted() uint32 { return max(l.allowed, l.unsettled) - l.unsettled }

// refill gives a link more credit when half of it is used up, and has it told at the end
// of the turn. It counts at once, so that it makes no difference how the peer's bytes
// came in turns.
func (l *Link) refill() {
	if l.credit > l.allowed/2 {
		return
	}
	if more := l.wanted(); more > l.credit && (l.credit == 0 || more-l.credit >= l.allowed/4) {
		l.credit = more
		l.tell()
	}
}

// flow takes a flow.
func (s *Session) flow(f *amqpwire.Flow) {
	// AMQP 2.5.6: what the peer has not seen of ours uses up its window.
	next := f.NextIncomingID.Or(firstID)
	ahead := s.nextOutgoing - next
	if before(s.nextOutgoing, next) { // it has seen all, and miscounts
		ahead = 0
	}
	blocked := s.outgoing == 0
	s.outgoing = max(f.IncomingWindow, ahead) - ahead
	s.resume()
	if f.Handle.Set {
		s.linkFlow(f, blocked && s.outgoing > 0)
		return
	}
	if f.Echo {
		s.flowDue = true
		s.mark()
	}
	if blocked && s.outgoing > 0 {
		s.conn.event = Event{Kind: OnFlow, Session: s}
	}
}

// linkFlow takes the part of a flow that concerns a link.
func (s *Session) linkFlow(f *amqpwire.Flow, opened bool) {
	l := s.byIn.get(f.Handle.V)
	if l == nil {
		s.fail(amqpwire.CondUnattachedHandle, "flow on a handle that is not attached")
		return
	}
	if !l.live() {
		return
	}
	if f.Echo {
		l.tell()
	}
	if l.role == amqpwire.RoleReceiver {
		l.advance(f)
	} else {
		l.granted(f)
	}
	switch {
	case opened:
		s.conn.event = Event{Kind: OnFlow, Session: s}
	case l.role == amqpwire.RoleSender && l.phase == linkUp:
		s.conn.event = Event{Kind: OnFlow, Session: s, Link: l}
	}
}

// granted takes the credit that the peer gives us (AMQP 2.6.7): what it has not seen of
// our deliveries uses it up.
func (l *Link) granted(f *amqpwire.Flow) {
	if f.LinkCredit.Set {
		lag := l.deliveryCount - f.DeliveryCount.Or(firstID)
		if before(l.deliveryCount, f.DeliveryCount.Or(firstID)) {
			lag = 0
		}
		l.credit = max(f.LinkCredit.V, lag) - lag
	}
	if l.drain = f.Drain; l.drain && l.credit == 0 {
		l.tell() // there is nothing to drain, and the peer waits to hear it
	}
}

// advance takes the delivery-count of a peer that sends: it may give up credit.
func (l *Link) advance(f *amqpwire.Flow) {
	if !f.DeliveryCount.Set {
		return
	}
	if given := f.DeliveryCount.V - l.deliveryCount; given <= l.credit {
		l.deliveryCount, l.credit = f.DeliveryCount.V, l.credit-given
		l.refill()
	}
}

// Drain says that the receiver wants no credit to be left over.
func (l *Link) Drain() bool { return l.drain && l.credit > 0 }

// Drained uses up the credit of a link on which nothing more is to be sent, and says so
// (AMQP 2.6.7).
func (l *Link) Drained() {
	if l.up() && l.Drain() && l.session.held == nil {
		l.deliveryCount += l.credit
		l.credit = 0
		l.tell()
	}
}

// tell marks a link whose state is to be told.
func (l *Link) tell() {
	if !l.flowDue {
		l.flowDue = true
		l.session.conn.flows = append(l.session.conn.flows, l)
	}
}

// window is the session's part of a flow; it opens our window.
func (s *Session) window() amqpwire.Flow {
	s.incoming, s.flowDue = incomingWindow, false
	return amqpwire.Flow{
		NextIncomingID: amqpwire.Some(s.nextIncoming),
		IncomingWindow: incomingWindow,
		NextOutgoingID: s.nextOutgoing,
		OutgoingWindow: outgoingWindow,
	}
}

// sendFlow tells the state of a link, with as much credit as it should have.
func (l *Link) sendFlow() {
	s := l.session
	f := s.window()
	f.Handle = amqpwire.Some(l.out)
	f.DeliveryCount = amqpwire.Some(l.deliveryCount)
	f.Drain = l.drain // stays false where the peer sends
	f.LinkCredit = amqpwire.Some(l.credit)
	s.conn.out = f.AppendFrame(s.conn.out, s.out)
}
