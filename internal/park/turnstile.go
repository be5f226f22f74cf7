package park

import "sync"

// turnstile lets a few handshakes compute at a time, so that a storm of them does not
// stand between established connections and the processor. Who waits for its peer has
// left: silence takes nobody's place. Turns are given first come, first served, those in
// the middle of a handshake before those who begin.
type turnstile struct {
	// guarded by mu

	mu    sync.Mutex
	free  int
	queue [2][]chan struct{} // by pass
}

// pass says who wants a turn.
type pass int

const (
	again pass = iota
	first
)

// enter waits for a turn.
func (t *turnstile) enter(p pass) {
	if turn := t.line(p); turn != nil {
		<-turn
	}
}

// line gives what to wait for, nil if that is nothing.
func (t *turnstile) line(p pass) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		return nil
	}
	turn := make(chan struct{})
	t.queue[p] = append(t.queue[p], turn)
	return turn
}

// leave gives the turn to the next.
func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.queue {
		if q := t.queue[p]; len(q) > 0 {
			close(q[0])
			t.queue[p] = q[1:]
			return
		}
	}
	t.free++
}
