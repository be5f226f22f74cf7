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
	low, found := bad, end
	for step := uint64(1); bad+step < end; step *= 2 {
		if first, ok := r.readable(bad+step, bad); ok {
			found = first
			break
		}
		low = bad + step
	}
	for low+1 < found {
		middle := low + (found-low)/2
		if first, ok := r.readable(middle, bad); ok && first < found {
			found = first
		} else {
			low = middle
		}
	}
	return found
}

// readable gives the beginning of the good block, begun behind bad, that the store
// gives for the sequence.
func (r *Reader) readable(sequence, bad uint64) (first uint64, ok bool) {
	blocks, err := r.log.store.Read(r.p.id, sequence, 1)
	if err != nil || len(blocks) == 0 || blocks[0].First <= bad {
		return 0, false
	}
	b, err := decodeBlock(blocks[0].Value)
	return b.first, err == nil && b.first == blocks[0].First
}
