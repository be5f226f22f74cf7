package diagnosis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/berth-iot/berth/internal/store"
)

// behind is what is to be written: of each record the last state only, so it is bounded
// by the stories kept. One write at a time is under way; the clerk owns the rest.
type behind struct {
	waiting map[string]store.Write
	flying  map[string]store.Write // nil: no write is under way
	done    chan error             // how the write under way ended
}

func newBehind() behind {
	return behind{waiting: map[string]store.Write{}, done: make(chan error, 1)}
}

// add notes writes, in place of earlier ones of their records. While the store takes
// nothing, those of further records are dropped beyond maxBehind.
func (b *behind) add(writes []store.Write) {
	for _, w := range writes {
		if _, known := b.waiting[w.Key]; known || len(b.waiting) < maxBehind {
			b.waiting[w.Key] = w
		}
	}
}

// get gives the value of a record that is still to be written; nil is one to be
// deleted.
func (b *behind) get(key string) (value []byte, waits bool) {
	for _, m := range []map[string]store.Write{b.waiting, b.flying} {
		if w, ok := m[key]; ok {
			return w.Value, true // a delete has no value
		}
	}
	return nil, false
}

// busy reports whether something is not written yet.
func (b *behind) busy() bool { return len(b.waiting) > 0 || b.flying != nil }

// start begins to write what waits, unless a write is under way.
func (b *behind) start(writer *sync.WaitGroup, records store.Records) {
	if b.flying != nil || len(b.waiting) == 0 {
		return
	}
	b.flying, b.waiting = b.waiting, map[string]store.Write{}
	flying := b.flying
	writer.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
		defer cancel()
		b.done <- apply(ctx, records, flying)
	})
}

// finish takes what was under way for written, or after an error for waiting again.
func (b *behind) finish(err error) {
	if err != nil {
		for key, w := range b.flying {
			if _, newer := b.waiting[key]; !newer {
				b.waiting[key] = w
			}
		}
	}
	b.flying = nil
}

// flush writes what waits; no write is under way.
func (b *behind) flush(ctx context.Context, records store.Records) error {
	err := apply(ctx, records, b.waiting)
	clear(b.waiting)
	return err
}

// apply writes records, maxBatch at a time.
func apply(ctx context.Context, records store.Records, all map[string]store.Write) error {
	var failed error
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(all)), maxBatch) {
		b := store.Batch{Writes: make([]store.Write, 0, len(keys))}
		for _, k := range keys {
			b.Writes = append(b.Writes, all[k])
		}
		if _, err := records.Apply(ctx, b); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
