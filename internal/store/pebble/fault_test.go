package pebble

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// load is a number of writers of records and of log blocks that count what was
// acknowledged.
type load struct {
	e *Engine

	// guarded by mu

	mu     sync.Mutex
	wrote  map[string]int // last value acknowledged, by key
	blocks uint64         // log blocks acknowledged
}

// run writes until stop is closed or a write fails; tick gets a token now and then.
func (l *load) run(stop <-chan struct{}, tick chan<- struct{}) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { l.records(stop, tick, fmt.Sprintf("key%d", i)) })
	}
	wg.Go(func() { l.log(stop, tick) })
	wg.Wait()
}

func (l *load) records(stop <-chan struct{}, tick chan<- struct{}, key string) {
	for n := 1; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		_, err := l.e.Records().Apply(context.Background(), store.Batch{
			Writes: []store.Write{{Key: key, Value: fmt.Append(nil, n), If: store.Any, Index: []string{fmt.Sprintf("i/%d", n)}}},
			Deltas: []store.Delta{{Key: key, N: 1}},
		})
		if err != nil {
			return
		}
		l.mu.Lock()
		l.wrote[key] = n
		l.mu.Unlock()
		select {
		case tick <- struct{}{}:
		default:
		}
	}
}

func (l *load) log(stop <-chan struct{}, tick chan<- struct{}) {
	for n := uint64(0); ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		if l.e.Log().Commit([]store.Block{numbered(0, n), numbered(1, n)}) != nil {
			return
		}
		l.mu.Lock()
		l.blocks = n + 1
		l.mu.Unlock()
		select {
		case tick <- struct{}{}:
		default:
		}
	}
}

// numbered is a block whose bytes tell its place.
func numbered(partition uint32, n uint64) store.Block {
	size := 500 + int(n%5)*3000
	return storetest.Block(partition, n, []byte(strings.Repeat(fmt.Sprintf("%d.%d ", partition, n), size)[:size]), &store.Mark{Sequence: n})
}

// acknowledged is what must survive from here on.
func (l *load) acknowledged() (map[string]int, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.wrote), l.blocks
}

// survived checks an engine on what a loss of power left.
func survived(t *testing.T, e *Engine, wrote map[string]int, blocks uint64) {
	t.Helper()
	for key, n := range wrote {
		rec, err := e.Records().Get(t.Context(), key)
		if err != nil {
			t.Errorf("%s was acknowledged at %d and is gone: %v", key, n, err)
			continue
		}
		var got int
		if _, err := fmt.Sscan(string(rec.Value), &got); err != nil || got < n {
			t.Errorf("%s was acknowledged at %d and is %q", key, n, rec.Value)
		}
		if count, err := e.Records().Counter(t.Context(), key); err != nil || count != int64(got) {
			t.Errorf("%s is at %d and its counter at %d (%v): a batch was torn", key, got, count, err)
		}
		var indexes []string
		err = e.Records().ScanIndex(t.Context(), "", "", func(index, k string) bool {
			if k == key {
				indexes = append(indexes, index)
			}
			return true
		})
		if err != nil || len(indexes) != 1 || indexes[0] != fmt.Sprintf("i/%d", got) {
			t.Errorf("%s is at %d and its index at %v (%v)", key, got, indexes, err)
		}
	}
	for p := range uint32(2) {
		stored, err := e.Log().Read(p, 0, 1<<30)
		if err != nil || uint64(len(stored)) < blocks {
			t.Fatalf("partition %d: %d blocks were acknowledged, %d are there (%v)", p, blocks, len(stored), err)
		}
		for i, s := range stored {
			want := numbered(p, uint64(i))
			value := make([]byte, want.Size)
			want.Fill(value)
			if s.First != uint64(i) || string(s.Value) != string(value) {
				t.Fatalf("partition %d: block %d is wrong at place %d", p, s.First, i)
			}
		}
		if marks, err := e.Log().Marks(p); err != nil || len(marks) != len(stored) {
			t.Errorf("partition %d: %d blocks and %d marks (%v)", p, len(stored), len(marks), err)
		}
	}
}

