package presence

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/arbiter"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
)

// Seat is the right of one session to speak for its identity, until it is fenced or
// released.
type Seat struct {
	// fixed

	presence  *Presence
	shard     *shard
	place     *place
	epoch     store.Epoch
	party     *device.Party // not changed any more
	holder    Holder
	transport device.Transport
	since     time.Time
	displaced bool // the claim took the identity from another session

	// shared

	why    atomic.Pointer[end] // the first reason to end; nil while seated
	active atomic.Int64        // Unix nanoseconds of the last activity told

	// guarded by the shard's mu

	deadline deadline
	written  int64 // the last activity that was handed to be written behind
}

// end is why a seat ends: its session said so, or somebody else did.
type end struct {
	ending *device.Ending // of a session that ended by itself; nil: it is to be fenced
	cause  arbiter.Cause
	code   fault.Code
	reason string
	by     *device.Party
}

// Epoch is what accompanies every durable write of the session.
func (s *Seat) Epoch() store.Epoch { return s.epoch }

// Displaced reports whether the claim took the identity from another session.
func (s *Seat) Displaced() bool { return s.displaced }

// Activity notes that the identity was heard of at now.
func (s *Seat) Activity(now time.Time) { s.active.Store(now.UnixNano()) }

// lastActivity is the last that was heard of the identity on this seat, in Unix
// nanoseconds.
func (s *Seat) lastActivity() int64 {
	last := max(s.active.Load(), s.since.UnixNano())
	if s.party.Conn != nil {
		last = max(last, s.party.Conn.Traffic.LastIn.Load())
	}
	return last
}

// Release gives the seat back: the session ended by itself, as ending says. It does
// not wait. On a seat that was fenced or released before, it does nothing.
func (s *Seat) Release(ending device.Ending) { s.stop(&end{ending: &ending}) }

// revoke asks for the session to be fenced.
func (s *Seat) revoke(cause arbiter.Cause, code fault.Code, reason string) {
	s.stop(&end{cause: cause, code: code, reason: reason})
}

// stop gives the seat a reason to end, unless it has one, and sees to it that
// somebody carries it out: the caller, or whoever is at work on the identity before
// he goes on.
func (s *Seat) stop(why *end) {
	if s.why.CompareAndSwap(nil, why) {
		s.presence.settle(context.Background(), s.shard, s.place)
	}
}

// fence ends the session for the given reason, unless it already had one, and says
// how it ended. The caller has the turn.
func (s *Seat) fence(why *end) device.Ending {
	if !s.why.CompareAndSwap(nil, why) {
		why = s.why.Load()
	}
	if why.ending != nil {
		return *why.ending
	}
	return s.holder.Fence(why.code, why.reason, why.by)
}
