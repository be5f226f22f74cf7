package device

import "time"

// Partition is where one partition of the telemetry log stands.
type Partition struct {
	Empty        bool      // nothing was ever written; the rest is zero
	First        uint64    // sequence of the earliest event kept
	Last         uint64    // sequence of the newest event
	LastOffset   uint64    // its offset
	LastEnqueued time.Time // its enqueued time, UTC
}
