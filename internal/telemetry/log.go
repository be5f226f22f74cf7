package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// Errors that a writer or a reader meets when its time is over.
var (
	// ErrFenced: another writer speaks for the identity now.
	ErrFenced = errors.New("telemetry: the writer is fenced")
	// ErrClosed: the log is closed.
	ErrClosed = errors.New("telemetry: the log is closed")
)

// Config says how the log is kept. The zero value of every field but Store is its
// default.
type Config struct {
	// Log is the engine's log; it must outlive this one.
	Log store.Log
	// Partitions is fixed when the log is made, because a device's partition follows from
	// it: 1 to 32, 4 by default.
	Partitions int
	// RetentionAge is how long events are kept at least, unless RetentionBytes is less;
	// a day by default.
	RetentionAge time.Duration
	// RetentionBytes is the most that each partition keeps, in bytes of messages; 2 GiB by
	// default.
	RetentionBytes int64
	// RetainEvery is how often retention looks; 5 s by default.
	RetainEvery time.Duration
	// RingBytes is what the rings of recent blocks may hold, all partitions together;
	// 32 MiB by default, negative for none.
	RingBytes int
	// CatchUpRate paces all readers behind the ring together, in bytes per second; 125 MiB
	// by default, negative for no limit.
	CatchUpRate int
	// Logger is where the log speaks to the operator; nil discards.
	Logger *slog.Logger
	// Now is the wall clock; nil is time.Now. It may step back: enqueued times do not.
	Now func() time.Time
	// Hooks observe the log for metrics.
	Hooks Hooks
}

// Hooks observe the log. They are called by the committer and must not block.
type Hooks struct {
	// Committed: one commit is on stable storage.
	Committed func(took time.Duration, messages, bytes int)
	// Refused: one commit failed, and its messages are lost to their writers.
	Refused func(messages int, err error)
}

// Log is the telemetry log.
type Log struct {
	// fixed

	store      store.Log
	partitions []*partition
	conf       Config
	logger     *slog.Logger
	pace       *rate.Limiter
	wake       chan struct{} // one token for a sleeping committer
	stop       chan struct{} // closed to stop retention
	done       chan struct{} // closed when the committer has ended
	wg         sync.WaitGroup

	// owned by commit

	round   round
	failing bool

	// shared

	asleep  atomic.Bool // the committer sleeps, or is about to
	closing atomic.Bool
	once    sync.Once
}

// Open reads the ends of all partitions and starts the committer and retention. A trim that
// a crash took back is repeated before anybody reads: no partition begins earlier than it
// did.
func Open(c Config) (*Log, error) {
	l, err := load(c)
	if err != nil {
		return nil, err
	}
	l.retain()
	l.wg.Go(l.commitLoop)
	l.wg.Go(l.retainLoop)
	return l, nil
}

