package pebble

import (
	"errors"
	"math/rand/v2"
	"testing"

	kv "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/store/storetest"
)

// options are those of a test: a small ballast, and a failed flush is a failed test.
func options(tb testing.TB, fs vfs.FS) Options {
	tb.Helper()
	return Options{Dir: "data", FS: fs, BallastBytes: -1, CacheBytes: 1 << 20, Fatal: func(err error) { tb.Error(err) }}
}

// open opens an engine that is closed with the test.
func open(tb testing.TB, o Options) *Engine {
	tb.Helper()
	e, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	return e
}

func TestEngineMeetsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		t.Helper()
		o := options(t, vfs.NewMem())
		e := open(t, o)
		return storetest.Subject{Engine: e, Reopen: func(t *testing.T) storetest.Engine {
			t.Helper()
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, o)
		}}
	})
}

func TestEngineMeetsTheContractOnDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		t.Helper()
		o := Options{Dir: t.TempDir(), Fatal: func(err error) { t.Error(err) }}
		e := open(t, o)
		return storetest.Subject{Engine: e, Reopen: func(t *testing.T) storetest.Engine {
			t.Helper()
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, o)
		}}
	})
}

// TestEngineAnswersAsTheModel plays random programs against the engine and its twin in
// memory, with restarts, losses of power that leave any part of what was not flushed, full
// disks, and flushes and compactions at any moment: the answers are equal.
func TestEngineAnswersAsTheModel(t *testing.T) {
	storetest.Compare(t, func(rt *rapid.T) storetest.Rival {
		fs := vfs.NewCrashableMem()
		avail := uint64(1 << 40)
		usage := func() {
			fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: avail, TotalBytes: 1 << 40, UsedBytes: 1<<40 - avail})
		}
		usage()
		e := opened(t, rt, fs)
		return storetest.Rival{
			Engine: e,
			Fill: func(full bool) {
				if avail = 1 << 40; full {
					avail = 0
				}
				usage()
				e.space.check()
			},
			Reopen: func() storetest.Engine {
				if err := e.Close(); err != nil {
					rt.Fatal(err)
				}
				e = opened(t, rt, fs)
				return e
			},
			Crash: func(rt *rapid.T) storetest.Engine {
				seed := rapid.Uint64().Draw(rt, "seed")
				left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rapid.IntRange(0, 100).Draw(rt, "survives"), RNG: seeded(seed)})
				if err := e.Close(); err != nil {
					rt.Fatal(err)
				}
				fs = left
				usage()
				e = opened(t, rt, fs)
				return e
			},
			Tidy: func(rt *rapid.T) {
				db := rapid.SampledFrom([]*kv.DB{e.records.db, e.events.db}).Draw(rt, "instance")
				err := db.Flush()
				if rapid.Bool().Draw(rt, "compact") {
					err = errors.Join(err, db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
				}
				if err != nil {
					rt.Fatal(err)
				}
			},
			Done: func() { _ = e.Close() },
		}
	})
}

// opened opens an engine within a random program.
func opened(t *testing.T, rt *rapid.T, fs vfs.FS) *Engine {
	t.Helper()
	e, err := Open(options(t, fs))
	if err != nil {
		rt.Fatal(err)
	}
	return e
}

// seeded gives randomness that a failing test can name.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }
