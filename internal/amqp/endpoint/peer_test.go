package endpoint

import (
	"bytes"

	w "github.com/berth-iot/berth/internal/amqpwire"
)

// read is the peer reading what the machine wrote.
func (m *model) read(b []byte) {
	if _, n, err := w.SplitProto(b); err == nil {
		b = b[n:]
	}
	for len(b) > 0 {
		f, n, err := w.Split(b, m.frame)
		if err != nil {
			m.t.Fatal(err)
		}
		b = b[n:]
		p, err := f.Decode()
		if err != nil {
			m.t.Fatal(err)
		}
		var s *modelSession
		for _, x := range m.sessions {
			if x.channel == f.Channel {
				s = x
			}
		}
		switch p := p.(type) {
		case w.Open:
		case w.Begin:
			s.window = p.IncomingWindow
		case w.Attach:
		case w.Flow:
			m.readFlow(s, p)
		case w.Transfer:
			m.readTransfer(s, p)
		case w.Disposition:
			m.readDisposition(s, p)
		case w.Detach:
			l := s.link(p.Handle)
			if !l.detached {
				m.send(s, w.Detach{Handle: p.Handle, Closed: true})
			}
			l.detached, l.asked = true, true
		default:
			m.t.Fatalf("%T %v", p, p)
		}
	}
}

func (s *modelSession) link(handle uint32) *modelLink {
	for _, l := range s.links {
		if l.handle == handle {
			return l
		}
	}
	return nil
}

func (m *model) readFlow(s *modelSession, f w.Flow) {
	s.window = f.NextIncomingID.V + f.IncomingWindow - s.nextID
	if !f.Handle.Set {
		return
	}
	l := s.link(f.Handle.V)
	if l.detached {
		return
	}
	if l.sends {
		l.limit = f.DeliveryCount.V + f.LinkCredit.V
		return
	}
	if l.drain && f.LinkCredit.V == 0 {
		l.count = f.DeliveryCount.V
	}
	if f.DeliveryCount.V+f.LinkCredit.V != l.limit && !f.Drain {
		m.t.Fatalf("credit up to %d is said to be up to %d", l.limit, f.DeliveryCount.V+f.LinkCredit.V)
	}
}

func (m *model) readTransfer(s *modelSession, t w.Transfer) {
	if s.nextIn == s.windowUpTo {
		m.t.Fatal("a transfer beyond the peer's window")
	}
	s.nextIn++
	l := s.link(t.Handle)
	if t.DeliveryID.Set {
		if t.DeliveryID.V != s.nextOwn {
			m.t.Fatalf("delivery-id %d, want %d", t.DeliveryID.V, s.nextOwn)
		}
		s.nextOwn++
		if !l.detached && l.count == l.limit {
			m.t.Fatal("a delivery beyond the peer's credit")
		}
		l.count++
		l.delivery, l.id = nil, t.DeliveryID.V
		if !t.Settled.V {
			l.unsettled[t.DeliveryID.V] = false
		}
	}
	l.delivery = append(l.delivery, t.Payload...)
	if !t.More && !bytes.Equal(l.delivery, payload(len(l.delivery), l.id)) {
		m.t.Fatal("a delivery is not what was sent")
	}
}

// readDisposition: each delivery is told one outcome.
func (m *model) readDisposition(s *modelSession, d w.Disposition) {
	for _, l := range s.links {
		if l.detached || l.sends != (d.Role == w.RoleReceiver) {
			continue
		}
		for id, said := range l.unsettled {
			if before(id, d.First) || before(d.Last, id) {
				continue
			}
			switch {
			case !d.Settled && said:
				m.t.Fatalf("delivery %d is told two outcomes", id)
			case d.Settled != (!l.second || !l.sends):
				m.t.Fatalf("settled is %v", d.Settled)
			case d.Settled:
				delete(l.unsettled, id)
			default:
				l.unsettled[id] = true
			}
		}
	}
}
