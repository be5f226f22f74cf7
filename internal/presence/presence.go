// Package presence runs the arbiter over the store's claims: it knows which session
// speaks for an identity now, and what was kept of those that did before.
//
// Its one invariant: when Claim returns, every earlier holder of the identity is
// fenced. It refuses to know a socket or a protocol: a session is a Holder that can
// be fenced, and says itself what that means.
//
// Everything about one identity happens in turn; different identities never wait for
// each other, except for a moment in a map.
package presence

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
)

// Holder is a session as presence sees it.
type Holder interface {
	// Fence takes from the session every right to act, and says how it ended. It is
	// called at most once, and not at all if Seat.Release came first: synchronously, inside the
	// claim of the newcomer by, or with by nil when the session is revoked or expires. It
	// must not block on a socket and must not wait for presence.
	Fence(code fault.Code, reason string, by *device.Party) device.Ending
}

// Sink is told of connections. For one identity the calls come in order and
// alternate, Connected first; for different identities they come at once from many
// goroutines. No mutex is held, but the identity waits until they return.
type Sink interface {
	Connected(p device.Party)
	Ended(e device.Ending)
}

// Config is what a Presence is made of.
type Config struct {
	Claims  store.Claims
	Records store.Records
	Sink    Sink             // nil: nobody listens
	Now     func() time.Time // the wall clock; nil is time.Now. Durations use the monotonic one
	Logger  *slog.Logger     // nil: silent
	Grace   time.Duration    // how long a session outlives its token; 0 is DefaultGrace
}

// Presence knows the live sessions.
type Presence struct {
	// fixed

	claims  store.Claims
	records store.Records
	sink    Sink
	now     func() time.Time
	log     *slog.Logger
	grace   time.Duration
	started time.Time // origin of the monotonic clock
	seed    maphash.Seed
	shards  [shards]*shard
	quit    chan struct{}
	writing turn // to write states

	// shared

	connected atomic.Int64
	claiming  sync.WaitGroup // claims under way; joined only while the shard is open
	swept     sync.WaitGroup // the sweeper
	closing   sync.Once
	stopped   atomic.Bool
}

// New makes a Presence and starts its sweeper; Close stops it.
func New(cfg Config) (*Presence, error) {
	if cfg.Claims == nil || cfg.Records == nil {
		return nil, fmt.Errorf("presence: Config needs Claims and Records")
	}
	p := &Presence{
		claims: cfg.Claims, records: cfg.Records, sink: cfg.Sink, now: cfg.Now, log: cfg.Logger, grace: cfg.Grace,
		started: time.Now(), seed: maphash.MakeSeed(), quit: make(chan struct{}), writing: newTurn(),
	}
	if p.sink == nil {
		p.sink = nobody{}
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.grace == 0 {
		p.grace = DefaultGrace
	}
	for i := range p.shards {
		p.shards[i] = newShard()
	}
	p.swept.Go(p.sweep)
	return p, nil
}

// nobody is the Sink of a Presence that has none.
type nobody struct{}

func (nobody) Connected(device.Party) {}
func (nobody) Ended(device.Ending)    {}

// Connected counts the live sessions.
func (p *Presence) Connected() int { return int(p.connected.Load()) }

// Close refuses further claims, fences every session that is left, and writes what
// was to be written behind. It returns early when ctx ends; what was not written then
// reads as after a crash.
func (p *Presence) Close(ctx context.Context) error {
	p.stopped.Store(true)
	for _, sh := range p.shards {
		sh.mu.Lock()
		sh.closed = true
		sh.mu.Unlock()
	}
	p.RevokeWhere(func(*device.Party) bool { return true }, fault.ConnectionForcefullyClosed, stopping) //nolint:contextcheck // sessions end though ctx does not wait for them
	p.closing.Do(func() { close(p.quit) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.claiming.Wait()
		p.swept.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := p.settled(ctx); err != nil {
		return err
	}
	if left := p.flush(ctx); left != nil {
		return fmt.Errorf("write connection states: %w", left)
	}
	return nil
}

// settled waits until nobody is at work on an identity: sessions that were ending when
// Close came have then been noted, and the sink told.
func (p *Presence) settled(ctx context.Context) error {
	for _, sh := range p.shards {
		for _, pl := range sh.all() {
			if err := pl.turn.take(ctx); err != nil {
				return err
			}
			pl.turn.give()
			p.settle(context.WithoutCancel(ctx), sh, pl)
		}
	}
	return nil
}

// stopping is why sessions end when the hub does.
const stopping = "the hub is stopping"

// clock is the monotonic time since the start.
func (p *Presence) clock() time.Duration { return time.Since(p.started) }
