package diagnosis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// Config is what a Diagnosis is made of.
type Config struct {
	Records store.Records
	Now     func() time.Time // the wall clock; nil is time.Now
	Logger  *slog.Logger     // nil: silent
	Started time.Time        // when the hub started; zero: now
	// OnVerdict is told of each verdict that a story comes to, once for each; it must not
	// block.
	OnVerdict func(v iot.Verdict)
	// MaxCases is how many identities' conflicts are kept, those longest untouched going
	// first; 0 is 10,000.
	MaxCases int
}

// Diagnosis explains conflicts.
type Diagnosis struct {
	// fixed

	log   *slog.Logger
	queue *queue
	quit  chan struct{}
	done  chan struct{} // closed when the clerk has ended
	asks  chan func(*clerk)

	connections *feed[iot.ConnectionEvent]
	stories     *feed[iot.ConflictSummary]

	// shared

	sequence sequence
	stop     sync.Once
	closed   error // the clerk's last word; read after done
}

// New makes a Diagnosis and starts its clerk; Close ends it.
func New(cfg Config) (*Diagnosis, error) {
	if cfg.Records == nil {
		return nil, errors.New("diagnosis: Config needs Records")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Started.IsZero() {
		cfg.Started = cfg.Now()
	}
	if cfg.MaxCases <= 0 {
		cfg.MaxCases = maxCases
	}
	run, again, later, err := beginRun(context.Background(), cfg.Records, cfg.Started)
	if err != nil {
		return nil, fmt.Errorf("diagnosis: %w", err)
	}
	d := &Diagnosis{
		log: cfg.Logger, queue: newQueue(), quit: make(chan struct{}), done: make(chan struct{}),
		asks:        make(chan func(*clerk)),
		connections: newFeed[iot.ConnectionEvent](), stories: newFeed[iot.ConflictSummary](),
		sequence: sequence{run: run},
	}
	c := newClerk(d, cfg, run, again)
	c.behind.add(later)
	go func() {
		defer close(d.done)
		d.closed = c.work()
	}()
	return d, nil
}

// Close judges and stores what waits, and ends the followers. It returns early when
// ctx ends.
func (d *Diagnosis) Close(ctx context.Context) error {
	d.stop.Do(func() { close(d.quit) })
	select {
	case <-d.done:
		return d.closed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Connected notes that a session began. See presence.Sink.
func (d *Diagnosis) Connected(p device.Party) {
	if d.connections.idle() {
		return // nobody follows, and a connect alone is no evidence
	}
	d.queue.put(event{
		kind: eventConnected, at: p.Opened, identity: p.Identity, sequence: d.sequence.counter.next(),
		peer: partyOf(&p, d.sequence.run),
	})
}

// Ended notes that a session ended. See presence.Sink.
func (d *Diagnosis) Ended(e device.Ending) {
	ev := event{
		kind: eventEnded, at: e.At, identity: e.Party.Identity, sequence: d.sequence.counter.next(),
		code: e.Code, reason: clip(e.Reason, maxReason), lost: Loss{e.Unacked, e.Released}, peer: partyOf(&e.Party, d.sequence.run),
	}
	ev.peer.TCP = e.TCP
	if e.By != nil {
		by := partyOf(e.By, d.sequence.run)
		ev.by = &by
		if e.By.Conn != nil {
			ev.kernel = e.By.Conn.Kernel
		}
	}
	d.queue.put(ev)
}

// Afterlife notes what the displaced session of an identity with that epoch did after it
// was told: once per displacement, at most five seconds after it.
func (d *Diagnosis) Afterlife(id iot.Identity, epoch string, a device.Afterlife) {
	d.queue.put(event{kind: eventAfterlife, identity: id, peer: Party{Epoch: epoch}, afterlife: a})
}

// Refused notes that a connection was not let in. Who is refused has proved nothing.
func (d *Diagnosis) Refused(hello device.Hello, err error, at time.Time) {
	if ev, ok := refusal(&hello, err, at); ok {
		d.queue.put(ev)
	}
}

// Forget drops what is known of an identity, and of its modules if it is a device.
func (d *Diagnosis) Forget(id iot.Identity) {
	d.queue.put(event{kind: eventForget, identity: id})
}

// Explain says what happened to an identity, as of a time; zero: now. Its addresses are
// whole. An identity without a displacement until then has the verdict none. Errors
// are fault.Error, or the context's.
func (d *Diagnosis) Explain(ctx context.Context, id iot.Identity, at time.Time) (e iot.Explanation, err error) {
	if asked := d.ask(ctx, func(c *clerk) { e, err = c.explain(ctx, id, at) }); asked != nil {
		return iot.Explanation{}, asked
	}
	return e, err
}

// Conflicts lists the latest story of each identity that q asks for.
func (d *Diagnosis) Conflicts(ctx context.Context, q iot.ConflictQuery) (list []iot.ConflictSummary, err error) {
	if err := d.ask(ctx, func(c *clerk) { list = c.list(&q) }); err != nil {
		return nil, err
	}
	return order(list, &q), nil
}

// FollowConflicts calls f with what Conflicts lists, its first last, and then with each
// story that q asks for when it is new, when its verdict changes, and while it grows at
// most once a second, until ctx ends, f returns an error, or the hub stops: nil. A
// follower too slow is told how many it missed, in Lost.
func (d *Diagnosis) FollowConflicts(ctx context.Context, q iot.ConflictQuery, f func(iot.ConflictSummary) error) error {
	return d.stories.follow(ctx, following[iot.ConflictSummary]{
		wants: func(s *iot.ConflictSummary) bool { return asked(&q, s) },
		lost:  func(n uint64) iot.ConflictSummary { return iot.ConflictSummary{Addresses: []string{}, Lost: n} },
		first: func() ([]iot.ConflictSummary, error) {
			list, err := d.Conflicts(ctx, q)
			slices.Reverse(list)
			return list, err
		},
		give: f,
	})
}

// FollowConnections calls f with every connect and disconnect that q asks for, until
// ctx ends, f returns an error, or the hub stops: nil. A follower too slow is told how
// many it missed, in Lost.
func (d *Diagnosis) FollowConnections(ctx context.Context, q iot.ConnectionQuery, f func(iot.ConnectionEvent) error) error {
	return d.connections.follow(ctx, following[iot.ConnectionEvent]{
		wants: func(e *iot.ConnectionEvent) bool { return q.Matches(e.Identity()) },
		lost:  func(n uint64) iot.ConnectionEvent { return iot.ConnectionEvent{Lost: n} },
		first: func() ([]iot.ConnectionEvent, error) { return nil, nil },
		give:  f,
	})
}

// ask has the clerk carry out f, behind everything told before.
func (d *Diagnosis) ask(ctx context.Context, f func(*clerk)) error {
	carried := make(chan struct{})
	select {
	case d.asks <- func(c *clerk) { defer close(carried); f(c) }:
		<-carried
		return nil
	case <-d.done:
		return fault.New(fault.ServiceUnavailable, "diagnosis.ask", "the hub is stopping")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
