package telemetry

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/pebble"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// onPebble opens a log on the embedded engine.
func onPebble(t *testing.T, fs vfs.FS, c Config) (*Log, func()) {
	t.Helper()
	e, err := pebble.Open(pebble.Options{Dir: "data", FS: fs, BallastBytes: -1, CacheBytes: 1 << 20, Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	c.Log = e.Log()
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	done := func() {
		once.Do(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(done)
	return l, done
}

// pour appends numbered messages of one writer, a few at a time, until stop is closed.
func pour(t *testing.T, w *Writer, woken wait, name string, pad int, stop <-chan struct{}) {
	t.Helper()
	next := 0
	for {
		select {
		case <-stop:
			return
		default:
		}
		var ms []iot.Raw
		for i := range 1 + next%7 {
			ms = append(ms, text("%s %d %s", name, next+i, strings.Repeat(".", pad)))
		}
		n, err := w.Append(ms)
		if err != nil {
			t.Error(err)
			return
		}
		if next += n; n < len(ms) || w.Appended()-w.Durable() > 16 {
			select {
			case <-woken:
			case <-stop:
			}
		}
	}
}

// TestPowerLossKeepsWhatIsDurable: the power goes under load; whatever Durable had
// counted is there afterwards, in order, dense, and what is written then follows it.
// With retention running, sequences are never used again.
func TestPowerLossKeepsWhatIsDurable(t *testing.T) {
	runs := uint64(storetest.Rounds(t, 12))
	for seed := range runs {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			trimmed := seed%3 == 2
			c := Config{Partitions: 3, RingBytes: -1, CatchUpRate: -1}
			pad, commits := 50, rng.IntN(120)
			if trimmed {
				pad, commits = 10_000, 15+rng.IntN(25)
				c.Partitions = 1
				c.RetentionBytes, c.RetainEvery = 5<<20, time.Millisecond
				c.Now = leaping()
			}
			committed := make(chan struct{}, 1)
			c.Hooks.Committed = func(time.Duration, int, int) { wait(committed).wake() }
			fs := vfs.NewCrashableMem()
			l, done := onPebble(t, fs, c)
			writers := map[string]*Writer{}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for i := range 6 {
				name := fmt.Sprintf("w%d", i)
				woken := make(wait, 1)
				w := l.Writer(stampOf(name), woken.wake)
				writers[name] = w
				wg.Go(func() { pour(t, w, woken, name, pad, stop) })
			}
			for range commits {
				<-committed
			}
			durable := map[string]uint64{}
			for name, w := range writers {
				durable[name] = w.Durable()
			}
			ends := l.Partitions()
			left := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			close(stop)
			wg.Wait()
			done()

			c.RetentionBytes = 0 // nothing more is trimmed while we look
			l, _ = onPebble(t, left, c)
			intact(t, l, ends, durable, trimmed)
		})
	}
}

// leaping is a clock on which two seconds pass between two looks.
func leaping() func() time.Time {
	var mu sync.Mutex
	now := time.UnixMilli(1_700_000_000_000)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(2 * time.Second)
		return now
	}
}

// intact checks a log that was opened on what a loss of power left.
func intact(t *testing.T, l *Log, ends []PartitionInfo, durable map[string]uint64, trimmed bool) {
	t.Helper()
	seen := map[string]uint64{}
	for p, info := range l.Partitions() {
		if !ends[p].Empty && (info.Empty || info.Last < ends[p].Last) {
			t.Errorf("partition %d ends at %d, %d was durable", p, info.Last, ends[p].Last)
		}
		if info.Empty {
			continue
		}
		if !trimmed && info.First != 0 {
			t.Errorf("partition %d begins at %d", p, info.First)
		}
		events := take(t, l, p, device.Start{}, int(info.Last-info.First+1))
		dense(t, events)
		for _, e := range events {
			var name string
			var n uint64
			if _, err := fmt.Sscanf(string(e.Raw.Body), "%s %d", &name, &n); err != nil {
				t.Fatal(err)
			}
			if have, ok := seen[name]; n != have && (ok || !trimmed) {
				t.Fatalf("%s: message %d where %d belongs", name, n, have)
			}
			seen[name] = n + 1
		}
		_, seq, err := l.Append(t.Context(), stampOf(on(l, p)), text("after"))
		if err != nil || seq != info.Last+1 {
			t.Errorf("partition %d: the next message got %d after %d (%v)", p, seq, info.Last, err)
		}
	}
	for name, n := range durable {
		if seen[name] < n {
			t.Errorf("%s: %d messages were durable, %d are there", name, n, seen[name])
		}
	}
}

// TestRestartFromDisk: a clean stop and start on a real file system.
func TestRestartFromDisk(t *testing.T) {
	dir := t.TempDir()
	open := func() (*Log, func()) {
		e, err := pebble.Open(pebble.Options{Dir: dir, BallastBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		l, err := Open(Config{Log: e.Log(), Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		return l, func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	for round := range 3 {
		l, done := open()
		for i := range 10 {
			if _, seq, err := l.Append(t.Context(), stampOf("dev"), text("%d", i)); err != nil || seq != uint64(10*round+i) {
				t.Fatalf("round %d: message %d got %d (%v)", round, i, seq, err)
			}
		}
		events := take(t, l, 0, device.Start{}, 10*(round+1))
		dense(t, events)
		done()
	}
}
