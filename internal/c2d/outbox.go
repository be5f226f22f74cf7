package c2d

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// outbox is a queue of messages for back-ends, of one kind. Its receivers compete. It
// may be long: only what receivers hold, and what came back from them, is in memory.
type outbox struct {
	// fixed

	q           *Queues
	kind        string
	contentType string

	// guarded by deadlines.mu

	lapse lapse

	// guarded by mu

	mu        sync.Mutex
	closed    bool
	running   bool        // a worker is here
	receivers []*Receiver // in the order in which they are served next
	settles   []settlement
	returned  []uint64 // messages that came back, ascending
	behind    uint64   // those after this one were given to nobody yet
	more      bool     // there may be some of these
}

// settlement is the outcome of a message on its way to the store.
type settlement struct {
	receiver *Receiver
	tag      uint64
	outcome  device.Outcome
	sequence uint64
}

// grant is a message found for a receiver.
type grant struct {
	receiver *Receiver
	sequence uint64
	notice   notice
	err      error // it cannot be read, or is gone
}

func newOutbox(q *Queues, kind, contentType string) *outbox {
	return &outbox{q: q, kind: kind, contentType: contentType, more: true, lapse: lapse{index: -1}}
}

func (o *outbox) key(sequence uint64) string { return noticeKey(o.kind, sequence) }

func (o *outbox) counter() string { return noticeKeys + o.kind }

// store writes a new message, in one batch with the writes beside it, and tells whoever
// waits for one.
func (o *outbox) store(n notice, beside []store.Write) error {
	ctx := context.Background()
	sequence := o.q.nextSequence()
	key := o.key(sequence)
	b := store.Batch{
		Writes: append(slices.Clone(beside), store.Write{
			Key: key, Value: n.encode(), If: store.Absent, Index: []string{dueKey(n.due, key)},
		}),
		Deltas: []store.Delta{{Key: o.counter(), N: 1}},
	}
	if err := o.makeRoom(ctx, &b); err != nil {
		return err
	}
	if _, err := o.q.records.Apply(ctx, b); err != nil {
		return err
	}
	o.mu.Lock()
	o.more = true
	o.mu.Unlock()
	o.poke()
	if o.q.deadlines.note(n.due) {
		return o.expire([]uint64{sequence})
	}
	return nil
}

// makeRoom drops the oldest message that nobody holds if there are too many.
func (o *outbox) makeRoom(ctx context.Context, b *store.Batch) error {
	count, err := o.q.records.Counter(ctx, o.counter())
	if err != nil || count < maxNotices {
		return err
	}
	held := o.heldSequences()
	err = o.q.records.Scan(ctx, noticePrefix(o.kind), "", func(rec store.Record) bool {
		_, sequence, ok := noticeOf(rec.Key)
		if ok && slices.Contains(held, sequence) {
			return true
		}
		b.Writes = append(b.Writes, store.Write{Key: rec.Key, Delete: true, If: store.Any})
		b.Deltas[0].N--
		return false
	})
	o.q.log.Warn("too many messages for back-ends wait, and nobody takes them: the oldest is dropped",
		slog.String("op", "c2d.outbox"), slog.String("kind", o.kind), slog.Int64("count", count))
	return err
}

// heldSequences gives the messages that receivers hold.
func (o *outbox) heldSequences() []uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []uint64
	for _, r := range o.receivers {
		for i := range r.held {
			list = append(list, r.held[i].sequence)
		}
	}
	for _, s := range o.settles {
		list = append(list, s.sequence)
	}
	return list
}

// poke sees to it that receivers are served.
func (o *outbox) poke() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pokeLocked()
}

// pokeLocked is poke; mu is held.
func (o *outbox) pokeLocked() {
	if o.closed || o.running {
		return
	}
	o.running = true
	o.q.workers.Go(o.work)
}

// close refuses further work.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

