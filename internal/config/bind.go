package config

import "net/netip"

// Listener is one address to listen at.
type Listener struct {
	Addr netip.Addr
	// Optional: the machine may not have the address, and the hub starts without it.
	Optional bool
}

// Listeners gives the addresses to listen at: those of Bind, or loopback: 127.0.0.1,
// and ::1 where the machine has IPv6, because "localhost" may mean either. Addresses
// that Check refuses are left out.
func (c Config) Listeners() []Listener {
	if len(c.Bind) == 0 {
		return []Listener{
			{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})},
			{Addr: netip.IPv6Loopback(), Optional: true},
		}
	}
	var all []Listener
	for _, text := range c.Bind {
		if addr, err := netip.ParseAddr(text); err == nil {
			all = append(all, Listener{Addr: addr})
		}
	}
	return all
}
