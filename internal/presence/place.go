package presence

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/berth-iot/berth/internal/arbiter"
	"github.com/berth-iot/berth/internal/iot"
)

// place is where the sessions of one identity meet. It exists while somebody is
// there.
//
// Its turn is not a mutex: whoever has it performs the arbiter's actions, calls
// sessions and the sink, and whoever waits for it can give up. Who only wants to end
// a session does not wait at all: see Presence.settle.
type place struct {
	// fixed

	id   iot.Identity
	turn chan struct{} // holds one token while nobody is at work here

	// guarded by the shard's mu

	refs int // the seat, claims under way, readers of the session record

	// owned by whoever has the turn

	arbiter arbiter.State

	// shared

	seat atomic.Pointer[Seat] // the holder; written by whoever has the turn
	keep sync.Mutex           // held while the session record is read or written
}

func newPlace(id iot.Identity) *place {
	pl := &place{id: id, turn: make(chan struct{}, 1)}
	pl.turn <- struct{}{}
	return pl
}

// take waits for the turn.
func (pl *place) take(ctx context.Context) error {
	select {
	case <-pl.turn:
		return nil
	default:
	}
	select {
	case <-pl.turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryTake takes the turn if nobody has it.
func (pl *place) tryTake() bool {
	select {
	case <-pl.turn:
		return true
	default:
		return false
	}
}

// give hands the turn on, first come first served.
func (pl *place) give() { pl.turn <- struct{}{} }

// ending gives the holder if there is a reason to end it.
func (pl *place) ending() *Seat {
	if s := pl.seat.Load(); s != nil && s.why.Load() != nil {
		return s
	}
	return nil
}
