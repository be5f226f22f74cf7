package park

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// gate bounds the peers that are not yet authenticated, all together and per address,
// so that strangers cannot use up what the hub's devices need. Those of an address that has
// its share inside wait in a line of their own: a socket each, and nothing is read.
type gate struct {
	// fixed

	places     chan struct{} // holds one token for each place taken
	perAddress int
	maxWaiting int

	// guarded by mu

	mu      sync.Mutex
	from    map[netip.Addr]int // never more entries than places
	inside  map[*stranger]struct{}
	lines   map[netip.Addr][]*stranger // the first come first; none is empty, and each one's address has its share inside
	waiting int                        // in all lines
}

func newGate(places, perAddress, maxWaiting int) *gate {
	return &gate{
		places: make(chan struct{}, places), perAddress: perAddress, maxWaiting: maxWaiting,
		from: make(map[netip.Addr]int), inside: make(map[*stranger]struct{}), lines: make(map[netip.Addr][]*stranger),
	}
}

// wait takes a place, as soon as there is one.
func (g *gate) wait(ctx context.Context) error {
	select {
	case g.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try takes a place if there is one.
func (g *gate) try() bool {
	select {
	case g.places <- struct{}{}:
		return true
	default:
		return false
	}
}

// full reports whether there is no place left.
func (g *gate) full() bool { return len(g.places) == cap(g.places) }

// free gives a place back.
func (g *gate) free() { <-g.places }

// entry is what became of a peer at the gate.
type entry int

const (
	refused entry = iota // its place is given back
	entered
	inLine // the same, and begin will be called
)

// enter counts st, who has a place, against its address. If there are too many from there it
// joins their line, unless it cannot wait, or too many do.
func (g *gate) enter(st *stranger) entry {
	st.addr = network(st.addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[st.addr] < g.perAddress {
		g.from[st.addr]++
		g.inside[st] = struct{}{}
		return entered
	}
	g.free()
	if st.begin == nil || g.waiting >= g.maxWaiting {
		return refused
	}
	g.lines[st.addr] = append(g.lines[st.addr], st)
	g.waiting++
	return inLine
}

// leave gives back what st has, once: to the first in its address's line, if there is one.
func (g *gate) leave(st *stranger) {
	if next := g.pass(st); next != nil {
		go next.begin(true)
	}
}

func (g *gate) pass(st *stranger) (next *stranger) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, here := g.inside[st]; !here {
		return nil
	}
	delete(g.inside, st)
	if line := g.lines[st.addr]; len(line) > 0 {
		next = line[0]
		line[0] = nil
		g.put(st.addr, line[1:])
		g.waiting--
		g.inside[next] = struct{}{}
		return next
	}
	if g.from[st.addr]--; g.from[st.addr] == 0 {
		delete(g.from, st.addr)
	}
	g.free()
	return nil
}

// put stores an address's line; mu is held.
func (g *gate) put(addr netip.Addr, line []*stranger) {
	if len(line) == 0 {
		delete(g.lines, addr)
		return
	}
	g.lines[addr] = line
}

// dismiss takes out of the lines those for whom it is over.
func (g *gate) dismiss(over func(*stranger) bool) {
	for _, st := range g.drop(over) {
		st.begin(false)
	}
}

func (g *gate) drop(over func(*stranger) bool) (gone []*stranger) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for addr, line := range g.lines {
		g.put(addr, slices.DeleteFunc(line, func(st *stranger) bool {
			if !over(st) {
				return false
			}
			gone = append(gone, st)
			return true
		}))
	}
	g.waiting -= len(gone)
	return gone
}

// crowded reports whether anybody waits in a line.
func (g *gate) crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting > 0
}

// slow gives those who have let us wait for longer than others should wait for them:
// everybody if all are concerned, or else only those of their own address.
func (g *gate) slow(now time.Time, all bool) (slow []*stranger) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for st := range g.inside {
		waited := st.letWait(now) // 0 until it may be ended
		if (all && waited >= pressedFor || waited >= crowdedFor && len(g.lines[st.addr]) > 0) && st.end != nil {
			slow = append(slow, st)
		}
	}
	return slow
}

// network is what counts as one address: of IPv6 a /64, because one host has all of it.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
