package store

import (
	"context"
	"fmt"
)

// Epoch is a right to speak for an identity. It is granted once and only grows:
// the greatest epoch of an identity holds.
type Epoch struct {
	Generation uint64 // raised and stored once per start of the engine
	Counter    uint64 // raised at each claim
}

// Less orders epochs by generation, then counter.
func (e Epoch) Less(o Epoch) bool {
	if e.Generation != o.Generation {
		return e.Generation < o.Generation
	}
	return e.Counter < o.Counter
}

// IsZero reports whether e is no epoch at all.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// String gives "generation.counter".
func (e Epoch) String() string { return fmt.Sprintf("%d.%d", e.Generation, e.Counter) }

// Claims says who holds an identity.
type Claims interface {
	// Claim grants a new epoch, greater than every epoch granted before for the
	// identity (here: for any identity).
	Claim(ctx context.Context, identity string) (Epoch, error)
	// Release gives the epoch back; a release by an epoch that no longer holds changes
	// nothing and is no error.
	Release(ctx context.Context, identity string, e Epoch) error
	// Holder gives the epoch that holds the identity, zero if none.
	Holder(ctx context.Context, identity string) (Epoch, error)
	// Generation is the generation of this start.
	Generation() uint64
}
