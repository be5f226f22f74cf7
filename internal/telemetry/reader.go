package telemetry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// Reader reads one partition in order. It is used by one goroutine at a time.
type Reader struct {
	// fixed

	log *Log
	p   *partition

	// owned by Next

	place  place
	stop   uint64         // the place is to be narrowed first: it is not behind this sequence; 0: it has been
	block  block          // the block the reader stands in
	at     int            // where in its body
	queue  []store.Stored // blocks read ahead
	owed   int            // bytes read and not yet paced
	events []iot.Event
	stamps stamps
	closed bool
}

// Reader makes a reader of a partition that begins at start. Until it is closed, the
// partition keeps recent blocks for it.
func (l *Log) Reader(partition int, start device.Start) (*Reader, error) {
	if partition < 0 || partition >= len(l.partitions) {
		return nil, fault.New(fault.PartitionNotFound, "telemetry.reader", "there is no partition %d", partition)
	}
	p := l.partitions[partition]
	at, stop, err := p.place(start)
	if err != nil {
		return nil, err
	}
	p.attend(1)
	return &Reader{log: l, p: p, place: at, stop: stop, stamps: stamps{}}, nil
}

// Next implements device.EventReader. It ends with ErrClosed when the log or the
// reader is closed, and with the context's cause.
func (r *Reader) Next(ctx context.Context) ([]iot.Event, error) {
	for {
		if err := r.alive(ctx); err != nil {
			return nil, err
		}
		if r.at < len(r.block.body) {
			events, err := r.decode()
			if err != nil {
				return nil, r.pass(err)
			}
			if len(events) > 0 {
				return events, nil
			}
			continue
		}
		r.block, r.at = block{}, 0
		if err := r.advance(ctx); err != nil {
			return nil, err
		}
	}
}

// Close implements device.EventReader.
func (r *Reader) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.p.attend(-1)
	r.block, r.at, r.queue, r.events, r.stamps = block{}, 0, nil, nil, nil
}

// attend counts readers; the last one to leave takes the ring with it.
func (p *partition) attend(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers += n; p.readers == 0 {
		p.ring.clear()
	}
}

func (r *Reader) alive(ctx context.Context) error {
	if r.closed {
		return ErrClosed
	}
	select {
	case <-r.log.done:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
		return nil
	}
}

// advance finds the block that holds the next sequence: in what was read ahead, in the
// ring, or in the store; or waits for it.
func (r *Reader) advance(ctx context.Context) error {
	if len(r.queue) > 0 {
		s := r.queue[0]
		r.queue[0] = store.Stored{}
		r.queue = r.queue[1:]
		return r.enter(s)
	}
	if r.stop > 0 {
		r.narrow()
	}
	b, end, changed := r.p.look(&r.place)
	switch {
	case changed != nil:
		select {
		case <-changed:
			return nil
		case <-r.log.done:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	case b.count > 0:
		return r.stand(b)
	}
	return r.catchUp(ctx, end)
}

// narrow looks for the block of an offset or a time between two marks, which may be a
// second of ingest apart, by halves. What it cannot read it leaves to be met on the way.
func (r *Reader) narrow() {
	low, stop := r.place.sequence, r.stop
	r.stop = 0
	for low < stop {
		middle := low + (stop-low)/2
		blocks, err := r.log.store.Read(r.p.id, middle, 1)
		if err != nil || len(blocks) == 0 {
			return
		}
		b, err := filed(blocks[0])
		if err != nil || b.first > middle { // retention has come by
			return
		}
		r.owed += len(blocks[0].Value)
		if r.place.skips(&b) {
			r.place.sequence = b.end()
			low = max(b.end(), middle+1) // where nothing is written, b ends before
		} else {
			stop = b.first
		}
	}
}

// look gives the block of the place from the ring, or the channel that is closed when
// there is something new, or neither: then the store has it. It moves a place that
// retention has passed.
func (p *partition) look(at *place) (b block, end uint64, changed chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at.sequence = max(at.sequence, p.kept())
	if at.sequence >= p.end.sequence {
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		return block{}, 0, p.changed
	}
	b, _ = p.ring.find(at.sequence)
	return b, p.end.sequence, nil
}

// catchUp reads blocks ahead from the store, paced, and none that is not yet durable.
func (r *Reader) catchUp(ctx context.Context, end uint64) error {
	for r.owed > 0 {
		n := min(r.owed, readBytes)
		if err := r.log.pace.WaitN(ctx, n); err != nil {
			<-ctx.Done() // the limiter foresees the deadline
			return context.Cause(ctx)
		}
		r.owed -= n
	}
	blocks, err := r.log.store.Read(r.p.id, r.place.sequence, readBytes)
	if errors.Is(err, store.ErrCorrupt) {
		return r.pass(err)
	}
	if err != nil {
		return fault.Wrap(err, fault.ServerError, "telemetry.read", "partition %d cannot be read", r.p.id)
	}
	for _, b := range blocks {
		r.owed += len(b.Value)
		if b.First < end {
			r.queue = append(r.queue, b)
		}
	}
	if len(r.queue) == 0 {
		return r.pass(fmt.Errorf("%w: events %d to %d are not there", store.ErrCorrupt, r.place.sequence, end-1))
	}
	return nil
}

// enter checks a block of the store and stands in it.
func (r *Reader) enter(s store.Stored) error {
	b, err := filed(s)
	if err != nil {
		r.place.sequence = max(r.place.sequence, s.First)
		return r.pass(err)
	}
	r.p.mu.Lock()
	kept := r.p.kept()
	r.p.mu.Unlock()
	switch {
	case kept > r.place.sequence: // retention has overtaken what was read ahead
		r.queue = nil
		return nil
	case b.end() <= r.place.sequence && len(r.queue) > 0:
		return nil
	case b.end() <= r.place.sequence, b.first > r.place.sequence:
		return r.pass(fmt.Errorf("%w: event %d is not there", store.ErrCorrupt, r.place.sequence))
	}
	return r.stand(b)
}

// stand moves to the place within the block that holds it.
func (r *Reader) stand(b block) error {
	at := 0
	for range r.place.sequence - b.first {
		n, err := sizeAt(b.body[at:])
		if err != nil {
			return r.pass(err)
		}
		at += n
	}
	r.block, r.at = b, at
	return nil
}

// decode gives the next events of the block the reader stands in.
func (r *Reader) decode() ([]iot.Event, error) {
	r.events = r.events[:0]
	enqueued := time.UnixMilli(r.block.time).UTC()
	for r.at < len(r.block.body) && len(r.events) < maxEvents {
		m, err := decodeMessage(r.block.body[r.at:])
		if err == nil && r.place.sequence >= r.block.end() {
			err = errMessage()
		}
		if err != nil {
			if len(r.events) > 0 {
				return r.events, nil // the next call meets it again
			}
			return nil, err
		}
		offset := r.block.offset + uint64(r.at)
		if r.place.passes(offset, r.block.time) {
			r.place.offset, r.place.time = 0, 0
			r.events = append(r.events, iot.Event{
				Partition: int(r.p.id), Sequence: r.place.sequence, Offset: offset,
				Enqueued: enqueued, Stamp: r.stamps.of(m.stamp), Raw: m.raw,
			})
		}
		r.at += m.size
		r.place.sequence++
	}
	return r.events, nil
}
