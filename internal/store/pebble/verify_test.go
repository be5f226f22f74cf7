package pebble

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// chunkOf is a whole record of log 7, or of a manifest.
func chunkOf(log bool, payload []byte) []byte {
	b := make([]byte, 4, syncHeader+len(payload))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(payload)))
	if log {
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(append(b, kindSyncFull), 7), 0)
	} else {
		b = append(b, kindFull)
	}
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b, crc(b[6:]))
	return b
}

// FuzzVerify: no bytes break the check or are refused with anything but damage; a sound
// record is sound, and whichever of its bits changes is noticed.
func FuzzVerify(f *testing.F) {
	whole, manifest := chunkOf(true, []byte("one")), chunkOf(false, []byte("one"))
	f.Add([]byte{}, true, uint16(0))
	f.Add([]byte("a record"), true, uint16(50))
	f.Add(append(append([]byte(nil), whole...), whole...), true, uint16(3))
	f.Add(append(append([]byte(nil), manifest...), manifest[:9]...), false, uint16(40))
	f.Fuzz(func(t *testing.T, data []byte, log bool, bit uint16) {
		if len(data) > 4096 {
			return
		}
		base := "MANIFEST-000007"
		if log {
			base = "000007.log"
		}
		check := func(text []byte) error {
			err := verify(vfs.NewMemFile(text), base)
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("refused with %v", err)
			}
			return err
		}
		_ = check(data)
		record := chunkOf(log, data)
		if err := check(record); err != nil {
			t.Fatalf("a sound record: %v", err)
		}
		at := int(bit) % (8 * len(record))
		record[at/8] ^= 1 << (at % 8)
		if check(record) == nil {
			t.Fatalf("bit %d has changed, and nobody noticed", at)
		}
	})
}
