package park

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// stranger is a peer that a Door let in and that has not yet shown who it is. On the
// parked path it is the first stage of its socket, which has no goroutine until there is
// something to read.
type stranger struct {
	// fixed

	door   *Door
	addr   netip.Addr
	until  time.Time // when its time is over
	arrive func()    // takes it through handshake and serve
	left   func()    // called when the socket is another's, or closed
	end    func()    // ends it early; nil: that is not ours to do

	// shared

	since  atomic.Int64 // since when we wait for it, Unix nanoseconds; 0: we do not
	waited atomic.Int64 // how long we have waited for it before, in nanoseconds

	// owned by whoever serves it

	inTurn bool // it has a place in the turnstile
}

// step waits for the first bytes, in which case the caller becomes the goroutine that
// takes the peer through its arrival.
func (st *stranger) step(s *socket, bits uint32) bool {
	late := !time.Now().Before(st.until)
	if bits&cut == 0 && !late && !s.input {
		s.wakeAt(s.lot.at(st.until))
		return false
	}
	st.settle(time.Now())
	if bits&cut == 0 && !late {
		st.arrive()
	}
	st.door.gate.leave(st)
	over := s.stage == st
	if over {
		_ = s.Close() // harmless if it is closed
	}
	st.left()
	return over || s.stage.step(s, s.take())
}

// waits notes that from now on we wait for the peer: somebody else may have the turn.
func (st *stranger) waits() {
	if st == nil {
		return
	}
	st.since.Store(time.Now().UnixNano())
	if st.inTurn {
		st.door.turnstile.leave()
	}
}

// resumes notes that the peer has let us go on, and waits for a turn.
func (st *stranger) resumes() {
	if st == nil {
		return
	}
	st.settle(time.Now())
	if st.inTurn {
		st.door.turnstile.enter(again)
	}
}

// settle adds up how long we have waited.
func (st *stranger) settle(now time.Time) {
	if since := st.since.Swap(0); since != 0 {
		st.waited.Add(now.UnixNano() - since)
	}
}

// letWait is how long we have waited for the peer.
func (st *stranger) letWait(now time.Time) time.Duration {
	waited := st.waited.Load()
	if since := st.since.Load(); since != 0 {
		waited += now.UnixNano() - since
	}
	return time.Duration(waited)
}
