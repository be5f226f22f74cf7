package park

import (
	"cmp"
	"errors"
	"net"
	"os"
	"runtime"
	"time"
)

// parked is a conversation that needs no goroutine: what it holds between two owners. It
// is the stage of a socket that is in use.
type parked struct {
	dialog

	// owned by the owner

	kept   []byte // unread input: an incomplete packet, or what came while paused
	unread bool   // a read may bring something
	due    bool   // a turn is due, whatever a read brings
	until  int64  // when the last turns are over; 0: they have not begun
}

// desk is what an owner borrows.
type desk struct {
	turn  Turn
	tray  tray
	input []byte // for TLS to read into; nil: it has it, or will not give it back
}

func newDesk() any { return &desk{tray: tray{home: make([]byte, bigBuffer)}} }

// lend lends what TLS reads into.
func (d *desk) lend(s *socket, nc net.Conn) {
	if d.input == nil {
		d.input = make([]byte, lentInput)
	}
	if s.lot.lender.lend(nc, d.input) {
		d.input = nil
	}
}

// reclaim takes it back.
func (d *desk) reclaim(s *socket, nc net.Conn) {
	if taken := s.lot.lender.reclaim(nc); cap(taken) >= lentInput && cap(taken) <= 2*lentInput {
		d.input = taken[:cap(taken)]
	}
}

// clear makes a desk ready for somebody else.
func (d *desk) clear() {
	if cap(d.turn.Out) > deskOut {
		d.turn.Out = nil
	}
	*d = desk{turn: Turn{Out: d.turn.Out[:0]}, tray: tray{home: d.tray.home}, input: d.input}
}

// park gives the socket of c to conv. It is called by the socket's owner, who goes on
// with the first turn when it comes back to own.
func (s *socket) park(c *Conn, conv Conversation, leftover []byte) {
	p := &parked{dialog: dialog{c: c, conv: conv}, unread: true, due: true}
	p.kept = append(p.kept, leftover...)
	s.stage, s.parked = p, true
}

// step takes turns until there is nothing to do.
func (p *parked) step(s *socket, bits uint32) bool {
	if s.guest != nil { // not admitted yet
		s.guest.settle(time.Now())
	}
	if p.note(s, bits); !p.busy(s) {
		p.rest(s)
		return false
	}
	d := s.lot.desks.Get().(*desk) // the pool holds nothing else
	d.tray.begin(p.kept)
	d.lend(s, p.c.nc)
	why := p.work(s, d)
	if !p.unread {
		d.reclaim(s, p.c.nc)
	}
	if why == nil {
		p.kept = d.tray.keep(p.kept)
		p.rest(s)
	} else {
		p.end(s, d, why)
	}
	d.clear()
	s.lot.desks.Put(d)
	if why == nil {
		return false
	}
	return s.stage == nil || s.stage.step(s, s.take())
}

// note takes in what has happened.
func (p *parked) note(s *socket, bits uint32) {
	if bits&cut != 0 && p.written == nil {
		p.written = net.ErrClosed
	}
	if bits&(readable|hungUp) != 0 {
		p.unread = true
	}
	if bits&woken != 0 {
		p.woken, p.due = true, true
	}
	if bits&stopping != 0 && !p.stopping {
		p.stop()
		p.due, p.until = true, s.lot.now()+int64(stopGrace)
	}
}

// busy reports whether there is anything to do.
func (p *parked) busy(s *socket) bool {
	return p.due || p.unread && p.mayRead() || p.written != nil || p.late(s)
}

// late reports whether a deadline has passed.
func (p *parked) late(s *socket) bool {
	if p.stopping {
		return s.lot.now() >= p.until
	}
	if s.guest != nil && !time.Now().Before(s.guest.until) {
		p.written = os.ErrDeadlineExceeded // its time is over, whatever it waits for
		return true
	}
	return !p.deadline.IsZero() && s.lot.now() >= s.lot.at(p.deadline)
}

