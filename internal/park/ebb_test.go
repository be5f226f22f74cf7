package park

import (
	"testing"
	"testing/synctest"
	"time"
)

// Memory goes back once after a flood, when that is over, and not on a beat.
func TestMemoryGoesBackAfterAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed []time.Duration
		start := time.Now()
		e := ebb{free: func() { freed = append(freed, time.Since(start)) }}
		defer e.stop()
		for range floodFrom - 1 {
			e.moved() // not a flood yet
		}
		time.Sleep(time.Hour)
		if len(freed) != 0 {
			t.Errorf("freed at %v without a flood", freed)
		}
		start = time.Now()
		for range 10 { // it goes on for a while
			for range calmMoves + 1 {
				e.moved()
			}
			time.Sleep(calmFor / 2)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(freed) != 1 || freed[0] < 5*calmFor || freed[0] > 7*calmFor {
			t.Errorf("freed at %v, want once when it was over", freed)
		}
		for range floodFrom {
			e.moved()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(freed) != 2 {
			t.Errorf("freed %d times, want again after the next flood", len(freed))
		}
	})
}
