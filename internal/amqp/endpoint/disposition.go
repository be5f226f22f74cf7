package endpoint

import "github.com/berth-iot/berth/internal/amqpwire"

// Settle tells the state of a delivery: of one that came, its outcome, which settles it
// at once or, with receiver-settle-mode second and unless the link's Terms say otherwise,
// when the peer has answered; of one that
// was sent, ours, which settles it. An id that is settled already is let pass.
func (l *Link) Settle(id uint32, state amqpwire.State) {
	if !l.up() {
		return
	}
	if e := l.session.table(l.role).find(id); e != nil && e.link == l {
		l.settle(e, state)
	}
}

// SettleNow is Settle for one delivery whose outcome leaves before anything that is sent
// after it in the turn, not with the others at the turn's end.
func (l *Link) SettleNow(id uint32, state amqpwire.State) {
	if !l.up() {
		return
	}
	s, u := l.session, l.session.table(l.role)
	e := u.find(id)
	if e == nil || e.link != l || e.phase != entryOpen {
		return
	}
	l.settle(e, state)
	s.sendDisposition(&amqpwire.Disposition{Role: l.role, First: id, Last: id, Settled: e.phase == entryDue, State: state})
	u.told(e)
	u.trim()
}

// SettleRange is Settle for every unsettled delivery of the link from first to last.
func (l *Link) SettleRange(first, last uint32, state amqpwire.State) {
	if !l.up() || l.unsettled == 0 {
		return
	}
	u := l.session.table(l.role)
	for i := u.search(first); i < u.n && !before(last, u.at(i).id); i++ {
		if e := u.at(i); e.link == l {
			l.settle(e, state)
		}
	}
}

// SettleOldest is Settle for the n oldest deliveries of the link that Settle has not
// named; it says how many there were.
func (l *Link) SettleOldest(n int, state amqpwire.State) (settled int) {
	if !l.up() {
		return 0
	}
	u := l.session.table(l.role)
	for i := 0; i < u.n && settled < n; i++ {
		if e := u.at(i); e.link == l && e.phase == entryOpen {
			l.settle(e, state)
			settled++
		}
	}
	return settled
}

func (l *Link) settle(e *entry, state amqpwire.State) {
	if e.phase != entryOpen {
		return
	}
	e.state, e.phase = state, entryDue
	if l.second && !l.hasty && !e.first && l.role == amqpwire.RoleReceiver {
		e.phase = entryDueHalf
	}
	l.session.table(l.role).due++
	l.session.mark()
	if e.phase == entryDue { // it counts no more, though the peer is to hear it
		l.count(-1)
		l.refill()
	}
}

// mark has the session flushed at the end of the turn.
func (s *Session) mark() {
	if !s.isDirty {
		s.isDirty = true
		s.conn.dirty = append(s.conn.dirty, s)
	}
}

// flush writes what was gathered in the turn: dispositions, windows and credit.
func (c *Conn) flush() {
	for _, s := range c.dirty {
		s.isDirty = false
		if s.live() {
			s.flush()
		}
	}
	for _, l := range c.flows {
		l.flowDue = false
		if l.up() {
			l.sendFlow()
		}
	}
	for _, s := range c.dirty {
		if s.flowDue && s.live() {
			f := s.window()
			c.out = f.AppendFrame(c.out, s.out)
		}
	}
	clear(c.dirty)
	clear(c.flows)
	c.dirty, c.flows = c.dirty[:0], c.flows[:0]
}

// flush writes the session's dispositions.
func (s *Session) flush() {
	s.tellOutcomes(&s.received, amqpwire.RoleReceiver)
	s.tellOutcomes(&s.sent, amqpwire.RoleSender)
}

