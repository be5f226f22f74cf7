package c2d

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// Hooks are how a consumer hears. They are called outside all locks, from any
// goroutine, and must not block.
type Hooks struct {
	Wake    func()                      // Take may have something to give
	Settled func(tag uint64, err error) // the result of a settlement: once for each, also after Close
}

// Consumer is one session that listens for the messages of its identity. Take and Settle
// are called by one owner at a time, Close by anybody.
type Consumer struct {
	// fixed

	place      *place
	generation uint64      // of the identity that the session proved to be
	epoch      store.Epoch // of the session
	hooks      Hooks

	// guarded by place.mu

	want   int  // messages that it had room for, beyond what the last Take gave
	closed bool // Close was called
}

// Consume makes a consumer of an identity's messages, for a session of an epoch. An
// earlier one of the identity loses its locks and is given nothing any more; if there is
// one of a greater epoch, it is the new one that is given nothing.
func (q *Queues) Consume(id iot.Identity, generation uint64, epoch store.Epoch, hooks Hooks) *Consumer {
	p := q.shard(id).join(q, id)
	c := &Consumer{place: p, generation: generation, epoch: epoch, hooks: hooks, want: 1}
	for {
		p.mu.Lock()
		before := p.consumer
		if before == nil {
			p.consumer = c
		}
		p.mu.Unlock()
		switch {
		case before == nil:
			p.poke()
			return c
		case epoch.Less(before.epoch):
			return c
		}
		before.Close()
	}
}

// Take fills dst with messages in the order of the queue, locked from now on, as far as
// there is room, and says how many. See device.Room.
func (c *Consumer) Take(dst []device.Delivery, room device.Room) int {
	p := c.place
	until := p.q.clock.elapsed() + iot.MessageLock
	_, hub := p.q.clock.now()
	p.mu.Lock()
	if p.consumer != c {
		p.mu.Unlock()
		return 0
	}
	n, starved := p.give(dst, room, hub)
	for _, d := range dst[:n] {
		p.lock(c, d.Message, until)
	}
	c.want = max(room.Messages-n, 0)
	p.mu.Unlock()
	if n > 0 {
		p.q.deadlines.arm(&p.lapse, p, until)
	}
	if starved && c.want > 0 {
		p.poke()
	}
	return n
}

// give fills dst with the messages that are free and ready, up to the first that is not
// ready; starved says that there is such a one. p.mu is held.
func (p *place) give(dst []device.Delivery, room device.Room, hub uint64) (n int, starved bool) {
	if !p.loaded || p.consumer.generation != p.queue.generation {
		return 0, false
	}
	for i := range p.queue.entries {
		e := &p.queue.entries[i]
		if e.due <= hub || !p.free(e.sequence) { // what has expired is removed in a moment
			continue
		}
		m := p.ready[e.sequence]
		if m == nil {
			return n, true
		}
		if n == min(len(dst), room.Messages) || room.Bytes <= 0 || n > 0 && int(e.size) > room.Bytes {
			return n, false
		}
		_, again := p.again[e.sequence]
		m.Again, m.DeliveryCount = e.sent || again, e.count
		room.Bytes -= int(e.size)
		delete(p.ready, e.sequence)
		dst[n] = device.Delivery{Message: m}
		n++
	}
	return n, false
}

// lock locks a message for a consumer. p.mu is held.
func (p *place) lock(c *Consumer, m *iot.LockedMessage, until time.Duration) {
	_, _ = rand.Read(m.Lock[:]) // never fails
	p.held = append(p.held, held{by: c, sequence: m.Sequence, lock: m.Lock, until: until, messageID: m.MessageID})
}

// Settle says what became of a message. The result comes by Hooks.Settled under the tag;
// it may be there before Settle returns.
func (c *Consumer) Settle(tag uint64, lock iot.LockToken, outcome device.Outcome) {
	p := c.place
	elapsed := p.q.clock.elapsed()
	p.mu.Lock()
	i := -1
	if p.consumer == c {
		i = slices.IndexFunc(p.held, func(h held) bool { return h.lock == lock && !h.settling && h.until > elapsed })
	}
	var r *request
	if i >= 0 {
		p.held[i].settling = true
		r = &request{
			kind: toSettle, sequence: p.held[i].sequence, outcome: outcome, messageID: p.held[i].messageID, consumer: c, tag: tag,
		}
	}
	p.mu.Unlock()
	if r == nil {
		c.hooks.Settled(tag, lockLost())
		return
	}
	if err := p.ask(r); err != nil {
		c.unsettle(r)
		c.hooks.Settled(tag, err)
	}
}

// unsettle undoes what Settle began: the hub is stopping.
func (c *Consumer) unsettle(r *request) {
	c.place.mu.Lock()
	defer c.place.mu.Unlock()
	c.place.settled([]*request{r})
}

// Close ends the consumer: it releases its locks, except of messages whose outcome is on
// its way to the store, and says how many they were. What was released is in its place in
// the queue, uncounted, when Close returns. Only the first call acts.
func (c *Consumer) Close() (released int) {
	p := c.place
	_, hub := p.q.clock.now()
	p.mu.Lock()
	if c.closed {
		p.mu.Unlock()
		return 0
	}
	c.closed = true
	var marks []uint64
	current := p.consumer == c
	if current {
		p.consumer = nil
		released = p.release(func(held) bool { return true })
		p.ready, p.unread = nil, nil
		marks = p.marks()
	}
	overdue := p.overdue(hub)
	p.mu.Unlock()
	if current {
		p.q.deadlines.disarm(&p.lapse)
	}
	if len(marks) > 0 || overdue {
		p.askQuietly(&request{kind: toMark, marks: marks})
	}
	p.shard.leave(p)
	return released
}

// release ends the locks of which so is true, unless they are being settled, and says how
// many. p.mu is held.
func (p *place) release(so func(held) bool) int {
	before := len(p.held)
	p.held = slices.DeleteFunc(p.held, func(h held) bool {
		if h.settling || !so(h) {
			return false
		}
		if p.again == nil {
			p.again = make(map[uint64]struct{})
		}
		p.again[h.sequence] = struct{}{}
		return true
	})
	return before - len(p.held)
}

// marks gives the messages that were given and not settled, where the store does not
// know that. p.mu is held.
func (p *place) marks() []uint64 {
	var list []uint64
	for sequence := range p.again {
		if i := p.queue.find(sequence); i >= 0 && !p.queue.entries[i].sent {
			list = append(list, sequence)
		}
	}
	return list
}

// overdue reports whether a message has expired that no lock protects any more. p.mu is
// held.
func (p *place) overdue(hub uint64) bool {
	return slices.ContainsFunc(p.queue.entries, func(e entry) bool { return e.due <= hub && p.free(e.sequence) })
}

// lapsed ends the locks whose time is over, and gives the moment at which the next one's
// is, if there is one. It implements lapser.
func (p *place) lapsed(elapsed time.Duration) (next time.Duration, more bool) {
	_, hub := p.q.clock.now()
	p.mu.Lock()
	released := p.release(func(h held) bool { return h.until <= elapsed })
	for i := range p.held {
		if !p.held[i].settling && (!more || p.held[i].until < next) {
			next, more = p.held[i].until, true
		}
	}
	overdue := p.overdue(hub)
	p.mu.Unlock()
	if overdue {
		p.askQuietly(&request{kind: toSweep})
	} else if released > 0 {
		p.poke()
	}
	return next, more
}
