package endpoint

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// A peer that keeps to the standard, and a caller that does anything it may, in random
// programs: nothing errs, every delivery arrives once and whole, every outcome is told
// once, and neither side exceeds window or credit.
func TestModelPeer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newModel(t)
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			p.step()
		}
		p.settleDown()
	})
}

// modelLink is what the peer knows of a link, and what the caller holds of it.
type modelLink struct {
	s       *modelSession
	handle  uint32
	sends   bool // the peer does
	second  bool
	settled bool  // snd-settle-mode
	own     *Link // the machine's; nil while detached
	name    string

	count    uint32 // delivery-count as the peer has it
	limit    uint32 // delivery-count + credit: the receiver's word
	drain    bool
	detached bool // the peer has said so, or wants to
	asked    bool // it must attach again

	frames    []w.Transfer    // of the delivery that is being sent
	delivery  []byte          // what the peer has sent, or is receiving
	id        uint32          // of that delivery
	expected  [][]byte        // whole deliveries the machine has not told yet
	unsettled map[uint32]bool // peer's view: ids without an outcome; true: outcome told, unsettled
	open      []uint32        // deliveries that the caller has not settled
}

type modelSession struct {
	channel    uint16
	own        *Session
	nextID     uint32 // transfers of the peer
	window     uint32 // of the machine
	delivery   uint32 // next delivery-id of the peer
	nextIn     uint32 // transfers of the machine, as seen by the peer
	windowUpTo uint32 // the machine may send transfers before this one
	nextOwn    uint32 // next delivery-id of the machine
	links      []*modelLink
}

type model struct {
	t        *rapid.T
	c        *Conn
	now      time.Time
	in       []byte
	frame    int
	sessions []*modelSession
	byOwn    map[*Link]*modelLink
	told     map[*Link]int // OnDetach per link
}

func newModel(t *rapid.T) *model {
	m := &model{t: t, c: New(Config{ContainerID: "berth"}), now: time.Unix(1, 0), byOwn: map[*Link]*modelLink{}, told: map[*Link]int{}}
	m.frame = rapid.SampledFrom([]int{512, 600, 4096, 1 << 20}).Draw(t, "frame")
	m.c.Trust()
	m.in = w.AppendProto(nil, w.ProtoAMQP)
	m.in = w.AppendFrame(m.in, 0, w.Open{ContainerID: "peer", MaxFrameSize: uint32(m.frame), ChannelMax: 65535})
	for i := range 2 {
		s := &modelSession{channel: uint16(3 * i), nextID: 0xffff_fff0, delivery: 0xffff_fff8}
		m.sessions = append(m.sessions, s)
		m.in = w.AppendFrame(m.in, s.channel, w.Begin{NextOutgoingID: s.nextID, IncomingWindow: 0, OutgoingWindow: 9, HandleMax: w.Unlimited})
	}
	m.turn()
	for _, s := range m.sessions {
		// Nothing was sent yet: the ids may just as well be about to wrap.
		s.own.nextOutgoing, s.own.nextDelivery = 0xffff_fffa, 0xffff_fffd
		s.nextIn, s.windowUpTo, s.nextOwn = 0xffff_fffa, 0xffff_fffa, 0xffff_fffd
		for j := range 4 {
			l := &modelLink{s: s, handle: uint32(j * 70), sends: j < 2, second: j%2 == 1, settled: j == 2 && s.channel > 0, name: fmt.Sprint(j / 2)}
			if j%2 == 1 {
				l.name += "second"
			}
			s.links = append(s.links, l)
			m.attach(l)
		}
	}
	m.turn()
	return m
}

func (m *model) attach(l *modelLink) {
	a := w.Attach{Name: l.name, Handle: l.handle, Role: w.Role(!l.sends), SenderSettleMode: w.SenderMixed, Source: &w.Source{Address: "s"}, Target: &w.Node{Address: "t"}, InitialDeliveryCount: 0xffff_fffe}
	if l.second {
		a.ReceiverSettleMode = w.ReceiverSecond
	}
	if l.settled {
		a.SenderSettleMode = w.SenderSettled
	}
	l.count, l.limit, l.drain, l.detached, l.asked = 0, 0, false, false, false
	if l.sends {
		l.count, l.limit = 0xffff_fffe, 0xffff_fffe
	}
	l.frames, l.delivery, l.expected, l.open, l.unsettled = nil, nil, nil, nil, map[uint32]bool{}
	m.send(l.s, a)
}

