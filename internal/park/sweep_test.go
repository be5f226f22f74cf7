package park

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// watchman is a stage that notes when the sweep came by.
type watchman struct{ came []int64 }

func (w *watchman) step(s *socket, bits uint32) bool {
	if bits&expired != 0 {
		w.came = append(w.came, s.lot.now())
	}
	return false
}

// The sweep comes by never early, and late by a tick at most.
func TestSweepIsOnTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ask := rapid.SliceOfN(rapid.Int64Range(-int64(time.Second), int64(3*time.Minute)), 1, 20).Draw(rt, "ask")
		pause := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Second)), len(ask), len(ask)).Draw(rt, "pause")
		var wrong string
		synctest.Test(t, func(*testing.T) { wrong = sweepOnce(ask, pause) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// sweepOnce lets visitors ask for the sweep in some time, with pauses between them, and
// says what went wrong.
func sweepOnce(ask, pause []int64) string {
	lot := newMemory().lot(Config{})
	defer lot.sweep.stop()
	all := make([]watchman, len(ask))
	at := make([]int64, len(ask))
	for i := range all {
		s := &socket{lot: lot, stage: &all[i]}
		s.k = lot.slots.enter(s)
		at[i] = max(1, lot.now()+ask[i])
		s.wakeAt(at[i])
		time.Sleep(time.Duration(pause[i]))
	}
	time.Sleep(4 * time.Minute)
	synctest.Wait()
	for i, w := range all {
		if len(w.came) != 1 {
			return fmt.Sprintf("came by %d times", len(w.came))
		}
		if late := w.came[0] - at[i]; late < 0 || late > lateness(ask[i]) {
			return fmt.Sprintf("came by %v late", time.Duration(late))
		}
	}
	if len(lot.sweep.buckets) != 0 || len(lot.sweep.order) != 0 || lot.sweep.armed != 0 {
		return "the sweep goes on with nobody waiting"
	}
	return ""
}

// lateness is how late the sweep may be for who asks for some time ahead; who asks for the
// past waits for the first tick.
func lateness(ask int64) int64 {
	if ask > int64(coarseFrom) {
		return int64(coarseTick)
	}
	return int64(fineTick) - min(ask, 0)
}

// Who has left is not come by, and who asks for a later time is not listed twice.
func TestSweepForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lot := newMemory().lot(Config{})
		w := new(watchman)
		s := &socket{lot: lot, stage: w}
		s.k = lot.slots.enter(s)
		s.wakeAt(lot.now() + int64(time.Second))
		s.wakeAt(lot.now() + int64(2*time.Second))
		lot.sweep.mu.Lock()
		n := len(lot.sweep.order)
		lot.sweep.mu.Unlock()
		if n != 1 {
			t.Errorf("listed %d times, want once", n)
		}
		lot.slots.leave(s.k)
		next := &socket{lot: lot, stage: w} // in the same slot
		next.k = lot.slots.enter(next)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.came) != 0 {
			t.Error("it came by somebody who had left, or his successor")
		}
	})
}
