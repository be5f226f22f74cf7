package mqtt

import (
	"context"
	"net/netip"
	"sync"
)

// gate bounds the peers that are not yet authenticated, all together and per address,
// so that strangers cannot use up what the hub's devices need.
type gate struct {
	// fixed

	places     chan struct{} // holds one token for each place taken
	perAddress int

	// guarded by mu

	mu   sync.Mutex
	from map[netip.Addr]int // never more entries than places
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

// free gives a place back.
func (g *gate) free() { <-g.places }

// enter counts a peer that has a place against its address. leave, which may be called
// more than once, gives back both; without ok the place is given back already.
func (g *gate) enter(addr netip.Addr) (leave func(), ok bool) {
	addr = network(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[addr] >= g.perAddress {
		g.free()
		return nil, false
	}
	g.from[addr]++
	return sync.OnceFunc(func() { g.leave(addr) }), true
}

func (g *gate) leave(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[addr]--; g.from[addr] == 0 {
		delete(g.from, addr)
	}
	g.free()
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
