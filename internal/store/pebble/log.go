package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	kv "github.com/cockroachdb/pebble/v2"

	"github.com/berth-iot/berth/internal/store"
)

// markSize is a stored mark: u64 offset, u64 time in Unix milliseconds.
const markSize = 16

// eventLog is store.Log.
type eventLog struct {
	// fixed

	db         *kv.DB
	engine     *Engine
	translator *translator

	// shared

	damaged damaged
	waiting backlog
}

var _ store.Log = (*eventLog)(nil)

// Commit implements store.Log: one batch, one flush, each block copied once.
func (l *eventLog) Commit(blocks []store.Block) error {
	if len(blocks) == 0 {
		return nil
	}
	if err := l.engine.gate.enter(); err != nil {
		return err
	}
	defer l.engine.gate.leave()
	if err := errors.Join(l.engine.space.admit(), l.waiting.admit()); err != nil {
		return err
	}
	size := 64
	for _, b := range blocks {
		size += b.Size + 2*logKeySize + markSize + 32
	}
	batch := l.db.NewBatchWithSize(size)
	for _, b := range blocks {
		if err := stageBlock(batch, b); err != nil {
			return errors.Join(err, batch.Close())
		}
	}
	if err := l.engine.write(l.db, batch, kv.Sync); err != nil {
		return fmt.Errorf("commit %d blocks: %w", len(blocks), err)
	}
	return batch.Close()
}

func stageBlock(batch *kv.Batch, b store.Block) error {
	op := batch.SetDeferred(logKeySize, b.Size)
	putLogKey(op.Key, prefixBlock, b.Partition, b.First)
	b.Fill(op.Value)
	if err := op.Finish(); err != nil {
		return err
	}
	if b.Mark == nil {
		return nil
	}
	op = batch.SetDeferred(logKeySize, markSize)
	putLogKey(op.Key, prefixMark, b.Partition, b.Mark.Sequence)
	binary.LittleEndian.PutUint64(op.Value, b.Mark.Offset)
	binary.LittleEndian.PutUint64(op.Value[8:], uint64(b.Mark.Time.UnixMilli()))
	return op.Finish()
}

// iterate opens a short-lived iterator over one partition: a long one would pin
// deleted files.
func (l *eventLog) iterate(prefix string, partition uint32) (*kv.Iterator, error) {
	it, err := l.db.NewIter(&kv.IterOptions{
		LowerBound: logKey(prefix, partition, 0),
		UpperBound: partitionEnd(prefix, partition),
	})
	return it, l.translator.translate(err)
}

// Read implements store.Log. A damaged block ends the answer; the read that begins at
// it is refused with store.ErrCorrupt.
func (l *eventLog) Read(partition uint32, from uint64, maxBytes int) ([]store.Stored, error) {
	if err := l.engine.gate.enter(); err != nil {
		return nil, err
	}
	defer l.engine.gate.leave()
	it, err := l.iterate(prefixBlock, partition)
	if err != nil {
		return nil, err
	}
	// The last key that is not behind from: from's own, or the one before the next.
	ok := it.SeekLT(append(logKey(prefixBlock, partition, from), 0))
	switch {
	case ok:
	case it.Error() == nil:
		ok = it.First()
	case l.begins(partition, from):
		// A damaged table that ends before from is in the way backwards, not forwards.
		ok = it.SeekGE(logKey(prefixBlock, partition, from))
	}
	var out []store.Stored
	size := 0
	for ; ok; ok = it.Next() {
		value, err := l.value(it, partition)
		if err != nil {
			return l.refuse(out, err, it)
		}
		if len(out) > 0 && size+len(value) > maxBytes {
			break
		}
		size += len(value)
		out = append(out, store.Stored{First: logSequence(it.Key()), Value: append([]byte(nil), value...)})
		if size >= maxBytes {
			break
		}
	}
	if err := it.Error(); err != nil {
		return l.refuse(out, err, it)
	}
	return out, l.translator.translate(it.Close())
}

// begins reports whether a block begins at a sequence.
func (l *eventLog) begins(partition uint32, sequence uint64) bool {
	it, err := l.iterate(prefixBlock, partition)
	if err != nil {
		return false
	}
	ok := it.SeekGE(logKey(prefixBlock, partition, sequence)) && logSequence(it.Key()) == sequence
	return it.Close() == nil && ok
}

// Next implements store.Log.
func (l *eventLog) Next(partition uint32, behind uint64) (first uint64, ok bool, err error) {
	if err := l.engine.gate.enter(); err != nil {
		return 0, false, err
	}
	defer l.engine.gate.leave()
	it, err := l.iterate(prefixBlock, partition)
	if err != nil {
		return 0, false, err
	}
	if ok = it.SeekGE(append(logKey(prefixBlock, partition, behind), 0)); ok {
		first = logSequence(it.Key())
	}
	return first, ok, l.translator.translate(it.Close())
}

