package c2d

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// queue is what is pending for one identity, as it is stored: order, times and counts,
// but no message. It is a value and knows no clock. The zero queue is empty.
type queue struct {
	generation uint64  // of the identity: what was sent to an earlier one of the same name is not for it
	number     uint16  // the last that was given
	entries    []entry // by sequence; at most iot.MaxPendingMessages
}

// entry is one message of a queue.
type entry struct {
	sequence uint64
	number   uint16 // see iot.LockedMessage
	enqueued uint64 // Unix milliseconds
	due      uint64 // when it expires, in milliseconds of the hub's clock
	size     uint32 // as iot.CloudMessage.Size
	count    uint8  // abandoned deliveries
	ack      iot.AckMode
	sent     bool // a receiver was given it and did not settle it
}

// clone gives a copy that may be changed.
func (q *queue) clone() queue {
	c := *q
	c.entries = slices.Clone(q.entries)
	return c
}

// find gives the place of a message, or -1.
func (q *queue) find(sequence uint64) int {
	i, ok := slices.BinarySearchFunc(q.entries, sequence, func(e entry, s uint64) int {
		switch {
		case e.sequence < s:
			return -1
		case e.sequence > s:
			return 1
		}
		return 0
	})
	if !ok {
		return -1
	}
	return i
}

// add appends a message under the next number that none has.
func (q *queue) add(e entry) entry {
	for {
		q.number++
		if q.number != 0 && !slices.ContainsFunc(q.entries, func(o entry) bool { return o.number == q.number }) {
			break
		}
	}
	e.number = q.number
	q.entries = append(q.entries, e)
	return e
}

// remove takes a message out.
func (q *queue) remove(sequence uint64) {
	if i := q.find(sequence); i >= 0 {
		q.entries = slices.Delete(q.entries, i, i+1)
	}
}

// due is the first moment at which something expires; of an empty queue the last there is.
func (q *queue) due() uint64 {
	first := ^uint64(0)
	for i := range q.entries {
		first = min(first, q.entries[i].due)
	}
	return first
}

// pending counts what waits for an identity of this generation and has not expired.
func (q *queue) pending(generation, now uint64) int {
	n := 0
	for i := range q.entries {
		if q.generation == generation && q.entries[i].due > now {
			n++
		}
	}
	return n
}

// The queue record, version 1, numbers as uvarints:
//
//	version    1 byte, 1
//	generation
//	number     the last given
//	count      1 to 50, then as many messages:
//	  sequence less that of the message before it
//	  number   1 to 65535
//	  enqueued Unix milliseconds
//	  due      milliseconds of the hub's clock
//	  size     bytes
//	  count    1 byte, abandoned deliveries
//	  flags    1 byte: low 3 bits iothub-ack (iot.AckMode), 8 was given to a receiver
const (
	queueVersion = 1
	flagSent     = 8
	flagAck      = 7
)

func (q *queue) encode() []byte {
	b := make([]byte, 0, 16+32*len(q.entries))
	b = append(b, queueVersion)
	b = binary.AppendUvarint(b, q.generation)
	b = binary.AppendUvarint(b, uint64(q.number))
	b = binary.AppendUvarint(b, uint64(len(q.entries)))
	last := uint64(0)
	for _, e := range q.entries {
		for _, n := range [...]uint64{e.sequence - last, uint64(e.number), e.enqueued, e.due, uint64(e.size)} {
			b = binary.AppendUvarint(b, n)
		}
		last = e.sequence
		flags := byte(e.ack)
		if e.sent {
			flags |= flagSent
		}
		b = append(b, e.count, flags)
	}
	return b
}

// decodeQueue reads a queue record. A newer version is store.ErrFormat, anything else
// that is wrong store.ErrCorrupt.
func decodeQueue(b []byte) (queue, error) {
	d := store.NewDecoder(b)
	if v := d.Byte(); d.Ok() && v != queueVersion {
		return queue{}, fmt.Errorf("%w: message queue of version %d", store.ErrFormat, v)
	}
	q := queue{generation: d.Uvarint(), number: uint16(d.AtMost(1<<16 - 1))}
	n := d.AtMost(iot.MaxPendingMessages)
	if n == 0 { // an empty queue has no record
		d.Fail()
	}
	last := uint64(0)
	for range n {
		if !d.Ok() {
			break
		}
		e := entry{sequence: last + d.Uvarint(), number: uint16(d.AtMost(1<<16 - 1)), enqueued: d.Uvarint(), due: d.Uvarint()}
		e.size, e.count = uint32(d.AtMost(iot.MaxCloudMessage)), d.Byte()
		flags := d.Byte()
		e.ack, e.sent = iot.AckMode(flags&flagAck), flags&flagSent != 0
		twice := slices.ContainsFunc(q.entries, func(o entry) bool { return o.number == e.number })
		if e.sequence <= last || e.number == 0 || twice || flags > flagAck|flagSent || e.ack > iot.AckFull {
			d.Fail()
		}
		last = e.sequence
		q.entries = append(q.entries, e)
	}
	if !d.Done() {
		return queue{}, fmt.Errorf("%w: message queue of %d bytes", store.ErrCorrupt, len(b))
	}
	return q, nil
}
