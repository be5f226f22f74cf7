package storetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/berth-iot/berth/internal/store"
)

// memRecords are store.Records in memory: every scan sorts, which is right for the
// few thousand records of a test.
type memRecords struct {
	// fixed

	faults *faults

	// guarded by mu

	mu       sync.Mutex
	rev      store.Rev
	rows     map[string]memRow
	counters map[string]int64
}

type memRow struct {
	value []byte
	rev   store.Rev
	index []string
}

// enter is the beginning of every call.
func (r *memRecords) enter(ctx context.Context, op Op) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.faults.meet(op)
}

// Get implements store.Records.
func (r *memRecords) Get(ctx context.Context, key string) (store.Record, error) {
	if err := r.enter(ctx, RecordsGet); err != nil {
		return store.Record{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	row, ok := r.rows[key]
	if !ok {
		return store.Record{}, fmt.Errorf("get %q: %w", key, store.ErrNotFound)
	}
	return store.Record{Key: key, Value: bytes.Clone(row.value), Rev: row.rev}, nil
}

// Apply implements store.Records.
func (r *memRecords) Apply(ctx context.Context, b store.Batch) ([]store.Rev, error) {
	if err := r.enter(ctx, RecordsApply); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, w := range b.Writes {
		if seen[w.Key] {
			return nil, fmt.Errorf("storetest: a batch writes %q twice", w.Key)
		}
		seen[w.Key] = true
		row, ok := r.rows[w.Key]
		if !demand(w.If, row.rev, ok) {
			return nil, fmt.Errorf("%q: %w", w.Key, store.ErrConflict)
		}
	}
	revs := make([]store.Rev, len(b.Writes))
	for i, w := range b.Writes {
		if w.Delete {
			delete(r.rows, w.Key)
			continue
		}
		r.rev++
		revs[i] = r.rev
		r.rows[w.Key] = memRow{value: bytes.Clone(w.Value), rev: r.rev, index: slices.Clone(w.Index)}
	}
	for _, d := range b.Deltas {
		r.counters[d.Key] += d.N
	}
	return revs, nil
}

func demand(want, have store.Rev, found bool) bool {
	switch want {
	case store.Any:
		return true
	case store.Absent:
		return !found
	case store.Exists:
		return found
	default:
		return found && want == have
	}
}

// Scan implements store.Records.
func (r *memRecords) Scan(ctx context.Context, prefix, after string, f func(store.Record) bool) error {
	if err := r.enter(ctx, RecordsScan); err != nil {
		return err
	}
	r.mu.Lock()
	var found []store.Record
	for key, row := range r.rows {
		if strings.HasPrefix(key, prefix) && key > after {
			found = append(found, store.Record{Key: key, Value: bytes.Clone(row.value), Rev: row.rev})
		}
	}
	r.mu.Unlock()
	slices.SortFunc(found, func(a, b store.Record) int { return strings.Compare(a.Key, b.Key) })
	for _, rec := range found {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !f(rec) {
			return nil
		}
	}
	return nil
}

// ScanIndex implements store.Records.
func (r *memRecords) ScanIndex(ctx context.Context, prefix, after string, f func(index, key string) bool) error {
	if err := r.enter(ctx, RecordsScanIndex); err != nil {
		return err
	}
	type entry struct{ index, key string }
	seen := map[entry]bool{}
	r.mu.Lock()
	for key, row := range r.rows {
		for _, index := range row.index {
			if strings.HasPrefix(index, prefix) && index > after {
				seen[entry{index, key}] = true
			}
		}
	}
	r.mu.Unlock()
	found := slices.SortedFunc(maps.Keys(seen), func(a, b entry) int {
		if c := strings.Compare(a.index, b.index); c != 0 {
			return c
		}
		return strings.Compare(a.key, b.key)
	})
	for _, e := range found {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !f(e.index, e.key) {
			return nil
		}
	}
	return nil
}

// Counter implements store.Records.
func (r *memRecords) Counter(ctx context.Context, key string) (int64, error) {
	if err := r.enter(ctx, RecordsCounter); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counters[key], nil
}

// take moves what o holds into r.
func (r *memRecords) take(o *memRecords) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r.rev, r.rows, r.counters = o.rev, maps.Clone(o.rows), maps.Clone(o.counters)
}
