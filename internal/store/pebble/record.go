package pebble

import (
	"encoding/binary"
	"fmt"

	"github.com/berth-iot/berth/internal/store"
)

// row is a record as stored: u64 revision, uvarint count of index keys, each uvarint
// length and bytes, then the value (docs/format.md).
type row struct {
	rev   store.Rev
	index []string
	value []byte // borrowed
}

func (r row) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.rev))
	dst = binary.AppendUvarint(dst, uint64(len(r.index)))
	for _, k := range r.index {
		dst = binary.AppendUvarint(dst, uint64(len(k)))
		dst = append(dst, k...)
	}
	return append(dst, r.value...)
}

// decodeRow reads a row; wantIndex says whether the index keys are copied out.
func decodeRow(b []byte, wantIndex bool) (row, error) {
	var r row
	if len(b) < 8 {
		return r, errRow(len(b))
	}
	r.rev = store.Rev(binary.LittleEndian.Uint64(b))
	rest := b[8:]
	count, n := binary.Uvarint(rest)
	if n <= 0 || count > maxIndex {
		return r, errRow(len(b))
	}
	rest = rest[n:]
	for range count {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return r, errRow(len(b))
		}
		if wantIndex {
			r.index = append(r.index, string(rest[n:n+int(size)]))
		}
		rest = rest[n+int(size):]
	}
	r.value = rest
	return r, nil
}

func errRow(n int) error {
	return fmt.Errorf("%w: a record of %d bytes is no record", store.ErrCorrupt, n)
}
