package endpoint

import (
	"errors"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Why nothing was sent.
var (
	// ErrDetached: the link is detached, or its attach is not answered.
	ErrDetached = errors.New("endpoint: the link is not attached")
	// ErrNoRoom: more was sent than Room had promised.
	ErrNoRoom = errors.New("endpoint: no credit, no window, or too much is unsettled")
	// ErrTooLarge: the peer takes no message of this size on this link.
	ErrTooLarge = errors.New("endpoint: the message exceeds the peer's max-message-size")
	// ErrTag: a delivery-tag has 1 to 32 bytes.
	ErrTag = errors.New("endpoint: delivery-tag is empty or has more than 32 bytes")
)

// Message is what Send sends. Its bytes are borrowed until Send returns.
type Message struct {
	Tag     []byte // at most 32 bytes, unique among the link's unsettled deliveries
	Format  uint32
	Settled bool   // if the link's snd-settle-mode leaves the choice
	Ref     uint64 // handed back by OnDisposition
	Payload []byte
}

// Room says how many messages of up to MaxMessageSize Send takes now: at most maxRoom, ask
// again behind them. It is 0 without credit and window, while too much is unsettled, and
// when this turn's output is full.
func (l *Link) Room() int {
	s, c := l.session, l.session.conn
	if !l.ready() || c.heldBytes >= maxHeld || c.Full() {
		return 0
	}
	// The last of them may be held back in part.
	whole := s.outgoing / uint32(MaxMessageSize/(c.peerFrame-maxHead)+1)
	return int(min(l.open(), max(whole, 1), maxRoom))
}

// ready says whether a delivery may be begun; none may while another is held back.
func (l *Link) ready() bool {
	return l.role == amqpwire.RoleSender && l.up() && l.session.outgoing > 0
}

// open says how many deliveries the credit and the table of unsettled ones allow.
func (l *Link) open() uint32 {
	if l.senderMode == amqpwire.SenderSettled {
		return l.credit
	}
	room := min(maxUnsettled-int(l.unsettled), maxUnsettledAll-l.session.conn.unsettled)
	return min(l.credit, uint32(max(room, 0)))
}

// Send sends a message on a link whose receiver the peer is, in as many frames as it
// takes, and gives the delivery's id. What the peer's window does not take is held back
// until it opens.
func (l *Link) Send(m Message) (id uint32, err error) {
	switch {
	case l.role != amqpwire.RoleSender || !l.up():
		return 0, ErrDetached
	case l.maxMessage != 0 && uint64(len(m.Payload)) > l.maxMessage:
		return 0, ErrTooLarge
	case len(m.Tag) == 0 || len(m.Tag) > maxTag:
		return 0, ErrTag
	case !l.ready() || l.open() == 0:
		return 0, ErrNoRoom
	}
	s := l.session
	id = s.nextDelivery
	s.nextDelivery++
	l.deliveryCount++
	l.credit--
	settled := l.senderMode == amqpwire.SenderSettled || l.senderMode == amqpwire.SenderMixed && m.Settled
	if !settled {
		s.sent.push(entry{link: l, id: id, ref: m.Ref})
		l.count(1)
	}
	t := amqpwire.Transfer{
		Handle:        l.out,
		DeliveryID:    amqpwire.Some(id),
		Tag:           m.Tag,
		MessageFormat: amqpwire.Some(m.Format),
	}
	if settled {
		t.Settled = amqpwire.Some(true)
	}
	if rest := s.parts(&t, m.Payload); len(rest) > 0 {
		s.hold(l, rest)
	}
	return id, nil
}

// parts writes frames of a delivery as far as the peer's window goes, at least one, and
// gives the rest.
func (s *Session) parts(t *amqpwire.Transfer, payload []byte) (rest []byte) {
	c := s.conn
	for rest = payload; ; {
		c.out, rest = t.AppendPart(c.out, s.out, c.peerFrame, rest)
		s.nextOutgoing++
		s.outgoing--
		if len(rest) == 0 || s.outgoing == 0 {
			return rest
		}
		t.DeliveryID, t.Tag, t.MessageFormat = amqpwire.Opt[uint32]{}, nil, amqpwire.Opt[uint32]{}
	}
}
