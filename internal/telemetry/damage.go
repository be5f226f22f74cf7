package telemetry

import (
	"errors"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
)

// pass stands the reader behind the damage at its place and gives the error that says
// so, once. A block of a newer format ends the reader instead: it is not damaged.
func (r *Reader) pass(cause error) error {
	if errors.Is(cause, store.ErrFormat) {
		r.Close()
		return fault.Wrap(cause, fault.ServerError, "telemetry.read", "partition %d was written by a newer version", r.p.id)
	}
	bad := r.place.sequence
	r.block, r.at, r.queue = block{}, 0, nil
	r.place.sequence = r.behind(bad)
	return fault.Wrap(cause, fault.ServerError, "telemetry.read",
		"events %d to %d of partition %d are damaged and were skipped", bad, r.place.sequence-1, r.p.id)
}

// behind gives the first sequence greater than bad whose block can be read, or the end
// of what is durable. It probes at growing distances and then halves, so that it reads
// a number of blocks logarithmic in the damage.
func (r *Reader) behind(bad uint64) uint64 {
	r.p.mu.Lock()
	end := r.p.end.sequence
	r.p.mu.Unlock()
	low, high, step := bad, bad, uint64(1)
	for high = bad + 1; high < end && !r.readable(high, bad); high = bad + step {
		low = high
		step *= 2
	}
	if high >= end {
		high = end
	}
	for low+1 < high {
		middle := low + (high-low)/2
		if r.readable(middle, bad) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// readable reports whether the store gives a good block, begun behind bad, for the
// sequence.
func (r *Reader) readable(sequence, bad uint64) bool {
	blocks, err := r.log.store.Read(r.p.id, sequence, 1)
	if err != nil || len(blocks) == 0 || blocks[0].First <= bad {
		return false
	}
	b, err := decodeBlock(blocks[0].Value)
	return err == nil && b.first == blocks[0].First
}