// tellOutcomes writes the outcomes that are due as ranges.
func (s *Session) tellOutcomes(u *unsettled, role amqpwire.Role) {
	if u.due == 0 {
		return
	}
	d, open := amqpwire.Disposition{Role: role}, false
	for i := 0; u.due > 0; i++ {
		e := u.at(i)
		if e.phase != entryDue && e.phase != entryDueHalf {
			continue
		}
		settled := e.phase == entryDue
		if open && (e.id != d.Last+1 || settled != d.Settled || !same(e.state, d.State)) {
			s.sendDisposition(&d)
			open = false
		}
		if !open {
			d.First, d.Settled, d.State, open = e.id, settled, e.state, true
		}
		d.Last = e.id
		u.told(e)
	}
	s.sendDisposition(&d)
	u.trim()
}

// told notes that an outcome that was due has been written.
func (u *unsettled) told(e *entry) {
	if e.phase == entryDue {
		u.remove(e)
		return
	}
	u.due--
	e.phase, e.state = entryTold, nil
}

// sendDisposition writes a disposition, without the text of an error if the peer's
// frames are too small.
func (s *Session) sendDisposition(d *amqpwire.Disposition) {
	c := s.conn
	at := len(c.out)
	c.out = d.AppendFrame(c.out, s.out)
	if len(c.out)-at <= c.peerFrame {
		return
	}
	short := *d
	if r, ok := d.State.(amqpwire.Rejected); ok {
		short.State = amqpwire.Rejected{Error: bare(r.Error)}
	} else {
		short.State = amqpwire.Released{}
	}
	c.out = short.AppendFrame(c.out[:at], s.out)
}

// same says whether two outcomes can be told together.
func same(a, b amqpwire.State) bool {
	switch a := a.(type) {
	case amqpwire.Accepted:
		_, ok := b.(amqpwire.Accepted)
		return ok
	case amqpwire.Released:
		_, ok := b.(amqpwire.Released)
		return ok
	case amqpwire.Rejected:
		r, ok := b.(amqpwire.Rejected)
		return ok && a.Error == r.Error
	case nil:
		return b == nil
	default:
		return false
	}
}

// settling is a disposition of the peer whose deliveries are being told.
type settling struct {
	session *Session // nil for none
	state   amqpwire.State
	next    uint32 // no id before it is looked at
	last    uint32
	settled bool
}

// disposition takes a disposition.
func (s *Session) disposition(d *amqpwire.Disposition) {
	if before(d.Last, d.First) {
		s.fail(amqpwire.CondInvalidField, "a disposition's last delivery is before its first")
		return
	}
	if d.Role == amqpwire.RoleReceiver {
		s.conn.settling = settling{session: s, state: owned(d.State), next: d.First, last: d.Last, settled: d.Settled}
		return
	}
	if !d.Settled {
		return // the sender's state changes nothing for us
	}
	u := &s.received
	for i := u.search(d.First); i < u.n && !before(d.Last, u.at(i).id); i++ {
		if e := u.at(i); e.link != nil {
			l := e.link
			u.remove(e)
			l.refill()
		}
	}
	u.trim()
}

// owned is a state that borrows from nobody: telling it may take more than one turn.
func owned(s amqpwire.State) amqpwire.State {
	switch s := s.(type) {
	case amqpwire.Modified:
		s.MessageAnnotations = s.MessageAnnotations.Clone()
		return s
	case amqpwire.Other:
		s.Value = s.Value.Clone()
		return s
	default:
		return s
	}
}

// settled tells the next delivery of the peer's disposition.
func (c *Conn) settled() (Event, bool) {
	d := &c.settling
	s := d.session
	if s == nil {
		return Event{}, false
	}
	if !s.live() {
		*d = settling{}
		return Event{}, false
	}
	u := &s.sent
	for i := u.search(d.next); i < u.n && !before(d.last, u.at(i).id); i++ {
		e := u.at(i)
		if e.link == nil || e.phase != entryOpen {
			continue // settled already, or we are about to
		}
		c.work--
		d.next = e.id + 1
		ev := Event{
			Kind: OnDisposition, Session: s, Link: e.link, ID: e.id, Ref: e.ref,
			State: d.state, Settled: d.settled,
		}
		if d.settled {
			u.remove(e)
			u.trim()
		}
		if before(d.last, d.next) {
			*d = settling{}
		}
		return ev, true
	}
	*d = settling{}
	return Event{}, false
}
