package c2d

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// identities says whom a message may be sent to.
type identities interface {
	// Generation gives the generationId of an identity, and whether its device is enabled:
	// DeviceNotFound, ModuleNotFound.
	Generation(ctx context.Context, id iot.Identity) (generation uint64, enabled bool, err error)
}

// Observer is told what happened, for metrics and logs, after it is on stable storage.
// Its functions are called outside all locks and must not block; nil ones are not.
type Observer struct {
	Sent      func()                 // a message was queued
	Refused   func(code fault.Code)  // a message was not
	Abandoned func()                 // a message was put back
	Ended     func(e iot.MessageEnd) // a message ended
	Gathered  func(records int)      // a feedback message was made
}

// Config is what Queues are made of. Records, Identities and Generation are required.
type Config struct {
	Records    store.Records
	Identities identities
	Generation uint64 // of this start: store.Claims.Generation
	HubName    string // user-id of what is for back-ends
	Observer   Observer

	DefaultTTL    time.Duration // 0: iot.DefaultMessageTTL
	MaxDeliveries int           // 0: iot.DefaultMaxDeliveries
	FeedbackBatch time.Duration // how long a feedback record waits for others; 0: 1 s
	FeedbackTTL   time.Duration // 0: 1 h
	FeedbackLock  time.Duration // 0: 60 s
	FeedbackMax   int           // deliveries of a feedback message; 0: 10

	Now    func() time.Time // the wall clock; nil: time.Now
	Logger *slog.Logger     // nil: discarded
}

// Queues are the cloud-to-device queues of a hub. Their methods may be called from any
// goroutine.
type Queues struct {
	// fixed

	records    store.Records
	identities identities
	conf       Config
	clock      *clock
	log        *slog.Logger
	seed       maphash.Seed
	shards     [shards]*shard
	deadlines  *deadlines
	gatherer   *gatherer
	feedback   *outbox
	files      *outbox
	quit       chan struct{}
	loops      sync.WaitGroup // deadlines and gatherer
	workers    sync.WaitGroup // of places and outboxes

	// shared

	sequence atomic.Uint64
	closing  sync.Once
}

// sequenceBits is how many bits of a sequence count within one start; those above are
// the start's generation. 10^12 messages a start.
const sequenceBits = 40

// New makes the queues over what the store holds; Close ends them.
func New(cfg Config) (*Queues, error) {
	if cfg.Records == nil || cfg.Identities == nil || cfg.Generation == 0 {
		return nil, errors.New("c2d: Config needs Records, Identities and Generation")
	}
	q := &Queues{
		records: cfg.Records, identities: cfg.Identities, conf: cfg.withDefaults(), clock: newClock(cfg.Now),
		log: cfg.Logger, seed: maphash.MakeSeed(), quit: make(chan struct{}),
	}
	if q.log == nil {
		q.log = slog.New(slog.DiscardHandler)
	}
	q.sequence.Store(cfg.Generation << sequenceBits)
	for i := range q.shards {
		q.shards[i] = &shard{places: make(map[iot.Identity]*place), workers: &q.workers}
	}
	q.deadlines = newDeadlines()
	q.gatherer = newGatherer()
	q.feedback = newOutbox(q, "feedback", iot.FeedbackContentType)
	q.files = newOutbox(q, "files", iot.FileNotificationContentType)
	q.loops.Go(q.watch)
	q.loops.Go(q.gather)
	return q, nil
}

