package pebble

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	kv "github.com/cockroachdb/pebble/v2"

	"github.com/berth-iot/berth/internal/store"
)

// revCounterBits is how many bits of a revision count writes of one start; those
// above are the start's generation. 10^12 writes a start, 16 million starts.
const revCounterBits = 40

// records are store.Records.
type records struct {
	// fixed

	db         *kv.DB
	seed       maphash.Seed
	translator *translator
	engine     *Engine

	// shared

	waiting backlog
	rev     atomic.Uint64
	locks   [stripes]sync.Mutex // one key's writes one after another; taken in order
	tallies tallies
}

var _ store.Records = (*records)(nil)

// enter lets a call in.
func (r *records) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.engine.gate.enter()
}

// Get implements store.Records.
func (r *records) Get(ctx context.Context, key string) (store.Record, error) {
	if err := r.enter(ctx); err != nil {
		return store.Record{}, err
	}
	defer r.engine.gate.leave()
	value, closer, err := r.db.Get(spaceKey(spaceRecord, key))
	if err != nil {
		return store.Record{}, fmt.Errorf("get %q: %w", key, r.translator.translate(err))
	}
	row, err := decodeRow(value, false)
	out := store.Record{Key: key, Rev: row.rev, Value: append([]byte(nil), row.value...)}
	if err := errors.Join(err, closer.Close()); err != nil {
		return store.Record{}, fmt.Errorf("get %q: %w", key, err)
	}
	return out, nil
}

// Counter implements store.Records.
func (r *records) Counter(ctx context.Context, key string) (int64, error) {
	if err := r.enter(ctx); err != nil {
		return 0, err
	}
	defer r.engine.gate.leave()
	if n, ok := r.tallies.sum(key); ok {
		return n, nil
	}
	value, closer, err := r.db.Get(spaceKey(spaceCounter, key))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("counter %q: %w", key, r.translator.translate(err))
	}
	var a adder
	if err := errors.Join(a.MergeNewer(value), closer.Close()); err != nil {
		return 0, fmt.Errorf("counter %q: %w", key, err)
	}
	return a.n, nil
}
