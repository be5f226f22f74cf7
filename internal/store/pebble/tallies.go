package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	kv "github.com/cockroachdb/pebble/v2"

	"github.com/berth-iot/berth/internal/store"
)

// tallies are the counters as they stand. The store holds of a counter every change
// since it was last compacted, and reading it there adds them all up: 100,000
// identities made, 100,000 additions. So the sums are read once, when the engine is
// opened, and kept.
type tallies struct {
	// guarded by mu

	mu       sync.Mutex
	sums     map[string]int64 // at most maxTallies
	complete bool             // a counter that is not there was never touched
}

// readTallies adds up the counters of the store, before anybody changes one. Those that
// find no room are read from the store whenever they are asked for, and so are all if
// one is damaged: that read is refused, and the rest goes on.
func (r *records) readTallies() error {
	sums, complete, err := r.sumCounters()
	if errors.Is(err, store.ErrCorrupt) {
		sums, complete, err = map[string]int64{}, false, nil
	}
	r.tallies.sums, r.tallies.complete = sums, complete
	return err
}

// sumCounters gives the first maxTallies counters, and whether these are all.
func (r *records) sumCounters() (sums map[string]int64, complete bool, err error) {
	lower := []byte{spaceCounter}
	it, err := r.db.NewIter(&kv.IterOptions{LowerBound: lower, UpperBound: above(lower)})
	if err != nil {
		return nil, false, r.translator.translate(err)
	}
	sums = map[string]int64{}
	for ok := it.First(); ok; ok = it.Next() {
		if len(sums) == maxTallies {
			return sums, false, r.translator.translate(it.Close())
		}
		value, err := it.ValueAndErr()
		if err == nil && len(value) != 8 {
			err = fmt.Errorf("%w: counter %q of %d bytes", store.ErrCorrupt, it.Key()[1:], len(value))
		}
		if err != nil {
			return nil, false, errors.Join(r.translator.translate(err), it.Close())
		}
		sums[string(it.Key()[1:])] = int64(binary.LittleEndian.Uint64(value))
	}
	return sums, true, r.translator.translate(it.Close())
}

// add notes what a batch added, once it is on stable storage.
func (t *tallies) add(deltas []store.Delta) {
	if len(deltas) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range deltas {
		if _, known := t.sums[d.Key]; known || t.complete && len(t.sums) < maxTallies {
			t.sums[d.Key] += d.N
		} else {
			t.complete = false
		}
	}
}

// sum gives a counter, unless only the store knows it.
func (t *tallies) sum(key string) (n int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, known := t.sums[key]
	return n, known || t.complete
}
