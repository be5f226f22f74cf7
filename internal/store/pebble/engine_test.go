package pebble

import (
	"math/rand/v2"
	"testing"

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

// TestEngineAnswersAsTheModel plays random programs with restarts. Trims are not
// durable at once, so that only a clean restart keeps the two comparable.
func TestEngineAnswersAsTheModel(t *testing.T) {
	storetest.Compare(t, func(rt *rapid.T) (storetest.Engine, func() storetest.Engine, func()) {
		o := options(t, vfs.NewMem())
		e, err := Open(o)
		if err != nil {
			rt.Fatal(err)
		}
		reopen := func() storetest.Engine {
			if err := e.Close(); err != nil {
				rt.Fatal(err)
			}
			if e, err = Open(o); err != nil {
				rt.Fatal(err)
			}
			return e
		}
		return e, reopen, func() { _ = e.Close() }
	})
}

// seeded gives randomness that a failing test can name.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }
