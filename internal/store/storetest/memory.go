package storetest

import (
	"context"
	"sync"

	"github.com/berth-iot/berth/internal/store"
)

// Engine is what an engine offers.
type Engine interface {
	Records() store.Records
	Log() store.Log
	Claims() store.Claims
}

// Op names a call of an engine, for Memory.Fail.
type Op string

// The calls of an engine.
const (
	RecordsGet       Op = "records.get"
	RecordsApply     Op = "records.apply"
	RecordsScan      Op = "records.scan"
	RecordsScanIndex Op = "records.scanindex"
	RecordsCounter   Op = "records.counter"
	LogCommit        Op = "log.commit"
	LogRead          Op = "log.read"
	LogNext          Op = "log.next"
	LogTrim          Op = "log.trim"
	LogTails         Op = "log.tails"
	LogMarks         Op = "log.marks"
	ClaimsClaim      Op = "claims.claim"
	ClaimsRelease    Op = "claims.release"
	ClaimsHolder     Op = "claims.holder"
)

// Memory is an engine in memory. It keeps what it is given until it is dropped, and
// fails when it is told to.
type Memory struct {
	// shared

	records memRecords
	log     memLog
	claims  memClaims
	faults  faults
}

// faults is what an engine was told to do wrong.
type faults struct {
	// guarded by mu

	mu     sync.Mutex
	hook   func(Op) error
	closed bool
}

var _ Engine = (*Memory)(nil)

// New makes an empty engine of generation 1.
func New() *Memory {
	m := &Memory{}
	m.records = memRecords{faults: &m.faults, rows: map[string]memRow{}, counters: map[string]int64{}}
	m.log = memLog{faults: &m.faults, partitions: map[uint32]*memPartition{}}
	m.claims = memClaims{faults: &m.faults, generation: 1, holders: map[string]store.Epoch{}}
	return m
}

// Records gives the records of the engine.
func (m *Memory) Records() store.Records { return &m.records }

// Log gives the log of the engine.
func (m *Memory) Log() store.Log { return &m.log }

// Claims gives the claims of the engine.
func (m *Memory) Claims() store.Claims { return &m.claims }

// Fail installs a hook that is called at the beginning of every call, outside all
// locks: an error it returns is the call's, and nothing happens; while it blocks, so
// does the call. Nil removes it.
func (m *Memory) Fail(hook func(Op) error) {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.hook = hook
}

// Close makes every later call fail with store.ErrClosed.
func (m *Memory) Close() error {
	m.faults.mu.Lock()
	defer m.faults.mu.Unlock()
	m.faults.closed = true
	return nil
}

// Restart gives an engine that holds the same records and log, as after a restart of
// the process: claims are forgotten and the generation is raised. m is closed.
func (m *Memory) Restart() *Memory {
	_ = m.Close()
	n := New()
	n.records.take(&m.records)
	n.log.take(&m.log)
	n.claims.generation = m.claims.generation + 1
	return n
}

// meet is the beginning of every call.
func (f *faults) meet(op Op) error {
	f.mu.Lock()
	hook, closed := f.hook, f.closed
	f.mu.Unlock()
	if closed {
		return store.ErrClosed
	}
	if hook != nil {
		return hook(op)
	}
	return nil
}

// memClaims are store.Claims in memory.
type memClaims struct {
	// fixed

	faults     *faults
	generation uint64

	// guarded by mu

	mu      sync.Mutex
	counter uint64
	holders map[string]store.Epoch
}

// Claim implements store.Claims.
func (c *memClaims) Claim(ctx context.Context, identity string) (store.Epoch, error) {
	if ctx.Err() != nil {
		return store.Epoch{}, context.Cause(ctx)
	}
	if err := c.faults.meet(ClaimsClaim); err != nil {
		return store.Epoch{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counter++
	e := store.Epoch{Generation: c.generation, Counter: c.counter}
	c.holders[identity] = e
	return e, nil
}

// Release implements store.Claims.
func (c *memClaims) Release(_ context.Context, identity string, e store.Epoch) error {
	if err := c.faults.meet(ClaimsRelease); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holders[identity] == e {
		delete(c.holders, identity)
	}
	return nil
}

// Holder implements store.Claims.
func (c *memClaims) Holder(ctx context.Context, identity string) (store.Epoch, error) {
	if ctx.Err() != nil {
		return store.Epoch{}, context.Cause(ctx)
	}
	if err := c.faults.meet(ClaimsHolder); err != nil {
		return store.Epoch{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holders[identity], nil
}

// Generation implements store.Claims.
func (c *memClaims) Generation() uint64 { return c.generation }