// load reads the ends of all partitions.
func load(c Config) (*Log, error) {
	c = c.withDefaults()
	if c.Partitions < 1 || c.Partitions > MaxPartitions {
		return nil, fmt.Errorf("telemetry: %d partitions, 1 to %d are possible", c.Partitions, MaxPartitions)
	}
	l := &Log{
		store: c.Log, conf: c, logger: c.Logger,
		pace: rate.NewLimiter(rate.Inf, 0),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if c.CatchUpRate > 0 {
		l.pace = rate.NewLimiter(rate.Limit(c.CatchUpRate), readBytes)
	}
	tails, err := c.Log.Tails(MaxPartitions)
	if err != nil {
		return nil, fmt.Errorf("telemetry: read the ends of the log: %w", err)
	}
	for _, t := range tails {
		if int(t.Partition) >= c.Partitions {
			if t.Value != nil {
				return nil, fmt.Errorf("telemetry: partition %d holds events, but only %d partitions are configured", t.Partition, c.Partitions)
			}
			continue
		}
		p, err := openPartition(c, t)
		if err != nil {
			return nil, fmt.Errorf("telemetry: open partition %d: %w", t.Partition, err)
		}
		l.partitions = append(l.partitions, p)
	}
	return l, nil
}

func (c Config) withDefaults() Config {
	if c.Partitions == 0 {
		c.Partitions = defaultPartitions
	}
	if c.RetentionAge == 0 {
		c.RetentionAge = defaultAge
	}
	if c.RetentionBytes == 0 {
		c.RetentionBytes = defaultBytes
	}
	if c.RetainEvery == 0 {
		c.RetainEvery = retainEvery
	}
	if c.RingBytes == 0 {
		c.RingBytes = defaultRing
	}
	if c.CatchUpRate == 0 {
		c.CatchUpRate = defaultCatchUp
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Hooks.Committed == nil {
		c.Hooks.Committed = func(time.Duration, int, int) {}
	}
	if c.Hooks.Refused == nil {
		c.Hooks.Refused = func(int, error) {}
	}
	return c
}

// Close refuses further messages, commits what was appended, and waits until the
// committer and retention have ended. Readers get ErrClosed.
func (l *Log) Close() error {
	l.once.Do(func() {
		for _, p := range l.partitions {
			p.close()
		}
		l.closing.Store(true)
		close(l.stop)
		l.nudge()
	})
	l.wg.Wait()
	return nil
}

// Partition gives the partition of a device and of all its modules: FNV-1a of the
// device id, 64 bits, modulo the number of partitions (docs/format.md).
func (l *Log) Partition(deviceID string) int {
	const basis, prime = 14695981039346656037, 1099511628211
	h := uint64(basis)
	for i := range len(deviceID) {
		h = (h ^ uint64(deviceID[i])) * prime
	}
	return int(h % uint64(len(l.partitions)))
}

// Writer makes a writer for one session. The hub stamps every message with stamp. wake
// is called, by the committer, outside all locks, whenever Durable, Err or the room
// for Append may have changed; it must not block; nil is allowed.
func (l *Log) Writer(stamp iot.Stamp, wake func()) *Writer {
	if wake == nil {
		wake = func() {}
	}
	return &Writer{
		log: l, partition: l.partitions[l.Partition(stamp.Identity.Device)],
		stamp: stampBytes(stamp), wake: wake,
	}
}

// Append writes one message and returns when it is on stable storage, with its
// partition and sequence. If ctx ends first, the message may be stored or not. Errors
// are fault.Error, but for ErrClosed.
func (l *Log) Append(ctx context.Context, stamp iot.Stamp, raw iot.Raw) (partition int, sequence uint64, err error) {
	woken := make(chan struct{}, 1)
	w := l.Writer(stamp, func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	ms := []iot.Raw{raw}
	for {
		if len(ms) > 0 {
			n, err := w.Append(ms)
			if err != nil {
				return 0, 0, err
			}
			ms = ms[n:]
		}
		if w.Durable() == 1 {
			return int(w.partition.id), w.first.Load(), nil
		}
		if err := w.Err(); err != nil {
			return 0, 0, err
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return 0, 0, fault.Wrap(context.Cause(ctx), fault.GatewayTimeout, "telemetry.append", "the message was not stored in time")
		}
	}
}

// PartitionInfo is what a back-end may know of a partition.
type PartitionInfo struct {
	ID           int
	Empty        bool      // nothing was ever written; the rest is zero
	First        uint64    // sequence of the earliest event kept
	Last         uint64    // sequence of the newest event
	LastOffset   uint64    // its offset
	LastEnqueued time.Time // its enqueued time, UTC
}

// Partitions describes all partitions, in order.
func (l *Log) Partitions() []PartitionInfo {
	out := make([]PartitionInfo, len(l.partitions))
	for i, p := range l.partitions {
		out[i] = p.describe()
	}
	return out
}

// nudge wakes the committer if it sleeps.
func (l *Log) nudge() {
	if l.asleep.Load() && l.asleep.CompareAndSwap(true, false) {
		l.wake <- struct{}{}
	}
}

var _ device.EventReader = (*Reader)(nil)
