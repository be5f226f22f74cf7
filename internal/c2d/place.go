package c2d

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// place is where one identity's requests meet while something happens to it, or while a
// consumer is there.
type place struct {
	// fixed

	q     *Queues
	shard *shard
	id    iot.Identity

	// guarded by shard.mu

	refs int // consumers, workers, and callers on their way to one

	// guarded by deadlines.mu

	lapse lapse // when the first lock ends

	// guarded by mu

	mu       sync.Mutex
	waiting  []*request
	running  bool // a worker is here
	loaded   bool // queue and rev are those of the store
	queue    queue
	rev      store.Rev
	consumer *Consumer                     // nil: nobody listens
	held     []held                        // in the order of their locks; after the consumer has gone those that are being settled
	ready    map[uint64]*iot.LockedMessage // read ahead for the consumer, not locked
	again    map[uint64]struct{}           // given before and not settled, and not stored so yet
	barred   []uint64                      // about to be removed by the worker: not to be given
	unread   map[uint64]struct{}           // could not be read
}

// held is a message that a consumer was given.
type held struct {
	by        *Consumer
	sequence  uint64
	lock      iot.LockToken
	until     time.Duration // on the monotonic clock
	messageID string
	settling  bool // its outcome is on its way to the store: no other can have it
}

// ask puts a request in line and sees to it that somebody performs it. The caller keeps
// the place alive.
func (p *place) ask(r *request) error {
	if !p.shard.hire(p) {
		return stopping("c2d.queue")
	}
	p.mu.Lock()
	crowded := r.kind == toSend && len(p.waiting) >= maxWaiting
	if !crowded {
		p.waiting = append(p.waiting, r)
	}
	start := !p.running && !crowded
	p.running = p.running || start
	p.mu.Unlock()
	p.begin(start)
	if crowded {
		return fault.New(fault.ThrottleBacklogLimitExceeded, opSend, "%d messages for %s wait to be stored already", maxWaiting, p.id)
	}
	return nil
}

// begin starts a worker that was hired, or lets it go.
func (p *place) begin(start bool) {
	if !start {
		p.shard.fire(p)
		return
	}
	go func() { // Close waits for it: see shard.hire
		defer p.shard.fire(p)
		p.work()
	}()
}

// poke sees to it that what a consumer waits for is read.
func (p *place) poke() {
	if !p.shard.hire(p) {
		return
	}
	p.mu.Lock()
	start := !p.running
	p.running = true
	p.mu.Unlock()
	p.begin(start)
}

// work performs what waits, until nothing does.
func (p *place) work() {
	ctx := context.Background()
	for {
		if err := p.load(ctx); err != nil {
			p.refuse(err)
			return
		}
		rs, sequences := p.next()
		switch {
		case len(rs) > 0:
			p.perform(ctx, rs)
		case len(sequences) > 0:
			p.fill(ctx, sequences)
		default:
			return
		}
	}
}

// load reads the queue, unless it is known.
func (p *place) load(ctx context.Context) error {
	p.mu.Lock()
	loaded := p.loaded
	p.mu.Unlock()
	if loaded {
		return nil
	}
	rec, err := p.q.records.Get(ctx, queueKey(p.id))
	q, rev := queue{}, store.Absent
	if err == nil {
		rev = rec.Rev
		q, err = decodeQueue(rec.Value)
	} else if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return store.Fault(err, "c2d.load", unstored)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.rev, p.loaded = q, rev, true
	return nil
}

// refuse ends the work because the queue cannot be read. Whoever removes it may do so
// all the same.
func (p *place) refuse(err error) {
	p.mu.Lock()
	rs := p.waiting
	p.waiting, p.running = nil, false
	p.settled(rs)
	p.mu.Unlock()
	p.q.log.Error("a queue of cloud-to-device messages cannot be read; purging it or deleting the device removes it",
		slog.String("op", "c2d.load"), slog.String("device", p.id.Device), slog.String("module", p.id.Module), slog.Any("err", err))
	for _, r := range rs {
		switch {
		case r.kind == toPurge, r.kind == toForget:
			n, err := p.q.wreck(context.Background(), p.id)
			r.answer(result{n, err})
		case r.kind == toSweep && errors.Is(err, store.ErrCorrupt): // trying again would not help
			r.answer(result{})
		default:
			r.answer(result{err: err})
		}
	}
}

