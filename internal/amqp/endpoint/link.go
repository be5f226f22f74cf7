package endpoint

import "github.com/berth-iot/berth/internal/amqpwire"

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
	hasty   bool // our outcome settles, even so; fixed by Accept
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

// SendsSettled says that what Send sends is settled by being sent.
func (l *Link) SendsSettled() bool {
	return l.role == amqpwire.RoleSender && l.senderMode == amqpwire.SenderSettled
}

// Live says that the link is not detached.
func (l *Link) Live() bool { return l.live() }

// Unsettled is how many deliveries wait to be settled.
func (l *Link) Unsettled() int { return int(l.unsettled) }

// Credit is how many deliveries the receiver is ready to take.
func (l *Link) Credit() uint32 { return l.credit }

// release forgets the deliveries of a link that ends, after what was said about them has
// been sent.
func (l *Link) release() {
	s := l.session
	s.flush()
	if l.unsettled > 0 {
		s.table(l.role).forget(l)
	}
	l.abort()
	s.unhold(l)
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
	s.unhold(l)
	l.phase, l.asked = linkGone, nil
}

// table gives the unsettled deliveries of links of our role.
func (s *Session) table(role amqpwire.Role) *unsettled {
	if role == amqpwire.RoleSender {
		return &s.sent
	}
	return &s.received
}
