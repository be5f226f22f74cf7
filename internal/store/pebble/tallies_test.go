package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	kv "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// TestCountersBeyondThoseInMemory: how many there are changes nothing but the cost.
func TestCountersBeyondThoseInMemory(t *testing.T) {
	o := options(t, vfs.NewMem())
	e := open(t, o)
	const counters = maxTallies + 100
	add := func(from int) {
		var b store.Batch
		for i := from; i < counters; i++ {
			b.Deltas = append(b.Deltas, store.Delta{Key: fmt.Sprintf("n%04d", i), N: int64(i)})
		}
		if _, err := e.Records().Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	check := func(round int64) {
		t.Helper()
		for i := range counters {
			if n, err := e.Records().Counter(t.Context(), fmt.Sprintf("n%04d", i)); err != nil || n != round*int64(i) {
				t.Fatalf("counter %d: got %d (%v), want %d", i, n, err, round*int64(i))
			}
		}
		if n := len(e.records.tallies.sums); n > maxTallies {
			t.Fatalf("%d sums in memory, at most %d", n, maxTallies)
		}
		if n, err := e.Records().Counter(t.Context(), "never"); err != nil || n != 0 {
			t.Errorf("a counter never touched: %d (%v)", n, err)
		}
	}
	for round := int64(1); round <= 4; round++ {
		add(0)
		check(round)
		if round == 2 {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = open(t, o)
			check(round)
		}
	}
}

// TestCounterIsNotAddedUp: reading one costs the same however often it was changed.
func TestCounterIsNotAddedUp(t *testing.T) {
	o := options(t, vfs.NewMem())
	e := open(t, o)
	for range 3 {
		if _, err := e.Records().Apply(t.Context(), store.Batch{Deltas: []store.Delta{{Key: "n", N: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	// What the store holds is changed behind the engine's back: whoever still gets three
	// has not asked it.
	if err := e.records.db.Merge(spaceKey(spaceCounter, "n"), binary.LittleEndian.AppendUint64(nil, 100), kv.Sync); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Records().Counter(t.Context(), "n"); err != nil || n != 3 {
		t.Errorf("got %d (%v), want 3", n, err)
	}
}

// TestDamagedCounterRefusesItsRead: and the engine opens.
func TestDamagedCounterRefusesItsRead(t *testing.T) {
	o := options(t, vfs.NewMem())
	e := open(t, o)
	if err := e.records.db.Set(spaceKey(spaceCounter, "bad"), []byte("short"), kv.Sync); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Records().Apply(t.Context(), store.Batch{Deltas: []store.Delta{{Key: "good", N: 2}}}); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open(t, o)
	if n, err := e.Records().Counter(t.Context(), "bad"); err == nil || !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a damaged counter: got %d (%v)", n, err)
	}
	for want := int64(2); want < 4; want++ {
		if n, err := e.Records().Counter(t.Context(), "good"); err != nil || n != want {
			t.Errorf("beside it: got %d (%v), want %d", n, err, want)
		}
		if _, err := e.Records().Apply(t.Context(), store.Batch{Deltas: []store.Delta{{Key: "good", N: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
}