func (c Config) withDefaults() Config {
	orElse := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	orElse(&c.DefaultTTL, iot.DefaultMessageTTL)
	orElse(&c.FeedbackBatch, defaultFeedbackBatch)
	orElse(&c.FeedbackTTL, defaultFeedbackTTL)
	orElse(&c.FeedbackLock, defaultFeedbackLock)
	if c.MaxDeliveries == 0 {
		c.MaxDeliveries = iot.DefaultMaxDeliveries
	}
	if c.FeedbackMax == 0 {
		c.FeedbackMax = defaultFeedbackMax
	}
	o := &c.Observer
	if o.Sent == nil {
		o.Sent = func() {}
	}
	if o.Refused == nil {
		o.Refused = func(fault.Code) {}
	}
	if o.Abandoned == nil {
		o.Abandoned = func() {}
	}
	if o.Ended == nil {
		o.Ended = func(iot.MessageEnd) {}
	}
	if o.Gathered == nil {
		o.Gathered = func(int) {}
	}
	return c
}

// Close refuses further requests and waits for those under way. Consumers are given
// nothing any more.
func (q *Queues) Close() error {
	q.closing.Do(func() {
		close(q.quit)
		for _, sh := range q.shards {
			sh.close()
		}
		q.feedback.close()
		q.files.close()
	})
	q.loops.Wait()
	q.workers.Wait()
	return nil
}

func (q *Queues) shard(id iot.Identity) *shard {
	return q.shards[maphash.Comparable(q.seed, id)%shards]
}

func (q *Queues) nextSequence() uint64 { return q.sequence.Add(1) }

// stopping is the answer to who comes too late.
func stopping(op string) error {
	return fault.New(fault.ServiceUnavailable, op, "the hub is stopping")
}

// Send queues a message for a device or module; it is on stable storage when Send
// returns. m is borrowed until then. If ctx ends first, the message may be stored or
// not. Codes: DeviceNotFound, also for a disabled device, ModuleNotFound,
// DeviceMaximumQueueDepthExceeded, MessageTooLarge, InvalidMessageExpiryTime,
// ArgumentInvalid, ThrottleBacklogLimitExceeded, and of the store.
func (q *Queues) Send(ctx context.Context, id iot.Identity, m *iot.CloudMessage) error {
	err := q.send(ctx, id, m)
	if err != nil {
		q.conf.Observer.Refused(fault.Of(err))
	}
	return err
}

func (q *Queues) send(ctx context.Context, id iot.Identity, m *iot.CloudMessage) error {
	if err := checkIdentity(opSend, id); err != nil {
		return err
	}
	wall, _ := q.clock.now()
	if err := check(m, wall); err != nil {
		return err
	}
	kept := *m // the worker may look at it after ctx has ended
	kept.Application, kept.Body = nil, nil
	r := &request{kind: toSend, message: &kept, size: m.Size(), record: encodeMessage(m)}
	_, err := q.request(ctx, opSend, id, r)
	return err
}

// Purge removes all that is pending for an identity, also what a device was given and
// has not settled, and says how many messages that were. Codes: DeviceNotFound,
// ModuleNotFound, and of the store.
func (q *Queues) Purge(ctx context.Context, id iot.Identity) (int, error) {
	const op = "c2d.purge"
	if err := checkIdentity(op, id); err != nil {
		return 0, err
	}
	return q.request(ctx, op, id, &request{kind: toPurge})
}

// Forget removes all that is pending for an identity that was deleted. Nobody is told.
func (q *Queues) Forget(ctx context.Context, id iot.Identity) error {
	_, err := q.request(ctx, "c2d.forget", id, &request{kind: toForget})
	return err
}

// request puts a request in line and waits for its result.
func (q *Queues) request(ctx context.Context, op string, id iot.Identity, r *request) (int, error) {
	done := make(chan result, 1)
	r.done = done
	sh := q.shard(id)
	p := sh.join(q, id)
	err := p.ask(r) //nolint:contextcheck // the work outlives whoever asks for it
	sh.leave(p)
	if err != nil {
		return 0, err
	}
	select {
	case res := <-done:
		return res.n, res.err
	case <-ctx.Done():
		return 0, fault.Wrap(context.Cause(ctx), fault.GatewayTimeout, op, "the request was not carried out in time")
	}
}

