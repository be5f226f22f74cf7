package arbiter

import "strconv"

// Epoch is a right to speak for an identity. It is granted once and only grows:
// the greatest epoch of an identity holds. The zero Epoch is none at all.
type Epoch struct {
	Generation uint64 // raised once per start of the engine; 0 in a cluster
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
func (e Epoch) String() string {
	return strconv.FormatUint(e.Generation, 10) + "." + strconv.FormatUint(e.Counter, 10)
}
