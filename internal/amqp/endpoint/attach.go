package endpoint

import (
	"slices"

	"github.com/berth-iot/berth/internal/amqpwire"
)

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
	used := make([]bool, len(s.links)+1) // one of so many is free
	taken := false
	for _, l := range s.links {
		if taken = taken || l.out == in; l.out < uint32(len(used)) {
			used[l.out] = true
		}
	}
	if in <= s.handles && !taken {
		return in, true
	}
	if h := slices.Index(used, false); h >= 0 {
		return uint32(h), uint32(h) <= s.handles
	}
	return 0, false
}

// Terms are what an attach is accepted with. Settle modes are those that the peer asked
// for.
type Terms struct {
	Source              *amqpwire.Source // nil for the peer's
	Target              amqpwire.Target  // nil for the peer's
	MaxMessageSize      uint64           // 0 for MaxMessageSize; what we take, or say that we take
	SettleAtOnce        bool             // with our outcome, even with receiver-settle-mode second
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
	l.hasty = t.SettleAtOnce
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
