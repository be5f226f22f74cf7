package amqp

import (
	"container/list"
	"sync"

	"github.com/berth-iot/berth/internal/event"
	"github.com/berth-iot/berth/internal/iot"
)

// encoded keeps runs of events as messages, so that readers at the same place share the
// work. What is kept is bounded by maxEncoded bytes, the longest unused going first.
type encoded struct {
	mu    sync.Mutex
	runs  map[runKey]*list.Element
	order list.List // of *batch, the latest used first
	bytes int
	spare sync.Pool // of *event.Encoder
}

// runKey names a run: where it begins and how long it is.
type runKey struct {
	partition int
	first     uint64
	count     int
}

// batch is a run of events as messages, one behind the other.
type batch struct {
	partition int
	first     uint64
	bytes     []byte
	ends      []uint32
}

func (b *batch) count() int { return len(b.ends) }

// message gives one message; its bytes are only read.
func (b *batch) message(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = b.ends[i-1]
	}
	return b.bytes[from:b.ends[i]:b.ends[i]]
}

// of gives the messages of a run of events, whose sequences follow each other.
func (x *encoded) of(events []iot.Event) *batch {
	key := runKey{events[0].Partition, events[0].Sequence, len(events)}
	if b := x.find(key); b != nil {
		return b
	}
	b := x.encode(events)
	x.keep(key, b)
	return b
}

func (x *encoded) find(key runKey) *batch {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.runs[key]
	if e == nil {
		return nil
	}
	x.order.MoveToFront(e)
	b, _ := e.Value.(*batch)
	return b
}

// encode writes the messages.
func (x *encoded) encode(events []iot.Event) *batch {
	enc, ok := x.spare.Get().(*event.Encoder)
	if !ok {
		enc = new(event.Encoder)
	}
	defer x.spare.Put(enc)
	b := &batch{partition: events[0].Partition, first: events[0].Sequence, ends: make([]uint32, 0, len(events))}
	size := 0
	for i := range events {
		size += events[i].Raw.Size() + messageAround
	}
	b.bytes = make([]byte, 0, size)
	for i := range events {
		b.bytes = enc.Append(b.bytes, &events[i])
		b.ends = append(b.ends, uint32(len(b.bytes)))
	}
	return b
}

// keep remembers a run, at the cost of those unused for longest.
func (x *encoded) keep(key runKey, b *batch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.runs[key] != nil || len(b.bytes) > maxEncoded/4 {
		return
	}
	if x.runs == nil {
		x.runs = make(map[runKey]*list.Element)
	}
	x.runs[key] = x.order.PushFront(b)
	x.bytes += cap(b.bytes)
	for x.bytes > maxEncoded {
		e := x.order.Back()
		old, _ := e.Value.(*batch)
		x.order.Remove(e)
		delete(x.runs, runKey{old.partition, old.first, old.count()})
		x.bytes -= cap(old.bytes)
	}
}
