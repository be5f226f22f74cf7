package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	kv "github.com/cockroachdb/pebble/v2"

	"github.com/berth-iot/berth/internal/store"
)

// Apply implements store.Records. Writes of different keys share a flush: only the
// keys' own locks are held over it.
func (r *records) Apply(ctx context.Context, b store.Batch) ([]store.Rev, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.engine.gate.leave()
	if err := checkBatch(b); err != nil {
		return nil, err
	}
	if err := errors.Join(r.engine.space.admit(), r.waiting.admit()); err != nil {
		return nil, err
	}
	unlock := r.lock(b.Writes)
	defer unlock()

	batch := r.db.NewBatch()
	revs, err := r.stage(batch, b)
	if err == nil && !batch.Empty() {
		err = r.engine.write(r.db, batch, kv.Sync)
		if err != nil {
			return nil, err // the batch is Pebble's
		}
		r.tallies.add(b.Deltas)
	}
	if err := errors.Join(err, batch.Close()); err != nil {
		return nil, err
	}
	return revs, nil
}

// lock takes the locks of the keys in order and gives their release.
func (r *records) lock(ws []store.Write) func() {
	held := make([]int, 0, len(ws))
	for _, w := range ws {
		held = append(held, int(maphash.String(r.seed, w.Key)%stripes))
	}
	slices.Sort(held)
	held = slices.Compact(held)
	for _, i := range held {
		r.locks[i].Lock()
	}
	return func() {
		for _, i := range held {
			r.locks[i].Unlock()
		}
	}
}

// stage checks every demanded revision and fills the batch.
func (r *records) stage(batch *kv.Batch, b store.Batch) ([]store.Rev, error) {
	revs := make([]store.Rev, len(b.Writes))
	for i, w := range b.Writes {
		old, found, err := r.replaced(&w)
		if err != nil {
			return nil, err
		}
		if !meets(w.If, old.rev, found) {
			return nil, fmt.Errorf("%q: %w", w.Key, store.ErrConflict)
		}
		for _, k := range old.index {
			if w.Delete || !slices.Contains(w.Index, k) {
				if err := batch.Delete(indexKey(k, w.Key), nil); err != nil {
					return nil, err
				}
			}
		}
		if w.Delete {
			if found {
				err = batch.Delete(spaceKey(spaceRecord, w.Key), nil)
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		revs[i] = store.Rev(r.rev.Add(1))
		if err := stageRow(batch, w, revs[i], old.index); err != nil {
			return nil, err
		}
	}
	for _, d := range b.Deltas {
		if err := batch.Merge(spaceKey(spaceCounter, d.Key), binary.LittleEndian.AppendUint64(nil, uint64(d.N)), nil); err != nil {
			return nil, err
		}
	}
	return revs, nil
}

// stageRow puts one record and the index entries it did not have before.
func stageRow(batch *kv.Batch, w store.Write, rev store.Rev, had []string) error {
	value := row{rev: rev, index: w.Index, value: w.Value}.append(nil)
	if err := batch.Set(spaceKey(spaceRecord, w.Key), value, nil); err != nil {
		return err
	}
	for _, k := range w.Index {
		if slices.Contains(had, k) {
			continue
		}
		if err := batch.Set(indexKey(k, w.Key), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// replaced reads what a write would replace. What is demanded to be absent mostly is,
// and of that only its presence matters.
func (r *records) replaced(w *store.Write) (row, bool, error) {
	if w.If != store.Absent {
		return r.current(w.Key)
	}
	found, err := r.present(w.Key)
	if err != nil {
		err = fmt.Errorf("%q: %w", w.Key, r.translator.translate(err))
	}
	return row{}, found, err
}

// present reports whether there is a record. Unlike a Get it asks the filters of the
// lowest level too, so for most keys that are not there no block is read.
func (r *records) present(key string) (bool, error) {
	it, err := r.db.NewIter(&kv.IterOptions{UseL6Filters: true})
	if err != nil {
		return false, err
	}
	found := it.SeekPrefixGE(spaceKey(spaceRecord, key))
	return found, it.Close()
}

// current reads what a write of the key would replace.
func (r *records) current(key string) (row, bool, error) {
	value, closer, err := r.db.Get(spaceKey(spaceRecord, key))
	if errors.Is(err, kv.ErrNotFound) {
		return row{}, false, nil
	}
	if err != nil {
		return row{}, false, fmt.Errorf("%q: %w", key, r.translator.translate(err))
	}
	old, err := decodeRow(value, true)
	old.value = nil
	if err := errors.Join(err, closer.Close()); err != nil {
		return row{}, false, fmt.Errorf("%q: %w", key, err)
	}
	return old, true, nil
}

// meets reports whether what is there is what the write demands.
func meets(want, have store.Rev, found bool) bool {
	switch want {
	case store.Any:
		return true
	case store.Absent:
		return !found
	case store.Exists:
		return found
	default:
		return found && have == want
	}
}

// checkBatch refuses what would not fit, and a batch that writes one key twice.
func checkBatch(b store.Batch) error {
	if len(b.Writes) > maxBatch || len(b.Deltas) > maxBatch {
		return fmt.Errorf("pebble: a batch of %d writes and %d deltas, at most %d of each", len(b.Writes), len(b.Deltas), maxBatch)
	}
	seen := make(map[string]struct{}, len(b.Writes))
	size := 0
	for _, w := range b.Writes {
		if _, twice := seen[w.Key]; twice {
			return fmt.Errorf("pebble: a batch writes %q twice", w.Key)
		}
		seen[w.Key] = struct{}{}
		size += len(w.Value)
		if len(w.Key) > maxKey || len(w.Index) > maxIndex {
			return fmt.Errorf("pebble: a key of %d bytes with %d index keys, at most %d and %d", len(w.Key), len(w.Index), maxKey, maxIndex)
		}
		for _, k := range w.Index {
			if len(k) > maxKey {
				return fmt.Errorf("pebble: an index key of %d bytes, at most %d", len(k), maxKey)
			}
		}
	}
	if size > maxValue {
		return fmt.Errorf("pebble: values of %d bytes in one batch, at most %d", size, maxValue)
	}
	for _, d := range b.Deltas {
		if len(d.Key) > maxKey {
			return fmt.Errorf("pebble: a counter key of %d bytes, at most %d", len(d.Key), maxKey)
		}
	}
	return nil
}
