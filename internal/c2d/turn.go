package c2d

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// turn is what several requests together do to one identity: it becomes one batch.
type turn struct {
	// fixed

	q     *Queues
	id    iot.Identity
	wall  time.Time
	hub   uint64   // the hub's clock, in milliseconds
	held  []uint64 // messages that a receiver holds: they do not expire meanwhile
	rev   store.Rev
	began int // messages at the beginning

	// owned by the worker

	queue     queue // what there will be
	changed   bool
	puts      []put    // messages to write
	drops     []uint64 // messages to remove
	ends      []iot.MessageEnd
	feedback  [][]byte // records for those ends that senders want to hear of
	queued    int      // messages taken in
	abandoned int      // messages put back
	asked     bool     // the registry was asked
	known     addressee
}

// put is a message on its way to the store.
type put struct {
	entry  entry
	record []byte
}

// addressee is what the registry says of the identity.
type addressee struct {
	generation uint64
	enabled    bool
	err        error
}

// sweep removes what has expired.
func (t *turn) sweep(ctx context.Context) {
	for _, e := range slices.Clone(t.queue.entries) {
		if e.due <= t.hub && !slices.Contains(t.held, e.sequence) {
			t.end(ctx, e, iot.FeedbackExpired, "")
		}
	}
}

// do performs one request in memory.
func (t *turn) do(ctx context.Context, r *request) result {
	switch r.kind {
	case toSend:
		return result{err: t.send(ctx, r)}
	case toSettle:
		return result{err: t.settle(ctx, r)}
	case toMark:
		t.mark(r.marks)
	case toPurge:
		return t.purge(ctx)
	case toForget:
		t.clear()
	case toSweep: // done already
	}
	return result{}
}

// ask asks the registry for the addressee, once in a turn: whoever deletes an identity
// forgets its queue in a later turn.
func (t *turn) ask(ctx context.Context) addressee {
	if !t.asked {
		t.asked = true
		t.known.generation, t.known.enabled, t.known.err = t.q.identities.Generation(ctx, t.id)
	}
	return t.known
}

func (t *turn) send(ctx context.Context, r *request) error {
	to := t.ask(ctx)
	if to.err != nil {
		return to.err
	}
	if !to.enabled { // connections 2.1: 404001 is "not registered or disabled"
		return fault.New(fault.DeviceNotFound, opSend, "device %q is disabled", t.id.Device)
	}
	if t.queue.generation != to.generation {
		t.clear() // what an earlier identity of this name left
		t.queue.generation = to.generation
	}
	if len(t.queue.entries) >= iot.MaxPendingMessages {
		return fault.New(fault.DeviceMaximumQueueDepthExceeded, opSend,
			"%d messages are pending for %s already", iot.MaxPendingMessages, t.id)
	}
	m := r.message
	life := t.q.conf.DefaultTTL
	if !m.Expiry.IsZero() {
		life = min(m.Expiry.Sub(t.wall), iot.MaxMessageTTL) // none left: it is taken, and expires
	}
	e := t.queue.add(entry{
		sequence: t.q.nextSequence(), enqueued: uint64(max(t.wall.UnixMilli(), 0)),
		due: t.hub + uint64(max(life.Milliseconds(), 0)), size: uint32(r.size), ack: m.Ack,
	})
	t.puts = append(t.puts, put{e, r.record})
	t.queued++
	t.changed = true
	return nil
}

func (t *turn) settle(ctx context.Context, r *request) error {
	i := t.queue.find(r.sequence)
	if i < 0 {
		return lockLost()
	}
	e := t.queue.entries[i]
	switch r.outcome {
	case device.Complete:
		t.end(ctx, e, iot.FeedbackSuccess, r.messageID)
	case device.Reject:
		t.end(ctx, e, iot.FeedbackRejected, r.messageID)
	case device.Abandon:
		e.count, e.sent = min(e.count, iot.MaxMaxDeliveries)+1, true
		t.queue.entries[i] = e
		t.changed = true
		if int(e.count) >= t.q.conf.MaxDeliveries {
			t.end(ctx, e, iot.FeedbackDeliveryCountExceeded, r.messageID)
			return nil
		}
		t.abandoned++
		if e.due <= t.hub {
			t.end(ctx, e, iot.FeedbackExpired, r.messageID)
		}
	default:
		return fault.New(fault.ArgumentInvalid, "c2d.settle", "a message can be completed, abandoned or rejected")
	}
	return nil
}

