package rig

import (
	"context"
	"testing"
	"time"
)

// Within is how long a test waits for what should happen soon.
const Within = 15 * time.Second

// Until asks done again and again until it says yes; after Within the test fails with
// what.
func Until(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	if !until(tb.Context(), Within, done) {
		tb.Fatalf("waited %v in vain: %s", Within, what)
	}
}

func until(ctx context.Context, within time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// Receive takes the next value of c, or learns that c is closed; after Within the test
// fails with what.
func Receive[T any](tb testing.TB, c <-chan T, what string) T {
	tb.Helper()
	var v T
	select {
	case v = <-c: // the zero value of a closed channel is an answer too
	case <-time.After(Within):
		tb.Fatalf("waited %v in vain: %s", Within, what)
	}
	return v
}
