package pebble

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// TestAbsentMeansExactlyThisKey: also of keys that are in tables of the lowest level,
// deleted there, or neighbours of one that is there.
func TestAbsentMeansExactlyThisKey(t *testing.T) {
	e := open(t, options(t, vfs.NewMem()))
	apply := func(key string, w store.Write) error {
		w.Key = key
		_, err := e.Records().Apply(t.Context(), store.Batch{Writes: []store.Write{w}})
		return err
	}
	const n = 200
	name := func(i int) string { return fmt.Sprintf("key%04d", i) }
	for i := range n {
		if err := apply(name(i), store.Write{Value: []byte("v"), If: store.Absent}); err != nil {
			t.Fatal(err)
		}
	}
	settle := func() {
		if err := e.records.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
			t.Fatal(err)
		}
	}
	settle()
	for i := 0; i < n; i += 2 {
		if err := apply(name(i), store.Write{Delete: true, If: store.Any}); err != nil {
			t.Fatal(err)
		}
	}
	for _, compacted := range []bool{false, true} {
		if compacted {
			settle()
		}
		for i := range n {
			for key, want := range map[string]bool{name(i): i%2 == 1, name(i) + "0": false, name(i)[:6]: false} {
				there, err := e.records.present(key)
				if err != nil || there != want {
					t.Fatalf("%s is there: got %v (%v), want %v", key, there, err, want)
				}
			}
		}
	}
	for i := range n {
		if err := apply(name(i), store.Write{Value: []byte("w"), If: store.Absent}); errors.Is(err, store.ErrConflict) != (i%2 == 1) {
			t.Errorf("%s: got %v", name(i), err)
		}
	}
}
