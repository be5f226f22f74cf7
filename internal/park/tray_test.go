package park

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// The tray is a queue of bytes across any number of owners, and keeps between them no more
// than twice what is unread, but for what a large packet will need.
func TestTrayIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 50_000
		home := make([]byte, bigBuffer)
		var kept, model []byte
		next := byte(0)
		for range rapid.IntRange(1, 30).Draw(t, "owners") {
			for i := range home {
				home[i] = 0xee // somebody else had the desk meanwhile
			}
			tray := tray{home: home}
			tray.begin(kept)
			kept = kept[:0]
			for range rapid.IntRange(0, 4).Draw(t, "reads") {
				room, err := tray.room(limit)
				if err != nil {
					if !errors.Is(err, ErrTooLarge) || len(model) < limit {
						t.Fatalf("room: %v with %d unread", err, len(model))
					}
					break
				}
				if len(room) == 0 {
					t.Fatalf("no room with %d unread", len(model))
				}
				n := rapid.IntRange(0, len(room)).Draw(t, "n")
				for i := range n {
					room[i] = next
					next++
				}
				tray.landed(n)
				model = append(model, room[:n]...)
				used := rapid.IntRange(0, len(model)).Draw(t, "used")
				if rapid.Bool().Draw(t, "none") {
					used = 0
				}
				tray.consume(used)
				model = model[used:]
				if !bytes.Equal(model, tray.unread()) {
					t.Fatalf("unread differs from the model at %d bytes", len(model))
				}
			}
			kept = tray.keep(kept)
			if !bytes.Equal(kept, model) {
				t.Fatalf("kept %d bytes that differ from the model's %d", len(kept), len(model))
			}
			if most := 2 * len(model); len(model) < bigBuffer/2 && cap(kept) > most || cap(kept) > max(4*len(model), 0)+smallBuffer {
				t.Fatalf("%d bytes kept for %d unread", cap(kept), len(model))
			}
		}
	})
}