// value reads the block the iterator stands at, unless it is known to be damaged.
func (l *eventLog) value(it *kv.Iterator, partition uint32) ([]byte, error) {
	at := place{partition: partition, first: logSequence(it.Key())}
	if err := l.damaged.known(at); err != nil {
		return nil, err
	}
	value, err := it.ValueAndErr()
	if err = l.translator.translate(err); errors.Is(err, store.ErrCorrupt) {
		l.damaged.remember(at, err)
	}
	return value, err
}

// refuse ends a read at a damaged block: what was read before it is given, and only a
// read that begins there is refused.
func (l *eventLog) refuse(out []store.Stored, err error, it *kv.Iterator) ([]store.Stored, error) {
	closed := it.Close() // reports the same damage again
	if len(out) > 0 {
		return out, nil // the next read begins at the damage and reports it
	}
	if err == nil {
		err = closed
	}
	return nil, l.translator.translate(err)
}

// Trim implements store.Log: one range deletion for blocks and one for marks, in one
// batch, so that both are there or neither. It goes on while the disk is full.
func (l *eventLog) Trim(partition uint32, before uint64) error {
	if err := l.engine.gate.enter(); err != nil {
		return err
	}
	defer l.engine.gate.leave()
	if before == 0 {
		return nil
	}
	batch := l.db.NewBatch()
	for _, prefix := range []string{prefixBlock, prefixMark} {
		if err := batch.DeleteRange(logKey(prefix, partition, 0), logKey(prefix, partition, before), nil); err != nil {
			return errors.Join(err, batch.Close())
		}
	}
	if err := l.engine.write(l.db, batch, kv.NoSync); err != nil {
		return fmt.Errorf("trim partition %d: %w", partition, err)
	}
	l.damaged.forget(partition, before)
	return batch.Close()
}

// Tails implements store.Log.
func (l *eventLog) Tails(partitions uint32) ([]store.Tail, error) {
	if err := l.engine.gate.enter(); err != nil {
		return nil, err
	}
	defer l.engine.gate.leave()
	tails := make([]store.Tail, 0, partitions)
	for p := range partitions {
		tail, err := l.tail(p)
		if err != nil {
			return nil, fmt.Errorf("end of partition %d: %w", p, err)
		}
		if n, ok := readNote(l.db, p); ok && tail.Damage == nil && n.holds(tail) {
			tail = store.Tail{Partition: p, First: n.first, Damage: fmt.Errorf("%w: %s", store.ErrCorrupt, n.why)}
		}
		tails = append(tails, tail)
	}
	return tails, nil
}

// tail reads the last block of a partition, or what is left of it.
func (l *eventLog) tail(partition uint32) (store.Tail, error) {
	tail := store.Tail{Partition: partition}
	it, err := l.iterate(prefixBlock, partition)
	if err != nil {
		return tail, err
	}
	if it.Last() {
		tail.First = logSequence(it.Key())
		var value []byte
		if value, err = l.value(it, partition); err == nil {
			tail.Value = append(make([]byte, 0, len(value)), value...)
		}
	}
	closed := l.translator.translate(it.Close()) // reports the same damage again
	if err == nil {
		err = closed
	}
	if errors.Is(err, store.ErrCorrupt) {
		tail.Value, tail.Damage, err = nil, err, nil
	}
	return tail, err
}

// Marks implements store.Log. Where some are damaged, those before and those behind
// them are given.
func (l *eventLog) Marks(partition uint32) ([]store.Mark, error) {
	if err := l.engine.gate.enter(); err != nil {
		return nil, err
	}
	defer l.engine.gate.leave()
	marks, err := l.marks(partition, (*kv.Iterator).First, (*kv.Iterator).Next)
	if !errors.Is(err, store.ErrCorrupt) {
		return marks, err
	}
	behind, _ := l.marks(partition, (*kv.Iterator).Last, (*kv.Iterator).Prev) // its error is the same
	for _, m := range slices.Backward(behind) {
		if n := len(marks); n == 0 || m.Sequence > marks[n-1].Sequence {
			marks = append(marks, m)
		}
	}
	return marks, err
}

// marks walks over a partition's marks until there are no more or one is damaged.
func (l *eventLog) marks(partition uint32, begin, step func(*kv.Iterator) bool) ([]store.Mark, error) {
	it, err := l.iterate(prefixMark, partition)
	if err != nil {
		return nil, err
	}
	var marks []store.Mark
	for ok := begin(it); ok; ok = step(it) {
		value, err := it.ValueAndErr()
		if err == nil && len(value) != markSize {
			err = fmt.Errorf("%w: a mark of %d bytes", store.ErrCorrupt, len(value))
		}
		if err != nil {
			_ = it.Close() // reports the same again
			return marks, l.translator.translate(err)
		}
		marks = append(marks, store.Mark{
			Sequence: logSequence(it.Key()),
			Offset:   binary.LittleEndian.Uint64(value),
			Time:     time.UnixMilli(int64(binary.LittleEndian.Uint64(value[8:]))).UTC(),
		})
	}
	return marks, l.translator.translate(it.Close())
}