// Pending counts the messages that wait for an identity of this generationId, those
// included that a device was given and has not settled.
func (q *Queues) Pending(ctx context.Context, id iot.Identity, generation uint64) (int, error) {
	_, hub := q.clock.now()
	sh := q.shard(id)
	if p := sh.find(id); p != nil {
		defer sh.leave(p)
		p.mu.Lock()
		if p.loaded {
			defer p.mu.Unlock()
			return p.queue.pending(generation, hub), nil
		}
		p.mu.Unlock()
	}
	rec, err := q.records.Get(ctx, queueKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err == nil {
		var stored queue
		if stored, err = decodeQueue(rec.Value); err == nil {
			return stored.pending(generation, hub), nil
		}
	}
	return 0, store.Fault(err, "c2d.pending", unstored)
}

// Depth counts the messages that wait for all identities together.
func (q *Queues) Depth(ctx context.Context) (int64, error) {
	return q.records.Counter(ctx, countPending)
}

// Feedback makes a receiver of delivery feedback. wake is called, from any goroutine and
// outside all locks, whenever Take may have something to give; it must not block.
func (q *Queues) Feedback(wake func()) (device.Receiver, error) { return q.feedback.receiver(wake) }

// FileNotifications makes a receiver of file notifications. See Feedback.
func (q *Queues) FileNotifications(wake func()) (device.Receiver, error) {
	return q.files.receiver(wake)
}

// checkIdentity says what is wrong with the address of a message.
func checkIdentity(op string, id iot.Identity) error {
	if !iot.ValidID(id.Device) || id.IsModule() && !iot.ValidID(id.Module) {
		return fault.New(fault.ArgumentInvalid, op, "the address names no possible device or module")
	}
	return nil
}

// readMessage reads one message of a queue.
func (q *Queues) readMessage(ctx context.Context, id iot.Identity, sequence uint64) (iot.CloudMessage, error) {
	rec, err := q.records.Get(ctx, messageKey(id, sequence))
	if err != nil {
		return iot.CloudMessage{}, err
	}
	return decodeMessage(rec.Value)
}

// apply writes a turn, and gives the revision that the queue has then.
func (q *Queues) apply(ctx context.Context, t *turn) (store.Rev, error) {
	b := t.batch()
	if len(b.Writes) == 0 {
		return t.rev, nil
	}
	revs, err := q.records.Apply(ctx, b)
	if err != nil {
		return 0, err
	}
	if len(t.queue.entries) == 0 {
		return store.Absent, nil
	}
	return revs[0], nil // the queue is the first write
}

// told tells the observer, and whoever gathers feedback, what a turn did.
func (q *Queues) told(t *turn) {
	for range t.queued {
		q.conf.Observer.Sent()
	}
	for range t.abandoned {
		q.conf.Observer.Abandoned()
	}
	for _, e := range t.ends {
		q.conf.Observer.Ended(e)
	}
	if n := len(t.feedback); n > 0 {
		q.gatherer.note(n, q.clock.elapsed())
	}
}

// wreck removes a queue that cannot be read, with all messages that bear its name, and
// says how many these were.
func (q *Queues) wreck(ctx context.Context, id iot.Identity) (int, error) {
	writes := []store.Write{{Key: queueKey(id), Delete: true, If: store.Any}}
	prefix := strings.TrimSuffix(messageKey(id, 0), digits(0))
	err := q.records.Scan(ctx, prefix, "", func(rec store.Record) bool {
		writes = append(writes, store.Write{Key: rec.Key, Delete: true, If: store.Any})
		return len(writes) <= iot.MaxPendingMessages
	})
	if err == nil {
		_, err = q.records.Apply(ctx, store.Batch{
			Writes: writes, Deltas: []store.Delta{{Key: countPending, N: -int64(len(writes) - 1)}},
		})
	}
	if err != nil {
		return 0, store.Fault(fmt.Errorf("remove the queue of %s: %w", id, err), "c2d.purge", unstored)
	}
	return len(writes) - 1, nil
}
