package endpoint

import "github.com/berth-iot/berth/internal/amqpwire"

// Detach closes the link; err is nil for a goodbye.
func (l *Link) Detach(err *amqpwire.Error) {
	switch {
	case !l.live():
		return
	case l.phase == linkAsked && !l.sendRefusal():
		l.session.unanswerable()
		return
	}
	l.detach(err)
	l.session.conn.reports = append(l.session.conn.reports, report{kind: OnDetach, session: l.session, link: l, closed: true, err: err})
}

// fail closes the link with an error.
func (l *Link) fail(condition, text string) {
	l.Detach(&amqpwire.Error{Condition: condition, Description: text})
}

// detach sends our detach: what comes for the handle is ignored until the peer's.
func (l *Link) detach(err *amqpwire.Error) {
	s, c := l.session, l.session.conn
	l.release()
	d := amqpwire.Detach{Handle: l.out, Closed: true, Error: err}
	if !c.send(s.out, d) {
		d.Error = bare(err)
		c.send(s.out, d)
	}
	l.phase = linkDetaching
	s.byName.remove(l)
	s.unheard++
	c.owed++
}

// detached takes the peer's detach, and answers it.
func (s *Session) detached(d amqpwire.Detach) {
	l := s.byIn.get(d.Handle)
	if l == nil {
		s.fail(amqpwire.CondUnattachedHandle, "detach of a handle that is not attached")
		return
	}
	if l.phase == linkDetaching {
		s.unheard--
		s.drop(l)
		s.wound()
		s.conn.answered()
		s.conn.event = Event{Kind: OnAnswer, Session: s, Link: l, ByPeer: true, Closed: d.Closed, Error: d.Error}
		return
	}
	if l.phase == linkAsked && !l.sendRefusal() {
		s.unanswerable()
		return
	}
	l.release()
	s.conn.send(s.out, amqpwire.Detach{Handle: l.out, Closed: d.Closed})
	s.drop(l)
	s.conn.event = Event{Kind: OnDetach, Session: s, Link: l, ByPeer: true, Closed: d.Closed, Error: d.Error}
}
