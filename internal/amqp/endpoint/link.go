package endpoint

import (
	"slices"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Link is our end of a link.
type Link struct {
	// Data is the caller's.
	Data any

	// fixed

	session    *Session
	name       string
	in, out    uint32 // the peer's handle, and ours
	role       amqpwire.Role
	senderMode amqpwire.SenderSettleMode
	second     bool // receiver-settle-mode second

	phase   linkPhase
	drain   bool
	flowDue bool             // in Conn.flows
	index   int              // in Session.links
	asked   *amqpwire.Attach // until it is answered

	// deliveries

	deliveryCount uint32
	credit        uint32
	allowed       uint32 // what Allow was given
	unsettled     uint32
	maxMessage    uint64   // the receiver's, 0 for no limit
	partial       *partial // a delivery of which more is to come
	held          *held    // a delivery of which more is to be sent
}

type linkPhase uint8

const (
	linkAsked     linkPhase = iota // the caller owes an answer
	linkUp                         // attached at both ends
	linkDetaching                  // our detach is sent, the peer's is not here
	linkGone
)

// live says whether the caller may still do something with the link.
func (l *Link) live() bool {
	return (l.phase == linkAsked || l.phase == linkUp) && l.session.live()
}

func (l *Link) up() bool { return l.phase == linkUp && l.session.live() }

// Session is what the link is attached to.
func (l *Link) Session() *Session { return l.session }

// Name is unique among the links of a session that have the same role.
func (l *Link) Name() string { return l.name }

// Role is ours: RoleReceiver where the peer sends.
func (l *Link) Role() amqpwire.Role { return l.role }

// Live says that the link is not detached.
func (l *Link) Live() bool { return l.live() }

// Unsettled is how many deliveries wait to be settled.
func (l *Link) Unsettled() int { return int(l.unsettled) }

// Credit is how many deliveries the receiver is ready to take.
func (l *Link) Credit() uint32 { return l.credit }

// attach takes an attach.
func (s *Session) attach(a *amqpwire.Attach) {
	if s.byIn.get(a.Handle) != nil {
		s.fail(amqpwire.CondHandleInUse, "the handle is in use")
		return
	}
	c := s.conn
	handle, free := s.freeHandle(a.Handle)
	full := c.links >= c.limits.links
	if !free || c.links >= c.limits.links+refusals {
		s.fail(amqpwire.CondResourceLimitExceeded, "too many links")
		return
	}
	role := !a.Role
	if older := s.named(a.Name, role); older != nil { // AMQP 2.6.1
		older.fail(amqpwire.CondStolen, "a link of the same name was attached")
		if !s.live() {
			return
		}
	}
	l := &Link{
		session: s, name: a.Name, in: a.Handle, out: handle, role: role, index: len(s.links),
		senderMode: a.SenderSettleMode, second: a.ReceiverSettleMode == amqpwire.ReceiverSecond,
		asked: a, deliveryCount: firstID,
	}
	if role == amqpwire.RoleReceiver {
		l.deliveryCount = a.InitialDeliveryCount
	} else {
		l.maxMessage = a.MaxMessageSize
	}
	s.links = append(s.links, l)
	s.byIn.set(a.Handle, l)
	s.byName.add(l)
	if l.in != l.out {
		s.strange++
	}
	c.links++
	switch {
	case full:
		l.refuse(&amqpwire.Error{Condition: amqpwire.CondResourceLimitExceeded, Description: "too many links"})
	case len(a.Name) > maxName:
		l.refuse(&amqpwire.Error{Condition: amqpwire.CondInvalidField, Description: "the name of the link is too long"})
	case !s.windAt.IsZero():
		l.refuse(s.winding)
	default:
		c.reports = append(c.reports, report{kind: OnAttach, session: s, link: l, attach: a}) // behind the older's OnDetach
	}
}

// freeHandle gives the handle that we use: the peer's, or if the peer takes no such
// handle the lowest that is free.
func (s *Session) freeHandle(in uint32) (uint32, bool) {
	if in <= s.handles && s.strange == 0 {
		return in, true
	}
	used := func(h uint32) bool {
		return slices.ContainsFunc(s.links, func(l *Link) bool { return l.out == h })
	}
	if in <= s.handles && !used(in) {
		return in, true
	}
	for h := range uint32(len(s.links) + 1) {
		if !used(h) {
			return h, h <= s.handles
		}
	}
	return 0, false
}

// Terms are what an attach is accepted with. Settle modes are those that the peer asked
// for.
type Terms struct {
	Source              *amqpwire.Source // nil for the peer's
	Target              amqpwire.Target  // nil for the peer's
	MaxMessageSize      uint64           // 0 for MaxMessageSize; what we take, or say that we take
	OfferedCapabilities []string
	DesiredCapabilities []string
	Properties          amqpwire.Value
}

// Accept answers an OnAttach. A link on which the peer sends has no credit before Allow.
func (l *Link) Accept(t Terms) {
	if l.phase != linkAsked || !l.live() {
		return
	}
	a := l.answer()
	if t.Source != nil {
		a.Source = t.Source
	}
	if t.Target != nil {
		a.Target = t.Target
	}
	if t.MaxMessageSize != 0 {
		a.MaxMessageSize = t.MaxMessageSize
	}
	a.OfferedCapabilities, a.DesiredCapabilities, a.Properties = t.OfferedCapabilities, t.DesiredCapabilities, t.Properties
	if l.role == amqpwire.RoleReceiver {
		l.maxMessage = a.MaxMessageSize
	}
	l.asked = nil
	s := l.session
	if !s.conn.send(s.out, a) {
		s.unanswerable()
		return
	}
	l.phase = linkUp
	if l.role == amqpwire.RoleSender && (l.credit > 0 || l.drain) { // the peer's flow was here first
		s.conn.reports = append(s.conn.reports, report{kind: OnFlow, session: s, link: l})
	}
}

// answer is an attach that answers the peer's as it came.
func (l *Link) answer() amqpwire.Attach {
	mode := amqpwire.ReceiverFirst
	if l.second {
		mode = amqpwire.ReceiverSecond
	}
	return amqpwire.Attach{
		Name: l.name, Handle: l.out, Role: l.role,
		SenderSettleMode: l.senderMode, ReceiverSettleMode: mode,
		Source: l.asked.Source, Target: l.asked.Target,
		InitialDeliveryCount: l.deliveryCount, MaxMessageSize: MaxMessageSize,
	}
}

// Refuse answers an OnAttach: the link is attached without our terminus and detached
// with the error (AMQP 2.6.3). No OnDetach follows.
func (l *Link) Refuse(err *amqpwire.Error) {
	if l.phase == linkAsked && l.live() {
		l.refuse(err)
	}
}

func (l *Link) refuse(err *amqpwire.Error) {
	s := l.session
	if !l.sendRefusal() {
		l.phase = linkDetaching // it was never attached
		s.unanswerable()
		return
	}
	l.detach(err)
	l.name = "" // it is not unique any more, and the peer chose its length
}

// sendRefusal attaches the link without the terminus that is ours.
func (l *Link) sendRefusal() bool {
	a := l.answer()
	if l.role == amqpwire.RoleSender {
		a.Source = nil
	} else {
		a.Target = nil
	}
	if l.session.conn.send(l.session.out, a) {
		return true
	}
	a.Source, a.Target = nil, nil
	return l.session.conn.send(l.session.out, a)
}

// unanswerable ends a session because an attach cannot be answered: the peer chose a name
// that is longer than its own frames.
func (s *Session) unanswerable() {
	s.fail(amqpwire.CondFrameSizeTooSmall, "the answer to an attach does not fit into the peer's max-frame-size")
}

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
func (s *Session) detached(d amqpwire.Detach) Event {
	l := s.byIn.get(d.Handle)
	if l == nil {
		s.fail(amqpwire.CondUnattachedHandle, "detach of a handle that is not attached")
		return Event{}
	}
	if l.phase == linkDetaching {
		s.unheard--
		s.drop(l)
		s.wound()
		s.conn.answered()
		return Event{Kind: OnAnswer, Session: s, Link: l, ByPeer: true, Closed: d.Closed, Error: d.Error}
	}
	if l.phase == linkAsked && !l.sendRefusal() {
		s.unanswerable()
		return Event{}
	}
	l.release()
	s.conn.send(s.out, amqpwire.Detach{Handle: l.out, Closed: d.Closed})
	s.drop(l)
	return Event{Kind: OnDetach, Session: s, Link: l, ByPeer: true, Closed: d.Closed, Error: d.Error}
}

// release forgets the deliveries of a link that ends, after what was said about them has
// been sent.
func (l *Link) release() {
	s := l.session
	s.flush()
	if l.unsettled > 0 {
		s.table(l.role).forget(l)
	}
	l.abort()
	l.unhold()
	l.asked, l.credit, l.allowed = nil, 0, 0
}

// drop lets go of a link on whose handle nothing more comes.
func (s *Session) drop(l *Link) {
	last := len(s.links) - 1
	s.links[l.index] = s.links[last]
	s.links[l.index].index = l.index
	s.links[last] = nil
	s.links = s.links[:last]
	s.byIn.set(l.in, nil)
	s.byName.remove(l)
	if l.in != l.out {
		s.strange--
	}
	s.conn.links--
	l.abort()
	l.unhold()
	l.phase, l.asked = linkGone, nil
}

// table gives the unsettled deliveries of links of our role.
func (s *Session) table(role amqpwire.Role) *unsettled {
	if role == amqpwire.RoleSender {
		return &s.sent
	}
	return &s.received
}
