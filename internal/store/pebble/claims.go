package pebble

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/berth-iot/berth/internal/store"
)

// claims are store.Claims: maps in memory, because a claim ends with the process. Only
// the generation is stored, once per start, so that a claim waits for no flush.
type claims struct {
	// fixed

	generation uint64
	seed       maphash.Seed
	gate       *gate

	// shared

	counter atomic.Uint64
	shards  [claimShards]claimShard
}

type claimShard struct {
	// guarded by mu

	mu      sync.Mutex
	holders map[string]store.Epoch
}

var _ store.Claims = (*claims)(nil)

func newClaims(generation uint64, g *gate) *claims {
	c := &claims{generation: generation, seed: maphash.MakeSeed(), gate: g}
	for i := range c.shards {
		c.shards[i].holders = map[string]store.Epoch{}
	}
	return c
}

func (c *claims) shard(identity string) *claimShard {
	return &c.shards[maphash.String(c.seed, identity)%claimShards]
}

// enter lets a call in.
func (c *claims) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.gate.enter()
}

// Claim implements store.Claims.
func (c *claims) Claim(ctx context.Context, identity string) (store.Epoch, error) {
	if err := c.enter(ctx); err != nil {
		return store.Epoch{}, err
	}
	defer c.gate.leave()
	s := c.shard(identity)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := store.Epoch{Generation: c.generation, Counter: c.counter.Add(1)}
	s.holders[identity] = e
	return e, nil
}

// Release implements store.Claims. It works in an ended context too: a session that
// ends must be able to give its claim back.
func (c *claims) Release(_ context.Context, identity string, e store.Epoch) error {
	if err := c.gate.enter(); err != nil {
		return err
	}
	defer c.gate.leave()
	s := c.shard(identity)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holders[identity] == e {
		delete(s.holders, identity)
	}
	return nil
}

// Holder implements store.Claims.
func (c *claims) Holder(ctx context.Context, identity string) (store.Epoch, error) {
	if err := c.enter(ctx); err != nil {
		return store.Epoch{}, err
	}
	defer c.gate.leave()
	s := c.shard(identity)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holders[identity], nil
}

// Generation implements store.Claims.
func (c *claims) Generation() uint64 { return c.generation }
