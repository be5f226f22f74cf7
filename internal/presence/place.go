package presence

import (
	"sync/atomic"

	"github.com/berth-iot/berth/internal/arbiter"
	"github.com/berth-iot/berth/internal/iot"
)

// place is where the sessions of one identity meet. It exists while somebody is
// there.
//
// Whoever has its turn performs the arbiter's actions, and calls sessions and the
// sink. Who only wants to end a session does not wait for it: see Presence.settle.
type place struct {
	// fixed

	id   iot.Identity
	turn turn // to decide who holds the identity
	keep turn // to read or write the session record

	// guarded by the shard's mu

	refs int // the seat, claims under way, readers of the session record

	// owned by whoever has the turn

	arbiter arbiter.State

	// shared

	seat atomic.Pointer[Seat] // the holder; written by whoever has the turn
}

func newPlace(id iot.Identity) *place { return &place{id: id, turn: newTurn(), keep: newTurn()} }

// ending gives the holder if there is a reason to end it.
func (pl *place) ending() *Seat {
	if s := pl.seat.Load(); s != nil && s.why.Load() != nil {
		return s
	}
	return nil
}