// next gives the requests that are performed together, or else the messages to read for
// the consumer; with neither, the worker's work is over.
func (p *place) next() ([]*request, []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, size := 0, 0
	for n < min(len(p.waiting), maxTurnRequests) && (n == 0 || size+len(p.waiting[n].record) <= maxTurnBytes) {
		size += len(p.waiting[n].record)
		n++
	}
	rs := p.waiting[:n:n]
	if p.waiting = p.waiting[n:]; len(p.waiting) == 0 {
		p.waiting = nil
	}
	if n > 0 {
		return rs, nil
	}
	if wanted := p.wanted(); len(wanted) > 0 {
		return nil, wanted
	}
	p.running = false
	if p.consumer == nil { // the store knows all
		p.loaded, p.queue = false, queue{}
		p.ready, p.again, p.unread = nil, nil, nil
	}
	return nil, nil
}

// perform makes one batch of the requests, applies it, and tells what became of them.
func (p *place) perform(ctx context.Context, rs []*request) {
	var t *turn
	var results []result
	var rev store.Rev
	err := store.ErrConflict
	for range maxAttempts {
		if err = p.load(ctx); err != nil {
			break
		}
		t = p.turn(rs)
		results = t.run(ctx, rs)
		if rev, err = p.q.apply(ctx, t); !errors.Is(err, store.ErrConflict) {
			break
		}
		p.mu.Lock()
		p.loaded = false // somebody else wrote it
		p.mu.Unlock()
	}
	if err != nil {
		err = store.Fault(err, "c2d.queue", unstored)
	}
	p.finish(t, rs, rev, err)
	if err != nil {
		_, hub := p.q.clock.now()
		p.q.deadlines.rescan(hub + uint64(retryEvery.Milliseconds())) // what expired was left
	}
	for i, r := range rs {
		if err != nil {
			r.answer(result{err: err})
		} else {
			r.answer(results[i])
		}
	}
	if err == nil && t.changed {
		p.q.told(t)
		if p.q.deadlines.note(t.queue.due()) {
			p.askQuietly(&request{kind: toSweep}) //nolint:contextcheck // the work outlives whoever asks for it
		}
	}
}

// askQuietly is ask for what nobody waits for: if the hub is stopping, the next start
// does it.
func (p *place) askQuietly(r *request) { _ = p.ask(r) }

// turn begins a turn: what it may remove is not given to anybody meanwhile.
func (p *place) turn(rs []*request) *turn {
	wall, hub := p.q.clock.now()
	all := slices.ContainsFunc(rs, func(r *request) bool { return r.kind == toPurge || r.kind == toForget })
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &turn{q: p.q, id: p.id, wall: wall, hub: hub, rev: p.rev, queue: p.queue.clone(), began: len(p.queue.entries)}
	for i := range p.held {
		t.held = append(t.held, p.held[i].sequence)
	}
	p.barred = nil
	for _, e := range p.queue.entries {
		if all || e.due <= hub && !slices.Contains(t.held, e.sequence) {
			p.barred = append(p.barred, e.sequence)
		}
	}
	return t
}

// run performs the requests in memory.
func (t *turn) run(ctx context.Context, rs []*request) []result {
	t.sweep(ctx)
	results := make([]result, len(rs))
	for i, r := range rs {
		results[i] = t.do(ctx, r)
	}
	return results
}