func (t *turn) mark(sequences []uint64) {
	for _, s := range sequences {
		if i := t.queue.find(s); i >= 0 && !t.queue.entries[i].sent {
			t.queue.entries[i].sent = true
			t.changed = true
		}
	}
}

func (t *turn) purge(ctx context.Context) result {
	to := t.ask(ctx)
	if to.err != nil {
		return result{err: to.err}
	}
	if t.queue.generation != to.generation {
		t.clear()
	}
	all := slices.Clone(t.queue.entries)
	for _, e := range all {
		t.end(ctx, e, iot.FeedbackPurged, "")
	}
	return result{n: len(all)}
}

// clear removes everything without a word.
func (t *turn) clear() {
	for _, e := range t.queue.entries {
		t.drop(e.sequence)
	}
	t.changed = t.changed || len(t.queue.entries) > 0
	t.queue.entries = nil
}

// end takes a message out, and notes the feedback that its sender wants.
func (t *turn) end(ctx context.Context, e entry, status iot.FeedbackStatus, messageID string) {
	end := iot.MessageEnd{
		Identity: t.id, Status: status, At: t.wall, MessageID: messageID, Size: int(e.size), Ack: e.ack,
		DeliveryCount: int(e.count), Enqueued: time.UnixMilli(int64(e.enqueued)).UTC(),
		Due: t.wall.Add(time.Duration(int64(e.due)-int64(t.hub)) * time.Millisecond).Truncate(time.Millisecond),
	}
	told := e.ack.Wants(status)
	if messageID == "" && (told || status == iot.FeedbackExpired) {
		end.MessageID = t.messageID(ctx, e.sequence)
	}
	if told {
		t.feedback = append(t.feedback, encodeFeedback(&end, t.queue.generation))
	}
	t.ends = append(t.ends, end)
	t.queue.remove(e.sequence)
	t.drop(e.sequence)
	t.changed = true
}

// drop removes a message's record, or keeps it from being written.
func (t *turn) drop(sequence uint64) {
	before := len(t.puts)
	t.puts = slices.DeleteFunc(t.puts, func(p put) bool { return p.entry.sequence == sequence })
	if len(t.puts) == before {
		t.drops = append(t.drops, sequence)
	}
}

// messageID looks up what a message's sender called it. Of a message that cannot be read
// any more it is unknown.
func (t *turn) messageID(ctx context.Context, sequence uint64) string {
	for _, p := range t.puts {
		if p.entry.sequence == sequence {
			m, err := decodeMessage(p.record)
			return t.readID(m.MessageID, err)
		}
	}
	m, err := t.q.readMessage(ctx, t.id, sequence)
	return t.readID(m.MessageID, err)
}

func (t *turn) readID(id string, err error) string {
	if err != nil {
		t.q.log.Error("a cloud-to-device message that ended cannot be read; its feedback does not name it",
			slog.String("op", "c2d.end"), slog.String("device", t.id.Device), slog.String("module", t.id.Module), slog.Any("err", err))
	}
	return id
}

// batch is the turn as the store applies it; it is empty if nothing changed.
func (t *turn) batch() store.Batch {
	var b store.Batch
	if !t.changed {
		return b
	}
	key := queueKey(t.id)
	switch {
	case len(t.queue.entries) > 0:
		b.Writes = append(b.Writes, store.Write{
			Key: key, Value: t.queue.encode(), If: t.rev, Index: []string{dueKey(t.queue.due(), key)},
		})
	case t.rev != store.Absent:
		b.Writes = append(b.Writes, store.Write{Key: key, Delete: true, If: t.rev})
	}
	for _, p := range t.puts {
		b.Writes = append(b.Writes, store.Write{Key: messageKey(t.id, p.entry.sequence), Value: p.record, If: store.Absent})
	}
	for _, s := range t.drops {
		b.Writes = append(b.Writes, store.Write{Key: messageKey(t.id, s), Delete: true, If: store.Any})
	}
	for _, record := range t.feedback {
		b.Writes = append(b.Writes, store.Write{Key: feedbackKey(t.q.nextSequence()), Value: record, If: store.Absent})
	}
	if n := len(t.queue.entries) - t.began; n != 0 {
		b.Deltas = append(b.Deltas, store.Delta{Key: countPending, N: int64(n)})
	}
	return b
}

// lockLost is the answer to who settles what he does not hold.
func lockLost() error {
	return fault.New(fault.DeviceMessageLockLost, "c2d.settle", "the lock of the message has ended")
}
