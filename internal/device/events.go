package device

import (
	"context"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// Start says where a reader of the telemetry log begins. The zero Start is the
// earliest event kept.
type Start struct {
	At       StartAt
	Sequence uint64    // StartSequence: the first event with this sequence or a greater one
	Offset   uint64    // StartOffset: the first event with this offset or a greater one
	Time     time.Time // StartTime: the first event enqueued at this time or later
}

// StartAt is the closed set of places to start reading at.
type StartAt uint8

// The places to start reading at.
const (
	StartEarliest StartAt = iota
	StartSequence
	StartOffset
	StartTime
	StartEnd // only what comes after the reader was made
)

// EventReader reads one partition in order, for ever.
type EventReader interface {
	// Next waits until there is at least one event, or ctx ends, and gives a run of them.
	// The slice is the reader's and is used again by the next call; what the events
	// point to stays valid. An event that retention removed before the reader came to it
	// is skipped. A checksum error is returned once and the reader stands behind the
	// damaged block.
	Next(ctx context.Context) ([]iot.Event, error)
	// Close lets go of what the reader holds.
	Close()
}
