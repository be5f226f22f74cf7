package pebble

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	kv "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// Options say where the engine lives and what it does when the disk fails.
type Options struct {
	// Dir is the engine's own folder; it is made if it does not exist.
	Dir string
	// FS is the file system; nil is the operating system's.
	FS vfs.FS
	// Log is where the engine speaks to the operator; nil discards.
	Log *slog.Logger
	// Fatal ends the process: a flush failed, and what was written since the last good
	// one may be lost. Nil logs the error and exits with status 74 (EX_IOERR). If it
	// returns, every write fails from then on.
	Fatal func(error)
	// ReserveBytes is the free space below which writes are refused with store.ErrFull
	// while reads go on; 0 is 256 MiB.
	ReserveBytes uint64
	// BallastBytes is the size of the file that is given up when the disk is full
	// nevertheless; 0 is 32 MiB, negative is none.
	BallastBytes int64
	// CacheBytes is the block cache of the records; 0 is 64 MiB.
	CacheBytes int64
}

// exitIO is the status the process ends with after a failed flush: EX_IOERR of
// sysexits.
const exitIO = 74

// Engine is an open engine.
type Engine struct {
	// fixed

	records *records
	events  *eventLog
	claims  *claims
	space   *space
	stop    chan struct{}
	wg      sync.WaitGroup

	// shared

	health health
	gate   gate
}

// health is what a failed flush does to an engine.
type health struct {
	// fixed

	fatal func(error)

	// shared

	once   sync.Once
	failed atomic.Bool
}

// errFailed is what every write gets after a failed flush, if Fatal returned.
var errFailed = errors.New("pebble: a flush failed, the engine must be restarted")

// fail reports the first failed flush and refuses every write from then on.
func (h *health) fail(err error) {
	h.failed.Store(true)
	h.once.Do(func() { h.fatal(err) })
}

// Open opens the engine in o.Dir, or makes it. A folder written by a newer version is
// refused with store.ErrFormat, one in use by another process with Pebble's error.
func Open(o Options) (*Engine, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) {
			o.Log.Error("a flush to disk failed; the process ends so that nothing unsaved is acknowledged", slog.Any("err", err))
			os.Exit(exitIO)
		}
	}
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("pebble: make %s: %w", o.Dir, err)
	}
	if err := checkFormat(o.FS, o.Dir); err != nil {
		return nil, err
	}
	e := &Engine{space: newSpace(o), stop: make(chan struct{})}
	e.health.fatal = o.Fatal
	fs := vfs.OnDiskFull(o.FS, e.space.exhausted)

	recordsDB, err := kv.Open(fs.PathJoin(o.Dir, "records"), e.recordOptions(fs, o))
	if err != nil {
		return nil, fmt.Errorf("pebble: open records: %w", translate(err))
	}
	logDB, err := kv.Open(fs.PathJoin(o.Dir, "log"), e.logOptions(fs, o))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pebble: open log: %w", translate(err)), recordsDB.Close())
	}
	e.records = &records{db: recordsDB, engine: e, seed: maphash.MakeSeed()}
	e.events = &eventLog{db: logDB, engine: e}
	generation, err := e.records.nextGeneration()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pebble: store the generation: %w", err), recordsDB.Close(), logDB.Close())
	}
	e.records.rev.Store(generation << revCounterBits)
	e.claims = newClaims(generation, &e.gate)
	e.space.check()
	e.wg.Go(func() { e.space.watch(e.stop) })
	return e, nil
}

// Records gives the records of the engine.
func (e *Engine) Records() store.Records { return e.records }

// Log gives the log of the engine.
func (e *Engine) Log() store.Log { return e.events }

// Claims gives the claims of the engine.
func (e *Engine) Claims() store.Claims { return e.claims }

// Full reports whether writes are refused for want of space.
func (e *Engine) Full() bool { return e.space.full.Load() }

// Close waits for the calls under way, then closes both instances. Later calls get
// store.ErrClosed. After a failed flush there is nothing to close: Pebble is left as
// it is.
func (e *Engine) Close() error {
	if !e.gate.close() {
		return nil
	}
	close(e.stop)
	e.wg.Wait()
	if e.health.failed.Load() {
		return errFailed
	}
	return errors.Join(e.records.db.Close(), e.events.db.Close())
}

// write applies a batch and says whether it can be taken for done.
func (e *Engine) write(db *kv.DB, b *kv.Batch, o *kv.WriteOptions) (err error) {
	if e.health.failed.Load() {
		return errFailed
	}
	defer func() {
		// Pebble panics where a write-ahead log cannot be closed or made.
		if r := recover(); r != nil {
			e.health.fail(fmt.Errorf("pebble: %v", r))
			err = errFailed
		}
	}()
	if err := db.Apply(b, o); err != nil {
		return translate(err)
	}
	if e.health.failed.Load() {
		return errFailed
	}
	return nil
}
