// Package arbiter decides who may speak for an identity. It is a value with a step
// function: events go in, actions come out, and the same code serves one node and
// many.
//
// Its one invariant: of all the epochs that one State was told of, at most one is
// granted and not fenced, and it is the greatest. It refuses to know a clock, a
// store, a session or a network: presence performs the actions and feeds back what
// it sees.
package arbiter

import "time"

// State is what one node knows of one identity. The zero State is ready: nobody
// holds the identity.
type State struct {
	floor Epoch     // the greatest epoch known; lesser ones are fenced on the spot
	held  Epoch     // this node's holder, zero if none
	until time.Time // the end of held's lease, zero if it has none
}

// Held gives the epoch that this node's sessions hold, zero if none.
func (s *State) Held() Epoch { return s.held }

// Holds reports whether e may act at now. It is the inline check of a node that could
// not renew its lease and whose Tick has not come yet.
func (s *State) Holds(e Epoch, now time.Time) bool {
	return !e.IsZero() && s.held == e && !s.lapsed(now)
}

func (s *State) lapsed(now time.Time) bool { return !s.until.IsZero() && !now.Before(s.until) }

// Step takes one event at now and gives the actions that follow, to be performed in
// order. A lease that has ended by now ends first, whatever the event.
func (s *State) Step(now time.Time, ev Event) []Action {
	var out []Action
	if !s.held.IsZero() && s.lapsed(now) {
		out = s.end(out, Fence{Cause: Lapsed})
	}
	switch ev := ev.(type) {
	case Claim:
		return s.claim(now, out, ev)
	case Release:
		return s.release(out, ev.Epoch)
	case Alive:
		return s.alive(out, ev)
	case Tick:
		if !s.held.IsZero() && !s.until.IsZero() { // it came early
			out = append(out, Arm{At: s.until})
		}
	case Seen:
		return s.seen(out, ev)
	case Revoke:
		if !s.held.IsZero() {
			out = s.end(out, Fence{Cause: ev.Cause})
		}
	}
	return out
}

// claim grants the epoch if it is the greatest known and its lease has not ended.
func (s *State) claim(now time.Time, out []Action, ev Claim) []Action {
	e := ev.Epoch
	switch {
	case e == s.floor:
		return out // an epoch is granted once
	case !s.floor.Less(e):
		// Slower than a newcomer that came after it: fenced before it ever acted.
		return append(out, Fence{Epoch: e, Cause: TakenOver, By: s.floor})
	}
	if out == nil {
		out = make([]Action, 0, 4)
	}
	switch {
	case !s.held.IsZero():
		out = s.end(out, Fence{Cause: TakenOver, By: e})
	case !ev.After.IsZero():
		out = append(out, Announce{Epoch: ev.After})
	}
	s.floor = e
	if !ev.Until.IsZero() && !now.Before(ev.Until) {
		// The answer took so long that the store may have given the identity away.
		return append(out, Fence{Epoch: e, Cause: Lapsed})
	}
	s.held, s.until = e, ev.Until
	out = append(out, Grant{Epoch: e}, Announce{Epoch: e, Online: true})
	if !ev.Until.IsZero() {
		out = append(out, Arm{At: ev.Until})
	}
	return out
}

// release forgets e if it holds; a late goodbye changes nothing.
func (s *State) release(out []Action, e Epoch) []Action {
	if e == s.held && !e.IsZero() {
		s.held, s.until = Epoch{}, time.Time{}
		out = append(out, Announce{Epoch: e})
	}
	return out
}

// alive extends the lease of the holder. A lease that has ended is not revived: the
// store may have given the identity away since.
func (s *State) alive(out []Action, ev Alive) []Action {
	if ev.Epoch.IsZero() || ev.Epoch != s.held || !s.until.Before(ev.Until) {
		return out
	}
	s.until = ev.Until
	return append(out, Arm{At: ev.Until})
}

// seen gives way to another node's newcomer.
func (s *State) seen(out []Action, ev Seen) []Action {
	if !s.floor.Less(ev.Epoch) {
		return out
	}
	s.floor = ev.Epoch
	if !s.held.IsZero() {
		out = s.end(out, Fence{Cause: TakenOver, By: ev.Epoch, Node: ev.Node})
	}
	return out
}

// end fences the holder and announces it offline.
func (s *State) end(out []Action, why Fence) []Action {
	why.Epoch = s.held
	s.held, s.until = Epoch{}, time.Time{}
	return append(out, why, Announce{Epoch: why.Epoch})
}
