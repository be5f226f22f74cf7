package pebble

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

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
	// returns, as in tests, the calls that met the failure never do, and later writes
	// fail.
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
	down  chan struct{} // closed by the first failure

	// shared

	once   sync.Once
	failed atomic.Bool
}

// errFailed is what every write gets after a failed flush, if Fatal returned.
var errFailed = errors.New("pebble: a flush failed, the engine must be restarted")

// end reports the first failed flush, which ends the process. It does not return:
// nobody may take what was under way for done, or try it again.
func (h *health) end(err error) {
	h.failed.Store(true)
	h.once.Do(func() {
		close(h.down)
		h.fatal(err)
	})
	select {}
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
	if err := makeFolder(o.FS, o.Dir); err != nil {
		return nil, err
	}
	if err := checkFormat(o.FS, o.Dir); err != nil {
		return nil, err
	}
	e := &Engine{space: newSpace(o), stop: make(chan struct{})}
	e.health.fatal, e.health.down = o.Fatal, make(chan struct{})
	fs := vfs.OnDiskFull(o.FS, e.space.exhausted)

	inRecords := newTranslator(fs.PathJoin(o.Dir, "records"), o.Log)
	recordsDB, err := e.openInstance(fs, inRecords, e.recordOptions(o, inRecords))
	if err != nil {
		return nil, err
	}
	inLog := newTranslator(fs.PathJoin(o.Dir, "log"), o.Log)
	logDB, err := e.openLog(fs, inLog, o)
	if err != nil {
		return nil, errors.Join(err, recordsDB.Close())
	}
	e.records = &records{
		db: recordsDB, engine: e, seed: maphash.MakeSeed(), translator: inRecords,
		waiting: backlog{db: recordsDB, dir: inRecords.dir, log: o.Log},
	}
	e.events = &eventLog{db: logDB, engine: e, translator: inLog, waiting: backlog{db: logDB, dir: inLog.dir, log: o.Log}}
	generation, err := e.nextGeneration()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pebble: store the generation: %w", err), recordsDB.Close(), logDB.Close())
	}
	e.records.rev.Store(generation << revCounterBits)
	if err := e.records.readTallies(); err != nil {
		return nil, errors.Join(fmt.Errorf("pebble: read the counters: %w", err), recordsDB.Close(), logDB.Close())
	}
	e.claims = newClaims(generation, &e.gate)
	e.space.check()
	e.wg.Go(func() { e.space.watch(e.stop) })
	e.wg.Go(func() { e.records.waiting.watch(e.stop) })
	e.wg.Go(func() { e.events.waiting.watch(e.stop) })
	e.wg.Go(func() { e.suspect(fs, inLog) })
	return e, nil
}

// openInstance opens one Pebble in its folder. An error names the file that was read last:
// not all of Pebble's do.
func (e *Engine) openInstance(fs vfs.FS, t *translator, o *kv.Options) (*kv.DB, error) {
	if err := makeFolder(fs, t.dir); err != nil {
		return nil, err
	}
	guarded := &guard{FS: fs, health: &e.health, stop: e.stop}
	o.FS = guarded
	db, err := kv.Open(t.dir, o)
	if err != nil {
		return nil, fmt.Errorf("pebble: open %s, at %s: %w", t.dir, guarded.lastRead(), t.translate(err))
	}
	return db, nil
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
	empty, first := e.gate.close()
	if !first {
		return nil
	}
	close(e.stop)
	e.wg.Wait()
	select {
	case <-empty:
	case <-e.health.down:
	}
	if e.health.failed.Load() {
		return errFailed
	}
	if !e.Full() {
		settle(e.records.db, e.events.db)
	}
	return errors.Join(e.records.db.Close(), e.events.db.Close())
}

// settle writes what the write-ahead logs hold into tables, whose checksums vouch for all
// of it: of a log, the last record cannot be told from one that was never whole. It is
// given up after settleWithin: the logs are read when the engine opens.
func settle(dbs ...*kv.DB) {
	late := time.NewTimer(settleWithin)
	defer late.Stop()
	for _, db := range dbs {
		flushed, err := db.AsyncFlush()
		if err != nil {
			continue
		}
		select {
		case <-flushed:
		case <-late.C:
			return
		}
	}
}

// write applies a batch and says whether it can be taken for done.
func (e *Engine) write(db *kv.DB, b *kv.Batch, o *kv.WriteOptions) error {
	if e.health.failed.Load() {
		return errFailed
	}
	if err := db.Apply(b, o); err != nil {
		return err
	}
	if e.health.failed.Load() {
		return errFailed
	}
	return nil
}
