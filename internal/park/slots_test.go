package park

import (
	"testing"

	"pgregory.net/rapid"
)

// A key names the socket it was given for, or nobody, however slots are used again.
func TestKeysAreNeverUsedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s slots
		inside := map[key]*socket{}
		var gone []key
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(inside) == 0 || rapid.Bool().Draw(t, "enter") {
				one := new(socket)
				k := s.enter(one)
				if inside[k] != nil {
					t.Fatalf("%v was given twice", k)
				}
				inside[k] = one
				continue
			}
			for k := range inside {
				s.leave(k)
				s.leave(k) // twice is harmless
				delete(inside, k)
				gone = append(gone, k)
				break
			}
		}
		for k, want := range inside {
			if s.of(k) != want {
				t.Fatalf("%v names another", k)
			}
		}
		for _, k := range gone {
			if s.of(k) != nil {
				t.Fatalf("%v names somebody who has left", k)
			}
		}
		if len(s.here()) != len(inside) {
			t.Fatalf("%d here, want %d", len(s.here()), len(inside))
		}
		if s.of(key{slot: 1 << 30}) != nil {
			t.Fatal("a key that was never given names somebody")
		}
	})
}
