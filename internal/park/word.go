package park

import "sync/atomic"

// word is who owns a parked connection, and what has happened to it, in one atomic: who
// sets a bit and finds no owner starts one, and an owner leaves only by a compare-and-swap
// to zero. So there is at most one owner at a time, and none without work.
type word struct{ bits atomic.Uint32 }

// The bits of a word.
const (
	running  uint32 = 1 << iota // there is an owner
	readable                    // the socket may have input
	hungUp                      // its end may be behind the input
	writable                    // it may take output again; only an owner who waits cares
	woken                       // Wake was called
	expired                     // the sweep came by
	stopping                    // the lot shuts down: say goodbye
	cut                         // end at once, without last words
)

// set adds bits and reports whether there is an owner who will see them. If not, the
// caller has become the owner, unless there is nothing to do for one.
func (w *word) set(bits uint32) (owned, mine bool) {
	for {
		old := w.bits.Load()
		next := old | bits
		owned, mine = old&running != 0, old&running == 0 && bits&^writable != 0
		if mine {
			next |= running
		}
		if w.bits.CompareAndSwap(old, next) {
			return owned, mine
		}
	}
}

// take gives the owner what has happened.
func (w *word) take() uint32 { return w.bits.Swap(running) &^ running }

// peek gives what has happened, and leaves it there.
func (w *word) peek() uint32 { return w.bits.Load() &^ running }

// clear takes some bits only.
func (w *word) clear(bits uint32) { w.bits.And(^bits) }

// leave ends the ownership, unless something has happened meanwhile.
func (w *word) leave() bool {
	for {
		old := w.bits.Load()
		if old&^(running|writable) != 0 {
			return false
		}
		if w.bits.CompareAndSwap(old, 0) {
			return true
		}
	}
}
