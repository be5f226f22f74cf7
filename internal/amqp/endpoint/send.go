package endpoint

import (
	"errors"
	"slices"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Why nothing was sent.
var (
	// ErrDetached: the link is detached, or its attach is not answered.
	ErrDetached = errors.New("endpoint: the link is not attached")
	// ErrNoRoom: Room was 0. The link goes on after OnFlow, OnDisposition or the next turn.
	ErrNoRoom = errors.New("endpoint: no credit, window or room")
	// ErrTooLarge: the peer takes no message of this size on this link.
	ErrTooLarge = errors.New("endpoint: the message exceeds the peer's max-message-size")
	// ErrTag: a delivery-tag has 1 to 32 bytes.
	ErrTag = errors.New("endpoint: delivery-tag is empty or has more than 32 bytes")
)

// Message is what Send sends.
type Message struct {
	Tag     []byte // at most 32 bytes, unique among the link's unsettled deliveries
	Format  uint32
	Settled bool   // if the link's snd-settle-mode leaves the choice
	Ref     uint64 // handed back by OnDisposition
	Payload []byte
}

// held is the rest of a delivery, until the peer opens the window of the session.
type held struct {
	payload []byte
	settled bool
}

// Room says how many deliveries may be sent now.
func (l *Link) Room() int {
	c := l.session.conn
	if l.role != amqpwire.RoleSender || !l.up() || l.held != nil || c.Full() {
		return 0
	}
	room := min(int64(l.credit), int64(l.session.outgoing))
	if l.senderMode != amqpwire.SenderSettled {
		room = min(room, int64(maxUnsettled)-int64(l.unsettled), int64(maxUnsettledAll)-int64(c.unsettled))
	}
	return int(max(room, 0))
}

// Send sends a message on a link whose receiver the peer is, in as many frames as it
// takes, and gives the delivery's id.
func (l *Link) Send(m Message) (id uint32, err error) {
	s, c := l.session, l.session.conn
	switch {
	case !l.up():
		return 0, ErrDetached
	case l.maxMessage != 0 && uint64(len(m.Payload)) > l.maxMessage:
		return 0, ErrTooLarge
	case len(m.Tag) == 0 || len(m.Tag) > maxTag:
		return 0, ErrTag
	case l.Room() == 0 || !l.fits(len(m.Payload)):
		return 0, ErrNoRoom
	}
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
	rest := l.parts(&t, m.Payload)
	if len(rest) > 0 {
		l.held = &held{payload: append([]byte(nil), rest...), settled: settled}
		s.holding = append(s.holding, l)
		c.heldBytes += len(rest)
	}
	return id, nil
}

// fits says whether a payload of n bytes may be begun: it fits into the peer's window, or
// its rest into what we hold back.
func (l *Link) fits(n int) bool {
	const overhead = 96 // of a frame: header, performative, tag
	frames := n/(l.session.conn.peerFrame-overhead) + 1
	return int64(frames) <= int64(l.session.outgoing) || l.session.conn.heldBytes+n <= maxHeld
}

// parts writes frames as far as the peer's window goes, and gives the rest.
func (l *Link) parts(t *amqpwire.Transfer, payload []byte) (rest []byte) {
	s, c := l.session, l.session.conn
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

// resume sends what was held back, as far as the peer's window goes.
func (s *Session) resume() {
	c := s.conn
	for len(s.holding) > 0 && s.outgoing > 0 {
		l := s.holding[0]
		t := amqpwire.Transfer{Handle: l.out}
		if l.held.settled {
			t.Settled = amqpwire.Some(true)
		}
		rest := l.parts(&t, l.held.payload)
		c.heldBytes -= len(l.held.payload) - len(rest)
		if l.held.payload = rest; len(rest) == 0 {
			l.unhold()
		}
	}
}

// unhold forgets the rest of a delivery.
func (l *Link) unhold() {
	if l.held != nil {
		s := l.session
		s.conn.heldBytes -= len(l.held.payload)
		s.holding = slices.DeleteFunc(s.holding, func(h *Link) bool { return h == l })
		l.held = nil
	}
}