// work reads and takes turns until there is nothing left to do, or something ends the
// connection.
func (p *parked) work(s *socket, d *desk) error {
	for {
		if late := p.late(s); p.written != nil || p.stopping && late {
			return cmp.Or(p.written, ErrShutdown)
		}
		if err := p.fill(s, &d.tray); err != nil {
			return err
		}
		if !p.due && !p.late(s) {
			return nil
		}
		p.due = false
		err := p.turn(&d.turn, d.tray.unread())
		d.tray.consume(d.turn.Used)
		if p.written = p.c.write(d.turn.Now, d.turn.Out); err == nil {
			err = p.written
		}
		if err != nil {
			return err
		}
		if why := p.done(len(d.tray.unread())); why != nil {
			return why
		}
		if p.due = p.more; p.more || p.unread && p.mayRead() {
			runtime.Gosched() // others first
		}
		p.note(s, s.take())
	}
}

// fill reads while there is something, and room for it. While the conversation has not
// handled what it has, no more than a buffer is read ahead.
func (p *parked) fill(s *socket, t *tray) error {
	if !p.unread || !p.mayRead() || p.more && len(t.unread()) >= bigBuffer/2 {
		return nil
	}
	room, err := t.room(s.lot.cfg.MaxPacket)
	if err != nil {
		return err
	}
	now := time.Now()
	s.writeBy.Store(s.lot.at(now.Add(s.lot.cfg.WriteTimeout))) // reading writes, if the peer asks for new keys
	for len(room) > 0 {
		n, err := p.c.nc.Read(room)
		if n > 0 {
			p.due = true
			t.landed(n)
			room = room[n:]
			p.c.meter.In(now, n)
		}
		if err != nil {
			p.unread = false
			p.missed(err)
			break
		}
	}
	return nil
}

// missed notes why a read brought nothing: there is nothing now, or nothing will come.
func (p *parked) missed(err error) {
	if !errors.Is(err, errNothing) {
		p.due, p.met = true, err
	}
}

// rest prepares for having no owner.
func (p *parked) rest(s *socket) {
	if p.stopping {
		s.wakeAt(p.until)
	} else {
		s.wakeAt(s.lot.at(p.deadline))
	}
	if s.guest != nil {
		s.guest.waits()
		s.wakeAt(s.lot.at(s.guest.until))
	}
}

// end ends the conversation. What is then left to do with the peer is the next stage, none
// if that is nothing.
func (p *parked) end(s *socket, d *desk, why error) {
	watch, how := p.finish(why, d.tray.unread())
	p.kept, s.stage = nil, nil
	switch {
	case watch != nil:
		watch.s, watch.until = s, s.lot.at(watch.shut.Add(probeFor))
		s.lot.lookout.enter(watch)
		s.stage = watch
	case how == linger:
		s.linger(p.c)
	case how == abort:
		_ = s.Close()
		s.lot.left(p.c)
	default:
		_ = p.c.nc.Close()
		s.lot.left(p.c)
	}
}

// linger waits for the peer's own close, without a goroutine.
func (s *socket) linger(c *Conn) {
	s.stage, s.parked = &lingering{c: c, left: lingerBytes, until: s.lot.now() + int64(lingerFor)}, true
	s.input = true
}

// lingering waits for the peer's own close after ours, without a goroutine: closing with
// unread input would make the kernel send a reset, which can overtake our last words.
type lingering struct {
	c     *Conn
	left  int
	until int64
}

func (g *lingering) step(s *socket, bits uint32) bool {
	d := s.lot.desks.Get().(*desk) // the pool holds nothing else
	defer s.lot.desks.Put(d)
	for bits&cut == 0 && g.left > 0 {
		n, err := s.Read(d.tray.home) // what TLS would make of it is of no interest
		g.left -= n
		if errors.Is(err, errNothing) && s.lot.now() < g.until {
			s.wakeAt(g.until)
			return false
		}
		if err != nil {
			break
		}
	}
	_ = s.Close()
	s.lot.left(g.c)
	return true
}
