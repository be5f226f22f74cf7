package arbiter

import (
	"testing"
	"time"
)

// TestStepAllocatesLittle keeps the cost of a takeover small: the slice and a box for
// each action, nothing that stays with the state.
func TestStepAllocatesLittle(t *testing.T) {
	var s State
	now, e := time.Now(), Epoch{Generation: 1}
	takeover := testing.AllocsPerRun(100, func() {
		e.Counter++
		s.Step(now, Claim{Epoch: e})
	})
	if takeover > 7 {
		t.Errorf("a takeover allocates %v times, want at most 7", takeover)
	}
	if stale := testing.AllocsPerRun(100, func() { s.Step(now, Release{Epoch{1, 1}}) }); stale > 1 {
		t.Errorf("a stale goodbye allocates %v times, want at most 1", stale)
	}
}

func TestCauseHasAWord(t *testing.T) {
	seen := make(map[string]bool)
	for c := TakenOver; c <= Stopped; c++ {
		if s := c.String(); s == "unknown" || s == "none" || seen[s] {
			t.Errorf("cause %d is called %q", c, s)
		}
		seen[c.String()] = true
	}
	if got := (Stopped + 1).String(); got != "unknown" {
		t.Errorf("a cause that is none is called %q", got)
	}
}