// finish takes over what was stored, or undoes what was not.
func (p *place) finish(t *turn, rs []*request, rev store.Rev, err error) {
	var wake func()
	elapsed := p.q.clock.elapsed()
	p.mu.Lock()
	p.barred = nil
	if err == nil {
		p.queue, p.rev = t.queue, rev
		p.prefetch(t)
		p.settledAll(rs)
	} else {
		p.settled(rs)
	}
	p.held = slices.DeleteFunc(p.held, func(h held) bool {
		return p.queue.find(h.sequence) < 0 || !h.settling && (h.by != p.consumer || h.until <= elapsed)
	})
	for sequence := range p.ready {
		if p.queue.find(sequence) < 0 {
			delete(p.ready, sequence)
		}
	}
	for sequence := range p.again {
		if i := p.queue.find(sequence); i < 0 || p.queue.entries[i].sent {
			delete(p.again, sequence)
		}
	}
	if p.consumer != nil && p.consumer.want > 0 && p.givable() {
		wake = p.consumer.hooks.Wake
	}
	p.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// settled undoes the settlements among rs: the locks are as they were.
func (p *place) settled(rs []*request) {
	for _, r := range rs {
		if i := p.holding(r); i >= 0 {
			p.held[i].settling = false
		}
	}
}

// settledAll ends the locks that rs settled: what was abandoned is free.
func (p *place) settledAll(rs []*request) {
	for _, r := range rs {
		if i := p.holding(r); i >= 0 {
			p.held = slices.Delete(p.held, i, i+1)
		}
	}
}

// holding gives the lock that a request settles, or -1.
func (p *place) holding(r *request) int {
	if r.kind != toSettle {
		return -1
	}
	return slices.IndexFunc(p.held, func(h held) bool { return h.sequence == r.sequence && h.settling })
}

// prefetch keeps the messages that were just stored for a consumer that waits for them.
func (p *place) prefetch(t *turn) {
	if p.consumer == nil || p.consumer.generation != t.queue.generation {
		return
	}
	size := 0
	for _, m := range p.ready {
		size += m.Size()
	}
	for _, put := range t.puts {
		size += int(put.entry.size)
		if len(p.ready) >= min(p.consumer.want, fillMessages) || size > fillBytes {
			return
		}
		if m, err := decodeMessage(put.record); err == nil {
			p.keep(put.entry, m)
		}
	}
}

// keep holds a message ready for the consumer.
func (p *place) keep(e entry, m iot.CloudMessage) {
	if p.ready == nil {
		p.ready = make(map[uint64]*iot.LockedMessage)
	}
	p.ready[e.sequence] = &iot.LockedMessage{
		CloudMessage: m, Sequence: e.sequence, Number: e.number, Enqueued: time.UnixMilli(int64(e.enqueued)).UTC(),
	}
}

// free reports whether a message may be given to the consumer.
func (p *place) free(sequence uint64) bool {
	_, unread := p.unread[sequence]
	return !unread && !slices.Contains(p.barred, sequence) &&
		!slices.ContainsFunc(p.held, func(h held) bool { return h.sequence == sequence })
}

// givable reports whether the first message that is free is ready.
func (p *place) givable() bool {
	for i := range p.queue.entries {
		if s := p.queue.entries[i].sequence; p.free(s) {
			return p.ready[s] != nil
		}
	}
	return false
}

// wanted gives the messages to read ahead for the consumer: the first that are free, as
// far as it has room.
func (p *place) wanted() []uint64 {
	c := p.consumer
	if c == nil || !p.loaded || c.generation != p.queue.generation {
		return nil
	}
	var list []uint64
	room, size := min(c.want, fillMessages), 0
	for i := range p.queue.entries {
		e := &p.queue.entries[i]
		if !p.free(e.sequence) {
			continue
		}
		size += int(e.size)
		if room--; room < 0 || size > fillBytes && size > int(e.size) {
			break
		}
		if p.ready[e.sequence] == nil {
			list = append(list, e.sequence)
		}
	}
	return list
}

// fill reads messages for the consumer.
func (p *place) fill(ctx context.Context, sequences []uint64) {
	got := make([]iot.CloudMessage, len(sequences))
	failed := make([]bool, len(sequences))
	for i, s := range sequences {
		var err error
		if got[i], err = p.q.readMessage(ctx, p.id, s); err != nil {
			failed[i] = true
			p.q.log.Error("a cloud-to-device message cannot be read; it is not delivered",
				slog.String("op", "c2d.fill"), slog.String("device", p.id.Device), slog.String("module", p.id.Module), slog.Any("err", err))
		}
	}
	var wake func()
	p.mu.Lock()
	for i, s := range sequences {
		at := p.queue.find(s)
		switch {
		case failed[i]:
			if p.unread == nil {
				p.unread = make(map[uint64]struct{})
			}
			p.unread[s] = struct{}{}
		case at >= 0 && p.consumer != nil:
			p.keep(p.queue.entries[at], got[i])
		}
	}
	if p.consumer != nil && p.givable() {
		wake = p.consumer.hooks.Wake
	}
	p.mu.Unlock()
	if wake != nil {
		wake()
	}
}
