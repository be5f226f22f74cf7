package c2d

import (
	"encoding/binary"
	"fmt"

	"github.com/berth-iot/berth/internal/store"
)

// notice is one message for back-ends.
type notice struct {
	enqueued uint64 // Unix milliseconds
	due      uint64 // when it expires, in milliseconds of the hub's clock
	count    uint8  // abandoned deliveries
	body     []byte
}

// The record of a message for back-ends, version 1, numbers as uvarints:
//
//	version    1 byte, 1
//	count      1 byte, abandoned deliveries
//	enqueued   Unix milliseconds
//	due        milliseconds of the hub's clock
//	body       the rest: JSON
const noticeVersion = 1

func (n *notice) encode() []byte {
	b := append(make([]byte, 0, 24+len(n.body)), noticeVersion, n.count)
	b = binary.AppendUvarint(b, n.enqueued)
	b = binary.AppendUvarint(b, n.due)
	return append(b, n.body...)
}

// decodeNotice reads the record; the body is a part of b. Errors as decodeQueue.
func decodeNotice(b []byte) (notice, error) {
	d := store.NewDecoder(b)
	if len(b) > maxNotice {
		d.Fail()
	}
	if v := d.Byte(); d.Ok() && v != noticeVersion {
		return notice{}, fmt.Errorf("%w: message for back-ends of version %d", store.ErrFormat, v)
	}
	n := notice{count: d.Byte(), enqueued: d.Uvarint(), due: d.Uvarint()}
	n.body = d.Rest()
	if len(n.body) == 0 {
		return notice{}, fmt.Errorf("%w: message for back-ends of %d bytes", store.ErrCorrupt, len(b))
	}
	return n, nil
}