// TestPowerLossKeepsWhatWasAcknowledged: at a random moment the power goes; of what was
// not flushed, 0 to 100 % survives.
func TestPowerLossKeepsWhatWasAcknowledged(t *testing.T) {
	runs := uint64(storetest.Rounds(t, 20))
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := seeded(seed)
			fs := vfs.NewCrashableMem()
			e := open(t, options(t, fs))
			l := &load{e: e, wrote: map[string]int{}}
			stop, tick := make(chan struct{}), make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() { l.run(stop, tick) })
			for range rng.IntN(200) {
				<-tick
			}
			wrote, blocks := l.acknowledged()
			left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			close(stop)
			wg.Wait()
			again := open(t, options(t, left))
			survived(t, again, wrote, blocks)
			if again.Claims().Generation() <= e.Claims().Generation() {
				t.Errorf("generation %d after %d", again.Claims().Generation(), e.Claims().Generation())
			}
			before, err := e.Records().Get(t.Context(), "key0")
			if err == nil {
				revs, err := again.Records().Apply(t.Context(), store.Batch{Writes: []store.Write{{Key: "key0", If: store.Any}}})
				if err != nil || revs[0] <= before.Rev {
					t.Errorf("revision %v after %d (%v)", revs, before.Rev, err)
				}
			}
		})
	}
}

// TestPowerLossWhileOpening takes the power away before each write of an opening and of the
// stop behind it, with write-ahead logs to replay: nothing is lost, the generation grows,
// and both instances say the same one.
func TestPowerLossWhileOpening(t *testing.T) {
	begun := vfs.NewCrashableMem()
	e := open(t, options(t, begun))
	wrote, blocks := map[string]int{}, uint64(12)
	for n := range int(blocks) {
		key := fmt.Sprintf("key%d", n%4)
		_, err := e.Records().Apply(t.Context(), store.Batch{
			Writes: []store.Write{{Key: key, Value: fmt.Append(nil, n/4+1), If: store.Any, Index: []string{fmt.Sprintf("i/%d", n/4+1)}}},
			Deltas: []store.Delta{{Key: key, N: 1}},
		})
		if err := errors.Join(err, e.Log().Commit([]store.Block{numbered(0, uint64(n)), numbered(1, uint64(n))})); err != nil {
			t.Fatal(err)
		}
		wrote[key] = n/4 + 1
	}
	killed := begun.CrashClone(vfs.CrashCloneCfg{})

	step := 6
	if storetest.Rounds(t, 0) > 0 {
		step = 1
	}
	cuts := 0
	for cut := int64(1); ; cut += int64(step) {
		rng := seeded(uint64(cut))
		fs := killed.CrashClone(vfs.CrashCloneCfg{})
		var left *vfs.MemFS
		var countdown atomic.Int64
		countdown.Store(cut)
		inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && countdown.Add(-1) == 0 {
				left = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			}
			return nil
		})
		if err := open(t, options(t, errorfs.Wrap(fs, inject))).Close(); err != nil {
			t.Fatal(err)
		}
		if left == nil {
			break
		}
		cuts++
		again := open(t, options(t, left))
		survived(t, again, wrote, blocks)
		g := again.Claims().Generation()
		inRecords, err := readGeneration(again.records.db, spaceKey(spaceMeta, metaGeneration), again.records.translator)
		inLog, logErr := readGeneration(again.events.db, []byte(keyGeneration), again.events.translator)
		if err := errors.Join(err, logErr); err != nil || g < 2 || inRecords != g || inLog != g {
			t.Errorf("cut %d: generation %d, %d in the records and %d in the log (%v), want one and the same above 1", cut, g, inRecords, inLog, err)
		}
		if err := again.Close(); err != nil || t.Failed() {
			t.Fatalf("cut %d: %v", cut, err)
		}
	}
	if cuts < 10 {
		t.Errorf("an opening has only %d places to cut", cuts)
	}
}

// TestMarkerIsNotAheadOfWhatItNames takes the power away between any two writes of an
// opening: whatever part of the folders was not flushed survives, a marker that is there
// names a manifest that is there.
func TestMarkerIsNotAheadOfWhatItNames(t *testing.T) {
	fs := vfs.NewCrashableMem()
	if err := open(t, options(t, fs)).Close(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	rng := seeded(1)
	moved := 0
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.Contains(op.Path, "marker.manifest") {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		moved++
		for range 40 {
			left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
			for _, dir := range []string{"data/records", "data/log"} {
				names, err := left.List(dir)
				if err != nil {
					t.Error(err)
				}
				for _, name := range names {
					if _, manifest, ok := strings.Cut(name, "MANIFEST-"); ok && strings.HasPrefix(name, "marker.") && !slices.Contains(names, "MANIFEST-"+manifest) {
						t.Errorf("at %v of %s: %s holds %v", op.Kind, op.Path, dir, names)
						return nil
					}
				}
			}
		}
		return nil
	})
	if err := open(t, options(t, errorfs.Wrap(fs, inject))).Close(); err != nil {
		t.Fatal(err)
	}
	if moved < 4 {
		t.Errorf("%d markers were moved, want some of both instances", moved)
	}
}

