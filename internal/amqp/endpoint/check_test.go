package endpoint

import (
	"fmt"
)

// check compares what the machine counts with what it holds; it must be true between
// turns whatever a peer does.
func check(c *Conn) error {
	links, unsettled, assembled, heldBytes, owed := 0, 0, 0, 0, 0
	if len(c.sessions) > c.limits.sessions+refusals {
		return fmt.Errorf("%d sessions", len(c.sessions))
	}
	if len(c.dirty) > 0 || len(c.flows) > 0 {
		return fmt.Errorf("%d sessions and %d links are still dirty", len(c.dirty), len(c.flows))
	}
	outs := map[uint16]bool{}
	for i, s := range c.sessions {
		switch {
		case s.index != i || c.channels[s.in] != s || s.phase == sessionGone:
			return fmt.Errorf("session %d is not where it should be", s.in)
		case outs[s.out] || s.out > c.peerChannels:
			return fmt.Errorf("channel %d of ours", s.out)
		case s.phase == sessionEnding:
			owed++
			if len(s.links) > 0 && len(c.reports) == 0 {
				return fmt.Errorf("session %d ended and has links", s.in)
			}
			continue
		}
		outs[s.out] = true
		if !s.windAt.IsZero() {
			owed++
		}
		owed += s.unheard
		n, err := checkSession(s)
		if err != nil {
			return fmt.Errorf("session %d: %w", s.in, err)
		}
		unsettled += n
		if s.held != nil {
			heldBytes += len(s.held.payload)
		}
		for _, l := range s.links {
			links++
			if l.partial != nil {
				assembled += len(l.partial.payload)
			}
		}
	}
	if len(c.channels) != len(c.sessions) && c.phase == phaseUp {
		return fmt.Errorf("%d channels, %d sessions", len(c.channels), len(c.sessions))
	}
	if len(c.reports) == 0 {
		if got, want := [...]int{c.links, c.unsettled, c.assembled, c.heldBytes, c.owed}, [...]int{links, unsettled, assembled, heldBytes, owed}; got != want {
			return fmt.Errorf("links, unsettled, assembled, held, owed are counted as %v and are %v", got, want)
		}
	}
	if c.assembled > c.limits.assembly || c.heldBytes > maxHeld+MaxMessageSize || c.unsettled > maxUnsettledAll || c.links > c.limits.links+refusals {
		return fmt.Errorf("beyond the limits: assembled %d, held %d, unsettled %d, links %d", c.assembled, c.heldBytes, c.unsettled, c.links)
	}
	return nil
}

func checkSession(s *Session) (sent int, err error) {
	unheard := 0
	if h := s.held; h != nil && (s.outgoing > 0 || !h.link.up() || len(h.payload) == 0) {
		return 0, fmt.Errorf("something is held back that should not")
	}
	counts, outs, names := map[*Link]uint32{}, map[uint32]bool{}, map[name]bool{}
	for _, u := range []*unsettled{&s.received, &s.sent} {
		if err := checkTable(u, counts); err != nil {
			return 0, err
		}
	}
	for i, l := range s.links {
		if l.index != i || s.byIn.get(l.in) != l || outs[l.out] || l.out > s.handles {
			return 0, fmt.Errorf("link %d is not where it should be", l.in)
		}
		outs[l.out] = true
		if l.phase == linkDetaching {
			unheard++
			if l.unsettled != 0 || l.partial != nil || l.asked != nil {
				return 0, fmt.Errorf("link %d is detached and holds something", l.in)
			}
			continue
		}
		key := name{l.name, l.role}
		if names[key] || s.named(l.name, l.role) != l {
			return 0, fmt.Errorf("link %d: the name is not unique or not known", l.in)
		}
		names[key] = true
		if l.unsettled != counts[l] || l.unsettled > maxUnsettled {
			return 0, fmt.Errorf("link %d counts %d unsettled and has %d", l.in, l.unsettled, counts[l])
		}
		delete(counts, l)
	}
	if s.byName.all != nil && len(s.byName.all) != len(names) {
		return 0, fmt.Errorf("%d names are known of %d", len(s.byName.all), len(names))
	}
	if len(counts) > 0 || unheard != s.unheard {
		return 0, fmt.Errorf("unheard %d is %d, strangers %d", s.unheard, unheard, len(counts))
	}
	if s.incoming < incomingWindow/2 {
		return 0, fmt.Errorf("the window is %d", s.incoming)
	}
	return s.sent.live(), nil
}

func checkTable(u *unsettled, counts map[*Link]uint32) error {
	gone, due := 0, 0
	for i := range u.n {
		e := u.at(i)
		if i > 0 && !before(u.at(i-1).id, e.id) {
			return fmt.Errorf("delivery %d behind %d", e.id, u.at(i-1).id)
		}
		switch {
		case e.link == nil:
			gone++
			continue
		case e.phase == entryDue || e.phase == entryDueHalf:
			due++
		}
		counts[e.link]++
	}
	switch {
	case gone != u.gone || due != u.due:
		return fmt.Errorf("gone %d is %d, due %d is %d", u.gone, gone, u.due, due)
	case due != 0:
		return fmt.Errorf("%d outcomes were not told", due)
	case u.n > 0 && u.at(0).link == nil:
		return fmt.Errorf("what is gone is at the head")
	}
	return nil
}
