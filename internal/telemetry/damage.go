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
// of what is durable. It tries the next few blocks, then at growing distances from mark
// to mark, so that it reads a number of blocks logarithmic in the damage and passes over
// nothing sound that a gap hides.
func (r *Reader) behind(bad uint64) uint64 {
	low := bad
	for range maxWalk {
		next, ok, err := r.log.store.Next(r.p.id, low)
		if err != nil || !ok {
			break
		}
		if first, ok := r.readable(next, bad); ok {
			return first
		}
		low = next
	}
	for _, stop := range r.p.stops(low) {
		for step := uint64(1); low+step < stop; step *= 2 {
			if first, ok := r.readable(low+step, bad); ok {
				return r.nearest(low+step/2, first, bad)
			}
		}
		if first, ok := r.readable(stop, bad); ok {
			return r.nearest(low, first, bad)
		}
		low = stop
	}
	return low
}

// nearest halves the distance between a sequence that cannot be read and one that can.
func (r *Reader) nearest(low, found, bad uint64) uint64 {
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

// stops are the sequences of the marks behind bad, and the end.
func (p *partition) stops(bad uint64) []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var stops []uint64
	for _, m := range p.marks {
		if m.Sequence > bad {
			stops = append(stops, m.Sequence)
		}
	}
	return append(stops, p.end.sequence)
}

// readable gives the beginning of the good block, begun behind bad, that the store
// gives for the sequence.
func (r *Reader) readable(sequence, bad uint64) (first uint64, ok bool) {
	blocks, err := r.log.store.Read(r.p.id, sequence, 1)
	if err != nil || len(blocks) == 0 || blocks[0].First <= bad {
		return 0, false
	}
	b, err := filed(blocks[0])
	return b.first, err == nil
}
