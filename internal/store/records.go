package store

import (
	"context"
	"errors"
)

// Errors of the store. An engine wraps them with what it knows.
var (
	// ErrNotFound: no record has the key.
	ErrNotFound = errors.New("store: not found")
	// ErrConflict: a record's revision is not the one that the write demanded. Nothing
	// of the batch was written.
	ErrConflict = errors.New("store: revision conflict")
	// ErrFull: the disk is at its reserve, or too much waits to be tidied up; reads go on,
	// writes recover by themselves when there is room again.
	ErrFull = errors.New("store: disk full")
	// ErrCorrupt: a checksum did not match. The error names the file; only this read is
	// refused.
	ErrCorrupt = errors.New("store: corrupt")
	// ErrFormat: the data was written by a newer version of Berth.
	ErrFormat = errors.New("store: newer format")
	// ErrClosed: the engine is closed.
	ErrClosed = errors.New("store: closed")
)

// Rev is the revision of a record: it only grows, and is never used again for the
// same key, also after a delete.
type Rev uint64

// Revisions with a meaning of their own in Write.If.
const (
	Absent Rev = 0           // the record must not exist
	Any    Rev = ^Rev(0)     // whatever is there
	Exists Rev = ^Rev(0) - 1 // a record must exist
)

// Record is one value and its revision.
type Record struct {
	Key   string
	Value []byte
	Rev   Rev
}

// Write is one change of a batch.
type Write struct {
	Key    string
	Value  []byte // ignored when Delete is set
	Delete bool
	If     Rev // demanded revision: Absent, Any, Exists, or one that Get gave
	// Index is the whole set of secondary keys of the record after this write. The
	// engine removes what an earlier write of the key had set. Index keys live in a
	// key space of their own and each names its record.
	Index []string
}

// Delta adds N to the counter Key within a batch.
type Delta struct {
	Key string
	N   int64
}

// Batch is applied whole or not at all. A key stands in Writes at most once.
type Batch struct {
	Writes []Write
	Deltas []Delta
}

// Records keeps values under ordered keys.
type Records interface {
	// Get reads one record: ErrNotFound if there is none.
	Get(ctx context.Context, key string) (Record, error)
	// Apply checks every demanded revision, then writes the batch, durable when it
	// returns. It gives the new revision of each write (0 for a delete).
	Apply(ctx context.Context, b Batch) ([]Rev, error)
	// Scan calls f for the records whose key has the prefix and is greater than after,
	// in key order, until f returns false. The record's bytes are f's until it returns.
	Scan(ctx context.Context, prefix, after string, f func(Record) bool) error
	// ScanIndex calls f with each index key of the prefix, greater than after, in order,
	// and the key of its record, until f returns false.
	ScanIndex(ctx context.Context, prefix, after string, f func(index, key string) bool) error
	// Counter reads a counter; one never touched is 0.
	Counter(ctx context.Context, key string) (int64, error)
}
