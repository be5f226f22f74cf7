package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/store"
)

// openPartition finds the partition's end in its last block. If that is damaged the
// partition goes on behind it, far enough that nothing is used twice.
func openPartition(c Config, t store.Tail) (*partition, error) {
	p := &partition{id: t.Partition, ring: ring{budget: c.RingBytes / c.Partitions}}
	if t.Value == nil && t.Damage == nil {
		return p, nil
	}
	end, damage := tailEnd(t)
	if damage != nil && !errors.Is(damage, store.ErrCorrupt) {
		return nil, damage
	}
	var err error
	if p.marks, err = openMarks(c, t.Partition); err != nil {
		return nil, err
	}
	p.end = end
	if damage == nil {
		p.end.mark, p.end.marked = p.marks[len(p.marks)-1], true
		return p, nil
	}
	return p, p.skip(c, t, damage)
}

// tailEnd is the place behind an undamaged last block.
func tailEnd(t store.Tail) (cursor, error) {
	if t.Damage != nil {
		return cursor{}, t.Damage
	}
	b, err := filed(store.Stored{First: t.First, Value: t.Value})
	if err != nil {
		return cursor{}, err
	}
	return b.behind()
}

// filed takes a block of the store apart, and refuses one that stands in another's place.
func filed(s store.Stored) (block, error) {
	b, err := decodeBlock(s.Value)
	if err == nil && b.first != s.First {
		err = fmt.Errorf("%w: block %d is filed as %d", store.ErrCorrupt, b.first, s.First)
	}
	return b, err
}

// behind is the place behind the block.
func (b block) behind() (cursor, error) {
	end := cursor{sequence: b.end(), offset: b.offset + uint64(b.length), time: b.time}
	for at := 0; at < len(b.body); {
		end.last = b.offset + uint64(at)
		n, err := sizeAt(b.body[at:])
		if err != nil {
			return cursor{}, err
		}
		at += n
	}
	return end, nil
}

// openMarks reads the marks of a partition that holds events. The earliest block kept has
// one; where it is damaged, it is made again, so that readers meet what is lost.
func openMarks(c Config, partition uint32) ([]store.Mark, error) {
	marks, err := c.Log.Marks(partition)
	if err == nil && len(marks) > 0 {
		return marks, nil
	}
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	c.Logger.Error("marks of a partition are damaged; reading from a time or an offset takes longer there",
		slog.Int("partition", int(partition)), slog.Any("err", err))
	first, err := earliest(c, partition)
	if err != nil {
		return nil, err
	}
	if len(marks) == 0 || first.Sequence < marks[0].Sequence {
		marks = slices.Insert(marks, 0, first)
	}
	return marks, nil
}

// earliest is a mark of the first block kept; if that cannot be read either, of the first
// that there ever was.
func earliest(c Config, partition uint32) (store.Mark, error) {
	blocks, err := c.Log.Read(partition, 0, 1)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return store.Mark{}, fmt.Errorf("read the first block: %w", err)
	}
	if len(blocks) > 0 {
		if b, err := filed(blocks[0]); err == nil {
			return store.Mark{Sequence: b.first, Offset: b.offset, Time: time.UnixMilli(b.time).UTC()}, nil
		}
	}
	return store.Mark{Time: time.UnixMilli(0).UTC()}, nil
}

// skip ends a partition whose last block is damaged: the next message stands behind a gap
// (leap).
func (p *partition) skip(c Config, t store.Tail, damage error) error {
	last := p.marks[len(p.marks)-1]
	at := cursor{sequence: last.Sequence, offset: last.Offset, last: last.Offset, time: last.Time.UnixMilli()}
	for {
		next, err := follow(c, p.id, at)
		if err != nil {
			return err
		}
		if next.sequence == at.sequence {
			break
		}
		at = next
	}
	var ok bool
	if p.end, ok = leap(at, t.First, c.Now()); !ok {
		return fmt.Errorf("no sequences are left behind the damage at %d: %w", at.sequence, damage)
	}
	c.Logger.Error("the end of a partition is damaged; its last events are lost, new ones follow behind a gap",
		slog.Int("partition", int(p.id)), slog.Uint64("lost_from", at.sequence), slog.Uint64("next", p.end.sequence), slog.Any("err", damage))
	return nil
}

// leap gives a place that nothing was ever stored at, if all that is known is the place at,
// and that a block begins at the sequence first. The place is made of the time: no
// partition takes messages so fast that it could have come there, and an earlier leap, all
// trace of which may be lost as well, led to an earlier place. If the clock says that
// this cannot be, it is wrong; then the place is further on than all that a partition keeps.
func leap(at cursor, first uint64, now time.Time) (end cursor, ok bool) {
	known := max(at.sequence, first)
	gaps := 1 + (known-at.sequence)/sequenceGap
	if known > math.MaxInt64-sequenceGap || at.offset > math.MaxInt64/2 || gaps > math.MaxInt64/2/offsetGap {
		return cursor{}, false
	}
	seconds := uint64(min(max(now.Unix(), 0), math.MaxUint32))
	end = cursor{sequence: seconds * sequenceRate, offset: seconds * offsetRate, last: at.last, time: at.time}
	if end.sequence <= known {
		end.sequence = known + sequenceGap
	}
	if end.offset < at.offset+maxMarked {
		end.offset = at.offset + gaps*offsetGap
	}
	return end, true
}

// follow reads on from a place and gives the one behind what could be read.
func follow(c Config, partition uint32, at cursor) (cursor, error) {
	blocks, err := c.Log.Read(partition, at.sequence, readBytes)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return at, fmt.Errorf("look for the end: %w", err)
	}
	for _, s := range blocks {
		b, damage := filed(s)
		if damage == nil && b.end() <= at.sequence {
			continue
		}
		next, within := b.behind()
		if damage != nil || within != nil { // a newer format too is not read past
			break
		}
		at = next
	}
	return at, nil //nolint:nilerr // what cannot be read is where this ends
}
