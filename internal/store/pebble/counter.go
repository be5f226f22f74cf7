package pebble

import (
	"encoding/binary"
	"fmt"
	"io"

	kv "github.com/cockroachdb/pebble/v2"

	"github.com/berth-iot/berth/internal/store"
)

// sumName is stored in every table: it can never change.
const sumName = "berth.sum.1"

// sum adds counters: operands and results are int64, little-endian.
func sum() *kv.Merger {
	return &kv.Merger{
		Name: sumName,
		Merge: func(_, value []byte) (kv.ValueMerger, error) {
			m := &adder{}
			return m, m.MergeNewer(value)
		},
	}
}

type adder struct{ n int64 }

// MergeNewer adds an operand.
func (a *adder) MergeNewer(value []byte) error {
	if len(value) != 8 {
		return fmt.Errorf("%w: a counter of %d bytes", store.ErrCorrupt, len(value))
	}
	a.n += int64(binary.LittleEndian.Uint64(value))
	return nil
}

// MergeOlder adds an operand: addition commutes.
func (a *adder) MergeOlder(value []byte) error { return a.MergeNewer(value) }

// Finish gives the sum.
func (a *adder) Finish(bool) ([]byte, io.Closer, error) {
	return binary.LittleEndian.AppendUint64(nil, uint64(a.n)), nil, nil
}
