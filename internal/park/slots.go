package park

import "sync"

// key names a socket to the system and to the sweep: a slot, and its generation, because
// descriptors and slots are used again at once, and news of the last user may be under way.
type key struct{ slot, generation uint32 }

// slots are the sockets of a lot.
type slots struct {
	// guarded by mu

	mu   sync.Mutex
	all  []slot
	free []uint32
}

type slot struct {
	s          *socket // nil: free
	generation uint32
}

// enter gives s a key.
func (t *slots) enter(s *socket) key {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		t.all[i].s = s
		return key{i, t.all[i].generation}
	}
	t.all = append(t.all, slot{s: s})
	return key{slot: uint32(len(t.all) - 1)}
}

// leave takes back a key: from now on it names nobody.
func (t *slots) leave(k key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := &t.all[k.slot]; e.generation == k.generation && e.s != nil {
		e.s, e.generation = nil, e.generation+1
		t.free = append(t.free, k.slot)
	}
}

// find gives whom each happening is for; nil for those who have left.
func (t *slots) find(hs []happening, found []*socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, h := range hs {
		found[i] = t.of(h.k)
	}
}

// of gives the socket of a key, or nil; mu is held.
func (t *slots) of(k key) *socket {
	if int(k.slot) >= len(t.all) || t.all[k.slot].generation != k.generation {
		return nil
	}
	return t.all[k.slot].s
}

// here gives everybody who is here now.
func (t *slots) here() []*socket {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*socket, 0, len(t.all)-len(t.free))
	for _, e := range t.all {
		if e.s != nil {
			all = append(all, e.s)
		}
	}
	return all
}