func (m *model) send(s *modelSession, p w.Performative) { m.in = w.AppendFrame(m.in, s.channel, p) }

// turn has the machine read everything, in pieces, and the peer everything it wrote.
func (m *model) turn() {
	for again := true; again; {
		m.c.Start(m.now, nil)
		n := rapid.IntRange(0, len(m.in)).Draw(m.t, "piece")
		used, more := m.steps(m.in[:n])
		m.in = m.in[used:]
		out, _ := m.c.Finish()
		m.read(out)
		if err := check(m.c); err != nil {
			m.t.Fatal(err)
		}
		again = more || len(m.in) > 0
	}
}

func (m *model) steps(in []byte) (used int, more bool) {
	for {
		ev, n := m.c.Step(in[used:])
		used += n
		switch ev.Kind {
		case Idle:
			return used, false
		case More:
			return used, true
		default:
			m.event(ev)
		}
	}
}

func (m *model) event(ev Event) {
	l := m.byOwn[ev.Link]
	switch ev.Kind {
	case OnOpen:
		m.c.Open(w.Open{})
	case OnBegin:
		for _, s := range m.sessions {
			if s.channel == ev.Session.Channel() {
				s.own = ev.Session
			}
		}
	case OnAttach:
		for _, s := range m.sessions {
			for _, l := range s.links {
				if s.own == ev.Session && l.handle == ev.Attach.Handle {
					l.own, m.byOwn[ev.Link] = ev.Link, l
				}
			}
		}
		ev.Link.Accept(Terms{})
	case OnTransfer:
		if len(l.expected) == 0 || !bytes.Equal(l.expected[0], ev.Delivery.Payload) {
			m.t.Fatalf("delivery %d of %d bytes is not what was sent: %d are expected", ev.Delivery.ID, len(ev.Delivery.Payload), len(l.expected))
		}
		l.expected = l.expected[1:]
		if !ev.Delivery.Settled {
			l.open = append(l.open, ev.Delivery.ID)
		}
	case OnDisposition:
		if !l.own.Live() {
			m.t.Fatal("a disposition of a link that is detached")
		}
		if !ev.Settled {
			ev.Link.Settle(ev.ID, ev.State)
		}
	case OnDetach:
		m.told[ev.Link]++
		if m.told[ev.Link] > 1 || ev.Link.Live() {
			m.t.Fatal("a link is detached twice")
		}
		l.own = nil
	case OnFlow, OnAnswer:
	default:
		m.t.Fatalf("%v %v", ev.Kind, ev.Error)
	}
}

func payload(n int, id uint32) []byte { return bytes.Repeat([]byte{byte('a' + id%26)}, n) }

// step is one thing that the peer or the caller does.
func (m *model) step() {
	s := rapid.SampledFrom(m.sessions).Draw(m.t, "session")
	l := rapid.SampledFrom(s.links).Draw(m.t, "link")
	if l.own == nil { // it is detached
		if l.asked {
			m.attach(l)
		}
		m.turn()
		return
	}
	switch rapid.IntRange(0, 11).Draw(m.t, "what") {
	case 0, 1, 2:
		if l.sends {
			m.deliver(l)
		} else {
			m.grant(l)
		}
	case 3, 4, 5:
		m.caller(l)
	case 6:
		if l.sends {
			m.peerSettles(l)
		} else {
			m.outcome(l)
		}
	case 7: // the session's window
		s.windowUpTo = s.nextIn + rapid.Uint32Range(0, 9).Draw(m.t, "window")
		m.send(s, w.Flow{NextIncomingID: w.Some(s.nextIn), IncomingWindow: s.windowUpTo - s.nextIn, NextOutgoingID: s.nextID, Echo: rapid.Bool().Draw(m.t, "echo")})
		m.turn() // a window is made narrower only when the machine has heard of it
	case 8:
		m.peerDetaches(l)
	case 9:
		if rapid.IntRange(0, 3).Draw(m.t, "rarely") == 0 {
			m.c.Start(m.now, nil)
			l.own.Detach(nil)
			m.finish()
		}
	default:
		m.now = m.now.Add(time.Second)
		m.turn()
	}
}

