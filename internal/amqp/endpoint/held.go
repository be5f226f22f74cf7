package endpoint

import (
	"bytes"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// held is the rest of a delivery that waits until the peer opens the window of the
// session. A session has one at most: while it waits nothing else can be sent, and so
// delivery-ids leave in order and without a gap, as clients demand (rhea).
type held struct {
	link    *Link
	payload []byte
}

// hold keeps what the window did not take.
func (s *Session) hold(l *Link, rest []byte) {
	s.held = &held{link: l, payload: bytes.Clone(rest)}
	s.conn.heldBytes += len(rest)
}

// resume sends what was held back, as far as the peer's window goes.
func (s *Session) resume() {
	h := s.held
	if h == nil || s.outgoing == 0 {
		return
	}
	t := amqpwire.Transfer{Handle: h.link.out}
	rest := s.parts(&t, h.payload)
	s.conn.heldBytes -= len(h.payload) - len(rest)
	if h.payload = rest; len(rest) == 0 {
		s.held = nil
	}
}

// unhold forgets what a link has held back.
func (s *Session) unhold(l *Link) {
	if h := s.held; h != nil && h.link == l {
		s.conn.heldBytes -= len(h.payload)
		s.held = nil
	}
}
