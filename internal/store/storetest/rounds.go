package storetest

import (
	"os"
	"strconv"
	"testing"
)

// RoundsEnv names the variable that says how often each test ends a hub or takes its power
// away; "make crash" sets it.
const RoundsEnv = "BERTH_CRASH_ROUNDS"

// Rounds is how often a test does so: RoundsEnv, else as often as is usual for it, and a
// third of that with -short.
func Rounds(tb testing.TB, usual int) int {
	tb.Helper()
	text := os.Getenv(RoundsEnv)
	if text == "" && testing.Short() {
		return (usual + 2) / 3
	}
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		tb.Fatalf("%s is %q, want a number of rounds", RoundsEnv, text)
	}
	return n
}