// work settles and serves until there is nothing left to do.
func (o *outbox) work() {
	ctx := context.Background()
	for {
		o.mu.Lock()
		settles := o.settles
		o.settles = nil
		var wanted []grant
		if len(settles) == 0 {
			wanted = o.wanted()
		}
		if len(settles) == 0 && len(wanted) == 0 {
			o.running = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		if len(settles) > 0 {
			o.settle(ctx, settles)
		} else if !o.serve(ctx, wanted) {
			o.mu.Lock()
			o.running = false
			o.mu.Unlock()
			return
		}
	}
}

// wanted gives one grant for each message that receivers have room for, as many as are
// read at once; those with a sequence came back. mu is held.
func (o *outbox) wanted() []grant {
	var list []grant
	returned := o.returned
	for _, r := range o.receivers {
		room := min(r.want-len(r.ready), maxHeld-len(r.held), fillMessages-len(list))
		for range room {
			g := grant{receiver: r}
			if len(returned) > 0 {
				g.sequence, returned = returned[0], returned[1:]
			} else if !o.more {
				return list
			}
			list = append(list, g)
		}
	}
	return list
}

// serve reads messages for the receivers that want them. It reports false if the store
// fails, which ends the work until somebody asks again.
func (o *outbox) serve(ctx context.Context, wanted []grant) bool {
	ok := o.find(ctx, wanted)
	var served []*Receiver
	until := o.q.clock.elapsed() + o.q.conf.FeedbackLock
	o.mu.Lock()
	for i := range wanted {
		g := &wanted[i]
		if g.sequence == 0 { // there was none
			continue
		}
		if j, back := slices.BinarySearch(o.returned, g.sequence); back {
			o.returned = slices.Delete(o.returned, j, j+1)
		}
		switch {
		case errors.Is(g.err, store.ErrNotFound): // it expired
		case g.err != nil:
			ok = o.skip(g) && ok
		case g.receiver.closed:
			o.giveBack(g.sequence)
		default:
			g.receiver.grant(g, until)
			if !slices.Contains(served, g.receiver) {
				served = append(served, g.receiver)
			}
		}
	}
	if len(o.receivers) > 1 { // whoever was served first is the last next time
		o.receivers = append(o.receivers[1:], o.receivers[0])
	}
	o.mu.Unlock()
	if len(served) > 0 {
		o.q.deadlines.arm(&o.lapse, o, until)
	}
	for _, r := range served {
		r.wake()
	}
	return ok
}

// skip passes over a message that cannot be read, and reports whether to go on. What the
// store could not read is left where it is; it expires. mu is held.
func (o *outbox) skip(g *grant) bool {
	o.q.log.Error("a message for back-ends cannot be read", slog.String("op", "c2d.outbox"),
		slog.String("kind", o.kind), slog.Any("err", g.err))
	if errors.Is(g.err, store.ErrCorrupt) || errors.Is(g.err, store.ErrFormat) {
		return true
	}
	o.giveBack(g.sequence)
	return false
}

// find reads the messages wanted; those without a sequence are the next that were given
// to nobody. It reports false if the store fails.
func (o *outbox) find(ctx context.Context, wanted []grant) bool {
	var next []*grant
	for i := range wanted {
		g := &wanted[i]
		if g.sequence == 0 {
			next = append(next, g)
			continue
		}
		rec, err := o.q.records.Get(ctx, o.key(g.sequence))
		if err == nil {
			g.notice, err = decodeNotice(rec.Value)
		}
		g.err = err
	}
	if len(next) == 0 {
		return true
	}
	o.mu.Lock()
	behind := o.behind
	o.more = false // a message that is stored from now on sets it again
	o.mu.Unlock()
	err := o.q.records.Scan(ctx, noticePrefix(o.kind), o.key(behind), func(rec store.Record) bool {
		if _, sequence, ok := noticeOf(rec.Key); ok {
			g := next[0]
			next = next[1:]
			g.sequence, behind = sequence, sequence
			g.notice, g.err = decodeNotice(slices.Clone(rec.Value))
		}
		return len(next) > 0
	})
	if err != nil {
		o.q.log.Error("messages for back-ends cannot be read", slog.String("op", "c2d.outbox"), slog.String("kind", o.kind), slog.Any("err", err))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.behind = behind
	o.more = o.more || err != nil || len(next) == 0
	return err == nil
}

// giveBack puts a message back in its place. mu is held.
func (o *outbox) giveBack(sequence uint64) {
	if i, there := slices.BinarySearch(o.returned, sequence); !there {
		o.returned = slices.Insert(o.returned, i, sequence)
	}
}

// settle stores outcomes, in one batch if nothing has changed meanwhile.
func (o *outbox) settle(ctx context.Context, settles []settlement) {
	err := o.settleAll(ctx, settles)
	gone := errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound)
	if gone && len(settles) > 1 {
		for _, s := range settles {
			o.settle(ctx, []settlement{s})
		}
		return
	}
	switch {
	case gone: // it expired
		err = lockLost()
	case err != nil:
		err = store.Fault(err, "c2d.settle", unstored)
		o.mu.Lock()
		for _, s := range settles {
			o.giveBack(s.sequence)
		}
		o.mu.Unlock()
	}
	for _, s := range settles {
		s.receiver.settled(s.tag, err)
	}
}

func (o *outbox) settleAll(ctx context.Context, settles []settlement) error {
	_, hub := o.q.clock.now()
	var b store.Batch
	var back []uint64
	for _, s := range settles {
		w := store.Write{Key: o.key(s.sequence), Delete: true, If: store.Exists}
		if s.outcome == device.Abandon {
			again, err := o.abandon(ctx, w, hub)
			if err != nil {
				return err
			}
			w = again
		}
		if !w.Delete {
			back = append(back, s.sequence)
		}
		b.Writes = append(b.Writes, w)
	}
	if gone := len(b.Writes) - len(back); gone > 0 {
		b.Deltas = []store.Delta{{Key: o.counter(), N: -int64(gone)}}
	}
	if _, err := o.q.records.Apply(ctx, b); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, sequence := range back {
		o.giveBack(sequence)
	}
	return nil
}

// abandon gives the write that counts one more delivery: w, which removes the message,
// if that was the last.
func (o *outbox) abandon(ctx context.Context, w store.Write, hub uint64) (store.Write, error) {
	rec, err := o.q.records.Get(ctx, w.Key)
	if err != nil {
		return w, err
	}
	n, err := decodeNotice(rec.Value)
	if err != nil {
		return w, err
	}
	n.count = min(n.count, iot.MaxMaxDeliveries) + 1
	if int(n.count) >= o.q.conf.FeedbackMax || n.due <= hub {
		return w, nil
	}
	return store.Write{Key: w.Key, Value: n.encode(), If: rec.Rev, Index: []string{dueKey(n.due, w.Key)}}, nil
}

// expire removes messages that have expired, unless somebody holds them.
func (o *outbox) expire(sequences []uint64) error {
	if len(sequences) == 0 {
		return nil
	}
	held := o.heldSequences()
	var b store.Batch
	for _, s := range sequences {
		if !slices.Contains(held, s) {
			b.Writes = append(b.Writes, store.Write{Key: o.key(s), Delete: true, If: store.Exists})
		}
	}
	if len(b.Writes) == 0 {
		return nil
	}
	b.Deltas = []store.Delta{{Key: o.counter(), N: -int64(len(b.Writes))}}
	_, err := o.q.records.Apply(context.Background(), b)
	if errors.Is(err, store.ErrConflict) { // some are gone already: one by one
		err = nil
		for _, w := range b.Writes {
			one := store.Batch{Writes: []store.Write{w}, Deltas: []store.Delta{{Key: o.counter(), N: -1}}}
			if _, e := o.q.records.Apply(context.Background(), one); e != nil && !errors.Is(e, store.ErrConflict) {
				err = e
			}
		}
	}
	return err
}

// lapsed implements lapser.
func (o *outbox) lapsed(elapsed time.Duration) (next time.Duration, more bool) {
	_, hub := o.q.clock.now()
	var overdue []uint64
	o.mu.Lock()
	for _, r := range o.receivers {
		for _, h := range r.release(func(h *heldNotice) bool { return h.until <= elapsed }) {
			o.giveBack(h.sequence)
			if h.due <= hub {
				overdue = append(overdue, h.sequence)
			}
		}
		for i := range r.held {
			if !more || r.held[i].until < next {
				next, more = r.held[i].until, true
			}
		}
	}
	o.pokeLocked()
	o.mu.Unlock()
	if err := o.expire(overdue); err != nil {
		o.q.deadlines.rescan(hub + uint64(retryEvery.Milliseconds()))
	}
	return next, more
}

// receiver makes a receiver.
func (o *outbox) receiver(wake func()) (device.Receiver, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, stopping("c2d.receive")
	}
	if len(o.receivers) >= maxReceivers {
		return nil, fault.New(fault.ThrottlingException, "c2d.receive", "%d receivers are there already", maxReceivers)
	}
	r := &Receiver{box: o, wake: wake}
	o.receivers = append(o.receivers, r)
	return r, nil
}