// TestFailedFlushEndsTheProcess: whatever write, sync, creation or rename of Pebble's
// fails, either it is tried again behind our back, or Fatal is called and nothing
// counts as done from then on; what was acknowledged before survives.
func TestFailedFlushEndsTheProcess(t *testing.T) {
	runs := uint64(max(storetest.Rounds(t, 12), 6)) // fewer may meet nothing that breaks
	var ended int
	for seed := range runs {
		rng := seeded(seed)
		fs := vfs.NewCrashableMem()
		broken := errors.New("input/output error")
		var armed atomic.Bool
		countdown := atomic.Int64{}
		countdown.Store(rng.Int64N(200))
		kinds := [][]errorfs.OpKind{
			{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, {errorfs.OpFileWrite}, {errorfs.OpCreate, errorfs.OpRename, errorfs.OpReuseForWrite},
		}[rng.IntN(3)]
		inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
			for _, kind := range kinds {
				if armed.Load() && op.Kind == kind && countdown.Add(-1) < 0 {
					return broken
				}
			}
			return nil
		})
		fatal := make(chan error, 1)
		o := options(t, errorfs.Wrap(fs, inject))
		o.Fatal = func(err error) { fatal <- err } // a second call would block
		e, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		armed.Store(true)
		l := &load{e: e, wrote: map[string]int{}}
		var wg sync.WaitGroup
		stop := make(chan struct{})
		tick := make(chan struct{})
		wg.Go(func() { l.run(stop, tick) })
		for range 400 {
			select {
			case <-tick:
				continue
			case err := <-fatal:
				ended++
				if !strings.Contains(err.Error(), broken.Error()) {
					t.Errorf("Fatal says %v, not why", err)
				}
				fatal <- err
			}
			break
		}
		close(stop)
		if len(fatal) == 0 {
			armed.Store(false)
			wg.Wait() // nothing broke in the foreground: every writer goes on
		}
		wrote, blocks := l.acknowledged()
		left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		if len(fatal) > 0 {
			if err := e.Log().Commit([]store.Block{numbered(0, 0)}); !errors.Is(err, errFailed) {
				t.Errorf("a commit after the failed flush: %v", err)
			}
			if _, err := e.Records().Apply(t.Context(), store.Batch{Deltas: []store.Delta{{Key: "n", N: 1}}}); !errors.Is(err, errFailed) {
				t.Errorf("a write after the failed flush: %v", err)
			}
		}
		survived(t, open(t, options(t, left)), wrote, blocks)
	}
	if ended == 0 {
		t.Error("no run ended through Fatal")
	}
}

// TestWritersShareAFlush: many writers of different keys wait for few flushes.
func TestWritersShareAFlush(t *testing.T) {
	const writers = 200
	var syncs, waiting atomic.Int64
	var armed atomic.Bool
	release, first := make(chan struct{}), make(chan struct{}, writers)
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !armed.Load() || !strings.HasSuffix(op.Path, ".log") {
			return nil
		}
		switch op.Kind { //nolint:exhaustive // only flushes of the write-ahead log matter
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			syncs.Add(1)
			first <- struct{}{}
			<-release
			<-time.After(time.Millisecond) // a slow disk
		}
		return nil
	})
	e := open(t, options(t, errorfs.Wrap(vfs.NewMem(), inject)))
	armed.Store(true)
	var wg sync.WaitGroup
	write := func(key string) {
		wg.Go(func() {
			waiting.Add(1)
			_, err := e.Records().Apply(context.Background(), store.Batch{Writes: []store.Write{{Key: key, If: store.Absent}}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	write("first")
	<-first // its flush is under way
	for i := range writers {
		write(fmt.Sprint(i))
	}
	for waiting.Load() < writers+1 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	if got := syncs.Load(); got > writers/4 {
		t.Errorf("%d flushes for %d writers", got, writers)
	}
}
