package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	kv "github.com/cockroachdb/pebble/v2"

	"github.com/berth-iot/berth/internal/store"
)

// Scan implements store.Records. It sees the records as they were when it began.
func (r *records) Scan(ctx context.Context, prefix, behind string, f func(store.Record) bool) error {
	lower := spaceKey(spaceRecord, prefix)
	upper := above(lower)
	if from := after(spaceRecord, behind); bytes.Compare(from, lower) > 0 {
		lower = from
	}
	err := r.walk(ctx, lower, upper, func(it *kv.Iterator) (bool, error) {
		value, err := it.ValueAndErr()
		if err != nil {
			return false, err
		}
		row, err := decodeRow(value, false)
		if err != nil {
			return false, err
		}
		return f(store.Record{Key: string(it.Key()[1:]), Value: row.value, Rev: row.rev}), nil
	})
	if err != nil {
		return fmt.Errorf("scan %q: %w", prefix, err)
	}
	return nil
}

// ScanIndex implements store.Records. It sees the index as it was when it began.
func (r *records) ScanIndex(ctx context.Context, prefix, behind string, f func(index, key string) bool) error {
	lower := escape([]byte{spaceIndex}, prefix)
	upper := above(lower)
	// 0x00 0x02 is behind every entry of the index key itself, and before those it begins.
	if from := append(escape([]byte{spaceIndex}, behind), 0, 2); bytes.Compare(from, lower) > 0 {
		lower = from
	}
	err := r.walk(ctx, lower, upper, func(it *kv.Iterator) (bool, error) {
		index, key, ok := splitIndex(it.Key())
		if !ok {
			return false, fmt.Errorf("%w: index entry %q", store.ErrCorrupt, it.Key())
		}
		return f(index, key), nil
	})
	if err != nil {
		return fmt.Errorf("scan index %q: %w", prefix, err)
	}
	return nil
}

// walk calls f at each key of [lower, upper) until it returns false or an error.
func (r *records) walk(ctx context.Context, lower, upper []byte, f func(*kv.Iterator) (bool, error)) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.engine.gate.leave()
	it, err := r.db.NewIterWithContext(ctx, &kv.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return r.translator.translate(err)
	}
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n%scanCheck == 0 && ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), it.Close())
		}
		more, err := f(it)
		if err != nil {
			return errors.Join(r.translator.translate(err), it.Close())
		}
		if !more {
			break
		}
	}
	// Close reports what ended the loop.
	return r.translator.translate(it.Close())
}
