package endpoint

import (
	"iter"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Session is our end of a session.
type Session struct {
	// Data is the caller's.
	Data any

	// fixed

	conn    *Conn
	in, out uint16 // the peer's channel number, and ours
	handles uint32 // the highest handle that we may use

	// links

	links   []*Link // in no order; detached ones stay until the peer's detach
	byIn    handles // by the peer's handle
	byName  names
	strange int // links whose handle is not the peer's
	unheard int // detaches of ours that the peer has not answered
	windAt  time.Time
	winding *amqpwire.Error
	index   int // in Conn.sessions
	phase   sessionPhase

	// windows

	nextIncoming uint32 // transfer id
	incoming     uint32 // what is left of our window
	nextOutgoing uint32 // transfer id
	outgoing     uint32 // what is left of the peer's window
	nextDelivery uint32 // id of the next delivery that we send
	lastDelivery uint32 // id of the latest that came
	delivered    bool   // lastDelivery is set
	flowDue      bool   // the window is to be told
	isDirty      bool   // in Conn.dirty
	held         *held  // nil for none

	received unsettled // deliveries that the peer sent
	sent     unsettled // deliveries that we sent
}

type sessionPhase uint8

const (
	sessionUp     sessionPhase = iota
	sessionEnding              // our end is sent, the peer's is not here
	sessionGone
)

var (
	errBegun    = &amqpwire.DecodeError{Condition: amqpwire.CondIllegalState, Text: "the channel has a session"}
	errHandle   = &amqpwire.DecodeError{Condition: amqpwire.CondFramingError, Text: "handle exceeds handle-max"}
	errAnswer   = &amqpwire.DecodeError{Condition: amqpwire.CondIllegalState, Text: "a begin that answers a channel of ours, which has none"}
	errSessions = &amqpwire.DecodeError{Condition: amqpwire.CondResourceLimitExceeded, Text: "too many sessions"}
)

func (s *Session) live() bool { return s.phase == sessionUp }

// Channel is the channel number that the peer uses.
func (s *Session) Channel() uint16 { return s.in }

// Links gives the links that are not detached.
func (s *Session) Links() iter.Seq[*Link] {
	return func(yield func(*Link) bool) {
		for _, l := range slices.Clone(s.links) {
			if l.live() && !yield(l) {
				return
			}
		}
	}
}

// begin answers a begin. A session too many is answered and ended.
func (c *Conn) begin(f amqpwire.Frame) error {
	p, err := f.Decode()
	if err != nil {
		return err
	}
	b, ok := p.(amqpwire.Begin)
	if !ok || b.RemoteChannel.Set {
		return errAnswer
	}
	full := len(c.sessions) >= c.limits.sessions
	channel, free := c.freeChannel(f.Channel)
	if !free || len(c.sessions) >= c.limits.sessions+refusals {
		return errSessions
	}
	s := &Session{
		conn: c, in: f.Channel, out: channel, handles: b.HandleMax, index: len(c.sessions),
		nextIncoming: b.NextOutgoingID, incoming: incomingWindow,
		nextOutgoing: firstID, outgoing: b.IncomingWindow, nextDelivery: firstID,
	}
	if c.channels == nil {
		c.channels = make(map[uint16]*Session)
	}
	c.sessions, c.channels[f.Channel] = append(c.sessions, s), s
	c.begun = max(c.begun, int(f.Channel)+1)
	c.send(s.out, amqpwire.Begin{
		RemoteChannel:  amqpwire.Some(f.Channel),
		NextOutgoingID: s.nextOutgoing,
		IncomingWindow: incomingWindow,
		OutgoingWindow: outgoingWindow,
		HandleMax:      HandleMax,
	})
	switch {
	case full:
		s.finish(&amqpwire.Error{Condition: amqpwire.CondResourceLimitExceeded, Description: errSessions.Text})
	case !c.windAt.IsZero():
		s.finish(c.winding)
	default:
		c.event = Event{Kind: OnBegin, Session: s}
	}
	return nil
}

// freeChannel gives the channel number that we use: the peer's, or if the peer takes no
// such number the lowest that is free.
func (c *Conn) freeChannel(in uint16) (uint16, bool) {
	if in <= c.peerChannels {
		taken := slices.ContainsFunc(c.sessions, func(s *Session) bool { return s.in != s.out && s.out == in })
		if !taken {
			return in, true
		}
	}
	used := make(map[uint16]bool, len(c.sessions))
	for _, s := range c.sessions {
		used[s.out] = true
	}
	for n := range len(c.sessions) + 1 {
		if !used[uint16(n)] {
			return uint16(n), n <= int(c.peerChannels)
		}
	}
	return 0, false
}

// End ends the session; err is nil for a goodbye.
func (s *Session) End(err *amqpwire.Error) {
	if s.live() {
		s.finish(err)
		s.reported(report{kind: OnEnd, err: err})
	}
}

// fail ends the session with an error.
func (s *Session) fail(condition, text string) {
	s.End(&amqpwire.Error{Condition: condition, Description: text})
}

// finish sends our end: what comes on the channel is ignored until the peer's.
func (s *Session) finish(err *amqpwire.Error) {
	c := s.conn
	s.flush()
	if !c.send(s.out, amqpwire.End{Error: err}) {
		c.send(s.out, amqpwire.End{Error: bare(err)})
	}
	s.release()
	s.phase = sessionEnding
	c.owed++
}

// ended takes the peer's end, and answers it.
func (s *Session) ended(e amqpwire.End) {
	s.flush()
	s.conn.send(s.out, amqpwire.End{})
	s.release()
	s.conn.forget(s)
	s.reported(report{kind: OnEnd, byPeer: true, err: e.Error})
	s.conn.wound()
}

// release takes the session out of what is owed and due; its links are let go of when
// they are told.
func (s *Session) release() {
	c := s.conn
	c.owed -= s.unheard
	if !s.windAt.IsZero() {
		c.owed--
		c.windings = slices.DeleteFunc(c.windings, func(w *Session) bool { return w == s })
		s.windAt = time.Time{}
	}
	c.unsettled -= s.sent.live() - s.sent.due
	s.unheard, s.received, s.sent, s.byIn = 0, unsettled{}, unsettled{}, handles{}
}

// reported has the end told, and before it that of every link.
func (s *Session) reported(r report) {
	r.session = s
	s.conn.reports = append(s.conn.reports, r)
}

// forget lets go of a session on whose channel nothing more comes.
func (c *Conn) forget(s *Session) {
	last := len(c.sessions) - 1
	c.sessions[s.index] = c.sessions[last]
	c.sessions[s.index].index = s.index
	c.sessions[last] = nil
	c.sessions = c.sessions[:last]
	delete(c.channels, s.in)
	if c.latest == s {
		c.latest = nil
	}
	s.phase = sessionGone
}

// Wind ends the session with the error, or nil, as soon as the peer has answered every
// detach of ours in it; after AnswerWithin at the latest. Until then no link is attached.
func (s *Session) Wind(err *amqpwire.Error) {
	if !s.live() || !s.windAt.IsZero() {
		return
	}
	s.windAt, s.winding = s.conn.now.Add(AnswerWithin), err
	s.conn.windings = append(s.conn.windings, s)
	s.conn.owed++
	s.wound()
}

// wound ends a session that winds if nothing is waited for any more.
func (s *Session) wound() {
	if !s.windAt.IsZero() && s.unheard == 0 {
		s.End(s.winding)
	}
}

// answered notes that the peer answered a detach or end of ours.
func (c *Conn) answered() {
	c.owed--
	c.wound()
}
