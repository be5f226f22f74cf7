package telemetry

import (
	"log/slog"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
)

// round is what one commit works on; the slices are used again.
type round struct {
	turn   int // whose turn it is to be taken first
	items  []item
	blocks []store.Block
	wakes  []*Writer
}

// item is one block of a commit.
type item struct {
	p     *partition
	taken pending
	block block
	mark  *store.Mark
	after cursor
}

// commitLoop is the one committer: it takes what every partition gathered, commits it
// with one flush, completes the waiters, and never waits for more.
func (l *Log) commitLoop() {
	defer close(l.done)
	for {
		l.gather()
		if len(l.round.items) > 0 {
			l.commit()
			continue
		}
		// In this order: whoever appends, or closes, after we looked sees us asleep.
		l.asleep.Store(true)
		closing := l.closing.Load()
		if l.idle() {
			if closing {
				return
			}
			<-l.wake
			continue
		}
		if !l.asleep.CompareAndSwap(true, false) {
			<-l.wake // somebody woke us meanwhile
		}
	}
}

func (l *Log) idle() bool {
	for _, p := range l.partitions {
		if !p.idle() {
			return false
		}
	}
	return true
}

// gather takes blocks of all partitions up to the budget and writes their headers.
func (l *Log) gather() {
	r := &l.round
	r.items = r.items[:0]
	budget := commitBytes
	now := l.conf.Now().UnixMilli()
	for i := range l.partitions {
		p := l.partitions[(r.turn+i)%len(l.partitions)]
		after := p.end
		for _, taken := range p.take(budget) {
			budget -= len(taken.buf)
			it := finish(p, taken, after, now)
			after = it.after
			r.items = append(r.items, it)
		}
	}
	r.turn++
}

// finish gives a block its place behind at, and its header.
func finish(p *partition, taken pending, at cursor, now int64) item {
	h := header{
		count: taken.count, first: at.sequence, time: max(now, at.time), offset: at.offset,
		length: uint32(len(taken.buf) - headerSize),
	}
	seal(taken.buf, h)
	it := item{p: p, taken: taken, block: block{header: h, body: taken.buf[headerSize:]}, after: at}
	it.after.sequence = h.end()
	it.after.offset = h.offset + uint64(h.length)
	it.after.last = h.offset + uint64(taken.last-headerSize)
	it.after.time = h.time
	when := time.UnixMilli(h.time).UTC()
	if !at.marked || (h.offset-at.mark.Offset >= markBytes && when.Sub(at.mark.Time) >= markEvery) {
		it.mark = &store.Mark{Sequence: h.first, Offset: h.offset, Time: when}
		it.after.mark, it.after.marked = *it.mark, true
	}
	return it
}

// commit stores the blocks of the round and completes their waiters.
func (l *Log) commit() {
	r := &l.round
	r.blocks, r.wakes = r.blocks[:0], r.wakes[:0]
	messages, size := 0, 0
	for i := range r.items {
		it := &r.items[i]
		buf := it.taken.buf
		messages += int(it.block.count)
		size += len(buf)
		r.blocks = append(r.blocks, store.Block{
			Partition: it.p.id, First: it.block.first, Size: len(buf), Mark: it.mark,
			Fill: func(dst []byte) { copy(dst, buf) },
		})
	}
	begun := time.Now()
	if err := l.store.Commit(r.blocks); err != nil {
		l.refuse(messages, err)
	} else {
		l.complete()
		l.conf.Hooks.Committed(time.Since(begun), messages, size)
		if l.failing {
			l.failing = false
			l.logger.Info("telemetry is stored again")
		}
	}
	for _, w := range r.wakes {
		w.wake()
	}
	clear(r.items)
	clear(r.blocks)
	clear(r.wakes)
}

// complete tells writers and readers what is durable.
func (l *Log) complete() {
	r := &l.round
	for i := range r.items {
		it := &r.items[i]
		for _, w := range it.taken.waiters {
			if w.w.durable.Load() == 0 {
				w.w.first.Store(it.block.first + uint64(w.at))
			}
			w.w.durable.Add(uint64(w.n))
			r.wakes = append(r.wakes, w.w)
		}
		changed, stalled := it.p.advance(it)
		r.wakes = append(r.wakes, stalled...)
		if changed != nil {
			close(changed)
		}
	}
}

// advance moves the partition's end behind a stored block and gives who waited for it.
func (p *partition) advance(it *item) (changed chan struct{}, stalled []*Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = it.after
	p.bytes -= int(it.block.length)
	if p.readers > 0 {
		p.ring.push(it.block)
		it.taken.chunk.kept = true
	}
	p.settle(it.taken.chunk)
	if it.mark != nil {
		p.marks = append(p.marks, *it.mark)
	}
	p.recycle(it.taken.waiters)
	changed, p.changed = p.changed, nil
	return changed, p.roomy()
}

// refuse ends every writer whose messages the failed commit held, or that appended
// behind it: of what a writer appended, a prefix is stored.
func (l *Log) refuse(messages int, err error) {
	r := &l.round
	why := store.Fault(err, "telemetry.commit", "the message could not be stored")
	if !l.failing {
		l.failing = true
		l.logger.Error("telemetry cannot be stored and is refused", slog.Any("err", err))
	}
	for i := range r.items {
		it := &r.items[i]
		var stalled []*Writer
		r.wakes, stalled = it.p.drop(it, why, r.wakes)
		r.wakes = append(r.wakes, stalled...)
	}
	l.conf.Hooks.Refused(messages, why)
}

// drop ends the writers of a block that was not stored and of all that waits behind it.
func (p *partition) drop(it *item, why *fault.Error, wakes []*Writer) (failed, stalled []*Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seal()
	behind := append([]pending{it.taken}, p.sealed...)
	p.sealed = nil
	for _, b := range behind {
		p.bytes -= len(b.buf) - headerSize
		p.settle(b.chunk)
		for _, w := range b.waiters {
			w.w.err.CompareAndSwap(nil, why)
			wakes = append(wakes, w.w)
		}
	}
	return wakes, p.roomy()
}
