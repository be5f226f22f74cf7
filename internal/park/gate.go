package park

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// gate bounds the peers that are not yet authenticated, all together and per address,
// so that strangers cannot use up what the hub's devices need.
type gate struct {
	// fixed

	places     chan struct{} // holds one token for each place taken
	perAddress int

	// guarded by mu

	mu     sync.Mutex
	from   map[netip.Addr]int // never more entries than places
	inside map[*stranger]struct{}
}

func newGate(places, perAddress int) *gate {
	return &gate{
		places: make(chan struct{}, places), perAddress: perAddress,
		from: make(map[netip.Addr]int), inside: make(map[*stranger]struct{}),
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

// enter counts st, who has a place, against its address. It reports false, and gives the
// place back, if there are too many from there.
func (g *gate) enter(st *stranger) bool {
	st.addr = network(st.addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[st.addr] >= g.perAddress {
		g.free()
		return false
	}
	g.from[st.addr]++
	g.inside[st] = struct{}{}
	return true
}

// leave gives back what st has, once.
func (g *gate) leave(st *stranger) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, here := g.inside[st]; !here {
		return
	}
	delete(g.inside, st)
	if g.from[st.addr]--; g.from[st.addr] == 0 {
		delete(g.from, st.addr)
	}
	g.free()
}

// slow gives those who have let us wait for longer than pressedFor.
func (g *gate) slow(now time.Time) (slow []*stranger) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for st := range g.inside {
		if st.letWait(now) >= pressedFor && st.end != nil {
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