func (m *model) finish() {
	out, _ := m.c.Finish()
	m.read(out)
	m.turn()
}

// deliver sends the next frame of a delivery, or begins one.
func (m *model) deliver(l *modelLink) {
	if l.detached || l.s.window == 0 {
		return
	}
	if len(l.frames) == 0 {
		if l.count == l.limit {
			return
		}
		id := l.s.delivery
		l.s.delivery++
		l.count++
		l.id = id
		l.delivery = payload(rapid.IntRange(0, 300).Draw(m.t, "size"), id)
		t := w.Transfer{Handle: l.handle, DeliveryID: w.Some(id), Tag: []byte(fmt.Sprint(id)), More: true}
		settled := rapid.IntRange(0, 4).Draw(m.t, "settled") == 0
		aborted := rapid.IntRange(0, 6).Draw(m.t, "aborted") == 0
		rest := l.delivery
		for range rapid.IntRange(0, 3).Draw(m.t, "parts") {
			n := rapid.IntRange(0, len(rest)).Draw(m.t, "part")
			t.Payload, rest = rest[:n], rest[n:]
			l.frames = append(l.frames, t)
			t.DeliveryID, t.Tag = w.Opt[uint32]{}, nil
		}
		t.Payload, t.More, t.Aborted, t.Settled = rest, false, aborted, w.Opt[bool]{V: settled, Set: settled}
		l.frames = append(l.frames, t)
	}
	t := l.frames[0]
	l.frames = l.frames[1:]
	l.s.window--
	l.s.nextID++
	m.send(l.s, t)
	if t.More || t.Aborted {
		return
	}
	l.expected = append(l.expected, l.delivery)
	if !t.Settled.V {
		l.unsettled[l.id] = false
	}
}

// grant gives the machine credit, and a window.
func (m *model) grant(l *modelLink) {
	if l.detached {
		return
	}
	credit := rapid.Uint32Range(0, 6).Draw(m.t, "credit")
	if before(l.count+credit, l.limit) && rapid.Bool().Draw(m.t, "no less") {
		return
	}
	l.limit, l.drain = l.count+credit, rapid.IntRange(0, 4).Draw(m.t, "drain") == 0
	s := l.s
	s.windowUpTo = s.nextIn + rapid.Uint32Range(0, 20).Draw(m.t, "window")
	m.send(s, w.Flow{
		NextIncomingID: w.Some(s.nextIn), IncomingWindow: s.windowUpTo - s.nextIn, NextOutgoingID: s.nextID,
		Handle: w.Some(l.handle), DeliveryCount: w.Some(l.count), LinkCredit: w.Some(credit), Drain: l.drain,
	})
	m.turn() // a grant is taken back only when the machine has heard of it
}

