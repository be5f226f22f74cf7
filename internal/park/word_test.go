package park

import (
	"sync"
	"sync/atomic"
	"testing"
)

// There is one owner at a time, and nothing that was set is overlooked.
func TestWordHasOneOwnerAndLosesNothing(t *testing.T) {
	var (
		w             word
		inside, taken atomic.Int64
		owners        sync.WaitGroup
	)
	const signallers, each = 8, 2000
	seen := make([]int, signallers) // by the owner only: the race detector would tell
	pending := make([]atomic.Int64, signallers)
	own := func() {
		defer owners.Done()
		for {
			if inside.Add(1) != 1 {
				t.Error("two owners at once")
			}
			bits := w.take()
			for i := range signallers {
				if bits&(1<<(8+i)) != 0 {
					n := int(pending[i].Swap(0))
					seen[i] += n
					taken.Add(int64(n))
				}
			}
			inside.Add(-1)
			if w.leave() {
				return
			}
		}
	}
	var wg sync.WaitGroup
	for i := range signallers {
		wg.Go(func() {
			for range each {
				pending[i].Add(1)
				if _, mine := w.set(1 << (8 + i)); mine {
					owners.Add(1)
					go own()
				}
			}
		})
	}
	wg.Wait()
	owners.Wait()
	if got := taken.Load(); got != signallers*each {
		t.Errorf("%d of %d signals were seen", got, signallers*each)
	}
	if w.bits.Load() != 0 {
		t.Errorf("word is %b without an owner", w.bits.Load())
	}
}

// Room for output alone is no work, and keeps no owner from leaving.
func TestWritableStartsNobody(t *testing.T) {
	var w word
	if owned, mine := w.set(writable); owned || mine {
		t.Errorf("owned %t, mine %t", owned, mine)
	}
	if _, mine := w.set(readable | writable); !mine {
		t.Error("input started nobody")
	}
	if owned, mine := w.set(writable); !owned || mine {
		t.Errorf("owned %t, mine %t, want an owner who is another", owned, mine)
	}
	w.take()
	w.set(writable)
	if !w.leave() {
		t.Error("the owner could not leave")
	}
}
