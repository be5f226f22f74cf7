package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// partition is one ordered log: the block under construction, the blocks that wait
// for the committer, and what readers need of those that are durable.
type partition struct {
	// fixed

	id uint32

	// guarded by mu; end is written by the committer alone, which reads it without

	mu         sync.Mutex
	open       building
	sealed     []pending    // full blocks, oldest first
	bytes      int          // appended and not yet durable
	stalled    []*Writer    // wait for room
	spare      [][]waiter   // emptied lists, used again
	idleChunks []*chunk     // emptied chunks, used again
	end        cursor       // behind the last durable message
	marks      []store.Mark // in order; the first is the earliest block kept
	readers    int          // that are open: without any, the ring is empty
	ring       ring
	changed    chan struct{} // closed at the next commit; nil if nobody waits
	closed     bool
}

// building is the block under construction: it lies at the end of a chunk.
type building struct {
	chunk   *chunk // nil before the first block
	start   int    // what precedes it in the chunk is sealed
	count   uint32
	last    int // where the last message begins, from start
	waiters []waiter
}

// waiter says whose messages a block holds: n of them, the first at index at.
type waiter struct {
	w  *Writer
	n  uint32
	at uint32
}

// pending is a block whose messages are complete and whose header is not written.
type pending struct {
	chunk   *chunk
	buf     []byte
	count   uint32
	last    int
	waiters []waiter
}

// cursor is a position behind a message.
type cursor struct {
	sequence uint64 // next
	offset   uint64 // next
	last     uint64 // offset of the last message
	time     int64  // enqueued time of the last message, Unix milliseconds
	mark     store.Mark
	marked   bool
}

// append copies one message into the block under construction. The caller holds mu.
func (p *partition) append(w *Writer, m *iot.Raw) {
	size := messageSize(w.stamp, m)
	o := &p.open
	need := size
	if o.count == 0 {
		need += headerSize
	}
	p.roomFor(need)
	c := o.chunk
	if o.count == 0 {
		o.start = len(c.buf)
		c.buf = c.buf[:o.start+headerSize]
	}
	o.last = len(c.buf) - o.start
	c.buf = appendMessage(c.buf, w.stamp, m)
	if n := len(o.waiters); n > 0 && o.waiters[n-1].w == w {
		o.waiters[n-1].n++
	} else {
		o.waiters = append(o.waiters, waiter{w: w, n: 1, at: o.count})
	}
	o.count++
	p.bytes += size
}

// seal ends the block under construction; the next one follows it in the chunk, or
// begins another. The caller holds mu.
func (p *partition) seal() {
	o := &p.open
	if o.count == 0 {
		return
	}
	end := len(o.chunk.buf)
	p.sealed = append(p.sealed, pending{
		chunk: o.chunk, buf: o.chunk.buf[o.start:end:end], count: o.count, last: o.last, waiters: o.waiters,
	})
	o.chunk.live++
	o.start, o.count, o.last, o.waiters = end, 0, 0, nil
	if n := len(p.spare); n > 0 {
		o.waiters = p.spare[n-1]
		p.spare = p.spare[:n-1]
	}
}

// take gives the oldest blocks, at most budget bytes of them.
func (p *partition) take(budget int) []pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for ; n < len(p.sealed) && size+len(p.sealed[n].buf) <= budget; n++ {
		size += len(p.sealed[n].buf)
	}
	if n == len(p.sealed) && p.open.count > 0 && size+len(p.open.chunk.buf)-p.open.start <= budget {
		p.seal()
		p.turn()
		n++
	}
	taken := p.sealed[:n:n]
	if p.sealed = p.sealed[n:]; len(p.sealed) == 0 {
		p.sealed = nil
	}
	return taken
}

// idle reports whether nothing waits for the committer.
func (p *partition) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open.count == 0 && len(p.sealed) == 0
}

// recycle keeps an emptied waiter list for the next block. The caller holds mu.
func (p *partition) recycle(ws []waiter) {
	const spares = 4
	if len(p.spare) < spares {
		clear(ws)
		p.spare = append(p.spare, ws[:0])
	}
}

// roomy gives the writers to wake if there is room again. The caller holds mu.
func (p *partition) roomy() []*Writer {
	if len(p.stalled) == 0 || p.bytes > maxPending/2 {
		return nil
	}
	woken := p.stalled
	p.stalled = nil
	for _, w := range woken {
		w.stalled = false
	}
	return woken
}

// kept is the earliest sequence kept. The caller holds mu.
func (p *partition) kept() uint64 {
	if len(p.marks) == 0 {
		return 0
	}
	return p.marks[0].Sequence
}

func (p *partition) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

func (p *partition) describe() PartitionInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end.sequence == 0 {
		return PartitionInfo{ID: int(p.id), Empty: true}
	}
	return PartitionInfo{
		ID: int(p.id), First: p.kept(), Last: p.end.sequence - 1,
		LastOffset: p.end.last, LastEnqueued: time.UnixMilli(p.end.time).UTC(),
	}
}

// forget drops the marks before the sequence.
func (p *partition) forget(before uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.marks, func(m store.Mark) bool { return m.Sequence >= before })
	if i > 0 {
		p.marks = slices.Clone(p.marks[i:])
	}
}
