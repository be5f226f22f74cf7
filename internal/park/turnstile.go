package park

import "sync"

// turnstile lets a few handshakes compute at a time, so that a storm of them does not
// stand between established connections and the processor. Who waits for its peer has
// left: silence takes nobody's turn. But it keeps its seat, of which there are more: a
// handshake that has begun holds far more memory than a peer that has not. Turns are given
// first come, first served, those in the middle of a handshake before those who begin.
type turnstile struct {
	// guarded by mu

	mu    sync.Mutex
	free  int // turns
	seats int // handshakes that may still begin
	queue [2][]chan struct{}
}

// pass says who wants a turn.
type pass int

const (
	again pass = iota // a handshake that has a seat
	first             // one that begins
)

// line gives what to wait for, nil if that is nothing, and whether there is no seat.
func (t *turnstile) line(p pass) (turn chan struct{}, full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 && (p == again || t.seats > 0) {
		t.take(p)
		return nil, false
	}
	turn = make(chan struct{})
	t.queue[p] = append(t.queue[p], turn)
	return turn, t.seats == 0
}

// take takes a turn, and a seat for who begins; mu is held.
func (t *turnstile) take(p pass) {
	t.free--
	if p == first {
		t.seats--
	}
}

// leave ends a turn of somebody who will be back.
func (t *turnstile) leave() { t.give(0) }

// done ends a turn of somebody who will not.
func (t *turnstile) done() { t.give(1) }

// give takes back a turn, and seats, and lets those in who are next.
func (t *turnstile) give(seats int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	t.seats += seats
	for p := range t.queue {
		for len(t.queue[p]) > 0 && t.free > 0 && (pass(p) == again || t.seats > 0) {
			close(t.queue[p][0])
			t.queue[p] = t.queue[p][1:]
			t.take(pass(p))
		}
	}
}

// full reports whether somebody waits for a seat.
func (t *turnstile) full() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seats == 0 && len(t.queue[first]) > 0
}