// caller does what the caller of the machine may do.
func (m *model) caller(l *modelLink) {
	m.c.Start(m.now, nil)
	if !l.sends {
		room := l.own.Room()
		for range rapid.IntRange(0, room).Draw(m.t, "messages") {
			id := l.s.own.nextDelivery
			_, err := l.own.Send(Message{Tag: []byte("tag"), Payload: payload(rapid.IntRange(0, 2000).Draw(m.t, "size"), id)})
			if err != nil {
				m.t.Fatalf("room for %d: %v", room, err)
			}
		}
		if rapid.Bool().Draw(m.t, "drained") {
			l.own.Drained()
		}
		m.finish()
		return
	}
	switch rapid.IntRange(0, 3).Draw(m.t, "how") {
	case 0:
		l.own.Allow(rapid.Uint32Range(0, 8).Draw(m.t, "allow"))
	case 1:
		n := rapid.IntRange(0, len(l.open)).Draw(m.t, "oldest")
		if got := l.own.SettleOldest(n, w.Accepted{}); got != n {
			m.t.Fatalf("settled %d of %d", got, n)
		}
		l.open = l.open[n:]
	case 2:
		if n := len(l.open); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(m.t, "one")
			settle := l.own.Settle
			if rapid.Bool().Draw(m.t, "now") {
				settle = l.own.SettleNow
			}
			settle(l.open[i], w.Released{})
			l.open = append(l.open[:i:i], l.open[i+1:]...)
		}
	case 3:
		if n := len(l.open); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(m.t, "from")
			l.own.SettleRange(l.open[i], l.open[n-1]+100, w.Rejected{Error: &w.Error{Condition: w.CondInvalidField}})
			l.open = l.open[:i]
		}
	}
	m.finish()
}

// peerSettles: a sender settles what the machine has told an outcome of.
func (m *model) peerSettles(l *modelLink) {
	for _, id := range slices.Sorted(maps.Keys(l.unsettled)) {
		if l.unsettled[id] {
			m.send(l.s, w.Disposition{Role: w.RoleSender, First: id, Last: id, Settled: true})
			delete(l.unsettled, id)
		}
	}
}

// outcome: a receiver tells outcomes, of a range that holds more than it has.
func (m *model) outcome(l *modelLink) {
	if len(l.unsettled) == 0 || l.detached {
		return
	}
	first, last := l.s.nextOwn, l.s.nextOwn-1000
	for _, other := range l.s.links {
		if other.sends {
			continue
		}
		for id := range other.unsettled {
			if before(id, first) {
				first = id
			}
			if before(last, id) {
				last = id
			}
		}
	}
	// A link with mode second cannot settle by itself; its peer waits for our word.
	settled := true
	for _, other := range l.s.links {
		settled = settled && (other.sends || !other.second || len(other.unsettled) == 0)
	}
	if settled {
		for _, other := range l.s.links {
			if !other.sends {
				clear(other.unsettled)
			}
		}
	}
	m.send(l.s, w.Disposition{Role: w.RoleReceiver, First: first, Last: last, Settled: settled, State: w.Accepted{}})
	m.turn()
}

func (m *model) peerDetaches(l *modelLink) {
	if rapid.IntRange(0, 3).Draw(m.t, "rarely") > 0 || l.detached {
		return
	}
	m.send(l.s, w.Detach{Handle: l.handle, Closed: true})
	l.detached = true
	m.turn()
}

// settleDown lets everything come to its end, and sees that nothing is left.
func (m *model) settleDown() {
	m.turn()
	for range 4 {
		for _, s := range m.sessions {
			s.windowUpTo = s.nextIn + 1000
			m.send(s, w.Flow{NextIncomingID: w.Some(s.nextIn), IncomingWindow: 1000, NextOutgoingID: s.nextID})
			for _, l := range s.links {
				m.turn()
				if l.own == nil {
					continue
				}
				for l.sends && len(l.frames) > 0 {
					m.deliver(l)
					m.turn()
				}
				if !l.sends {
					m.outcome(l)
					continue
				}
				m.c.Start(m.now, nil)
				l.own.SettleOldest(1000, w.Accepted{})
				l.open = nil
				m.finish()
				m.peerSettles(l)
				m.turn()
			}
		}
	}
	for _, s := range m.sessions {
		for _, l := range s.links {
			if l.own != nil && (l.own.Unsettled() > 0 || len(l.unsettled) > 0 || len(l.expected) > 0) {
				m.t.Fatalf("link %d/%d: %d unsettled, the peer has %v and expects %d", s.channel, l.handle, l.own.Unsettled(), l.unsettled, len(l.expected))
			}
		}
	}
	if m.c.heldBytes+m.c.assembled > 0 {
		m.t.Fatalf("held %d, assembled %d", m.c.heldBytes, m.c.assembled)
	}
}
