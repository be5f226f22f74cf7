package c2d

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Receiver is one back-end's link to a queue of messages for back-ends. See
// device.Receiver.
type Receiver struct {
	// fixed

	box  *outbox
	wake func()

	// guarded by box.mu

	want     int                  // messages that it had room for, beyond what the last Take gave
	ready    []*iot.LockedMessage // locked for it and not yet taken
	held     []heldNotice         // all that is locked for it and not being settled
	settling int
	results  []device.Delivery
	closed   bool
}

// heldNotice is a message that a receiver holds.
type heldNotice struct {
	sequence uint64
	lock     iot.LockToken
	until    time.Duration // on the monotonic clock
	due      uint64        // when the message expires, on the hub's clock
}

var _ device.Receiver = (*Receiver)(nil)

// grant locks a message for the receiver. box.mu is held.
func (r *Receiver) grant(g *grant, until time.Duration) {
	m := &iot.LockedMessage{
		CloudMessage: iot.CloudMessage{
			ContentType: r.box.contentType, ContentEncoding: "utf-8", UserID: r.box.q.conf.HubName, Body: g.notice.body,
		},
		Sequence: g.sequence, DeliveryCount: g.notice.count, Enqueued: time.UnixMilli(int64(g.notice.enqueued)).UTC(),
	}
	_, _ = rand.Read(m.Lock[:]) // never fails
	r.ready = append(r.ready, m)
	r.held = append(r.held, heldNotice{g.sequence, m.Lock, until, g.notice.due})
}

// release ends the locks of which so is true, and gives them. box.mu is held.
func (r *Receiver) release(so func(*heldNotice) bool) []heldNotice {
	var gone []heldNotice
	r.held = slices.DeleteFunc(r.held, func(h heldNotice) bool {
		if !so(&h) {
			return false
		}
		gone = append(gone, h)
		r.ready = slices.DeleteFunc(r.ready, func(m *iot.LockedMessage) bool { return m.Sequence == h.sequence })
		return true
	})
	return gone
}

// settled hands over the result of a settlement.
func (r *Receiver) settled(tag uint64, err error) {
	r.box.mu.Lock()
	r.settling--
	r.results = append(r.results, device.Delivery{Tag: tag, Err: err})
	closed := r.closed
	r.box.mu.Unlock()
	if !closed {
		r.wake()
	}
}

// Do settles a message. See device.Receiver.
func (r *Receiver) Do(op device.Op) error {
	what, ok := op.What.(device.Settle)
	if !ok || what.Outcome < device.Complete || what.Outcome > device.Reject {
		return fault.New(fault.InvalidOperation, "c2d.receive", "messages of this kind can only be completed, abandoned or rejected")
	}
	o := r.box
	elapsed := o.q.clock.elapsed()
	o.mu.Lock()
	switch {
	case r.closed || o.closed:
		o.mu.Unlock()
		return stopping("c2d.receive")
	case r.settling+len(r.results) >= maxResults:
		o.mu.Unlock()
		return fault.New(fault.ThrottleBacklogLimitExceeded, "c2d.receive", "%d settlements are under way already", maxResults)
	}
	gone := r.release(func(h *heldNotice) bool { return h.lock == what.Lock && h.until > elapsed })
	r.settling++
	if len(gone) > 0 {
		o.settles = append(o.settles, settlement{r, op.Tag, what.Outcome, gone[0].sequence})
		o.pokeLocked()
	}
	o.mu.Unlock()
	if len(gone) == 0 {
		r.settled(op.Tag, lockLost())
	}
	return nil
}

// Take gives results and messages. See device.Receiver.
func (r *Receiver) Take(dst []device.Delivery, room device.Room) []device.Delivery {
	o := r.box
	o.mu.Lock()
	defer o.mu.Unlock()
	n := copy(dst, r.results)
	if r.results = r.results[n:]; len(r.results) == 0 {
		r.results = nil
	}
	given := 0
	for len(r.ready) > 0 && n < len(dst) && given < room.Messages && room.Bytes > 0 {
		m := r.ready[0]
		size := len(m.Body)
		if given > 0 && size > room.Bytes {
			break
		}
		room.Bytes -= size
		dst[n] = device.Delivery{Message: m}
		r.ready = r.ready[1:]
		n++
		given++
	}
	if len(r.ready) == 0 {
		r.ready = nil
	}
	r.want = max(room.Messages-given, 0)
	if len(r.ready) > r.want { // there is less room than before: others may have them
		surplus := slices.Clone(r.ready[r.want:])
		for _, h := range r.release(func(h *heldNotice) bool {
			return slices.ContainsFunc(surplus, func(m *iot.LockedMessage) bool { return m.Lock == h.lock })
		}) {
			o.giveBack(h.sequence)
		}
		o.pokeLocked()
	}
	if r.want > len(r.ready) && (o.more || len(o.returned) > 0) {
		o.pokeLocked()
	}
	return dst[:n]
}

// Close releases what the receiver holds. See device.Receiver.
func (r *Receiver) Close() {
	o := r.box
	_, hub := o.q.clock.now()
	var overdue []uint64
	o.mu.Lock()
	r.closed = true
	r.want = 0
	o.receivers = slices.DeleteFunc(o.receivers, func(other *Receiver) bool { return other == r })
	for _, h := range r.release(func(*heldNotice) bool { return true }) {
		o.giveBack(h.sequence)
		if h.due <= hub {
			overdue = append(overdue, h.sequence)
		}
	}
	o.pokeLocked()
	o.mu.Unlock()
	if len(overdue) > 0 { // the next look at what expires removes them
		o.q.deadlines.rescan(hub)
	}
}
