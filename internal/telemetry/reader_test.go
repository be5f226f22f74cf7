package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// filled is a still log of one partition with 60 blocks of 3 messages, 300 KiB and
// 400 ms apart, so that it has marks; ring is its budget.
func filled(t *testing.T, ring int) (*storetest.Memory, *Log, []iot.Event) {
	t.Helper()
	m := storetest.New()
	c := &clock{millis: 1_000_000}
	l := still(t, Config{Log: m.Log(), Partitions: 1, RingBytes: ring, Now: c.now})
	w := l.Writer(stampOf("dev"), nil)
	pad := make([]byte, 100<<10)
	for i := range 60 {
		var ms []iot.Raw
		for j := range 3 {
			ms = append(ms, iot.Raw{Props: fmt.Appendf(nil, "n=%d", 3*i+j), Body: pad})
		}
		if n, err := w.Append(ms); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		l.settle()
		c.millis += 400
	}
	all := take(t, l, 0, device.Start{}, 180)
	dense(t, all)
	if len(all) != 180 || len(l.partitions[0].marks) < 3 {
		t.Fatalf("%d events and %d marks", len(all), len(l.partitions[0].marks))
	}
	return m, l, all
}

// TestReaderStartsWhereAsked, from the ring and from the store.
func TestReaderStartsWhereAsked(t *testing.T) {
	for name, ring := range map[string]int{"ring": 1 << 30, "store": -1, "both": 4 << 20} {
		t.Run(name, func(t *testing.T) {
			_, l, all := filled(t, ring)
			cases := map[string]struct {
				start device.Start
				first int
			}{
				"zero value":           {device.Start{}, 0},
				"sequence":             {device.Start{At: device.StartSequence, Sequence: 100}, 100},
				"first sequence":       {device.Start{At: device.StartSequence}, 0},
				"offset":               {device.Start{At: device.StartOffset, Offset: all[77].Offset}, 77},
				"offset within":        {device.Start{At: device.StartOffset, Offset: all[77].Offset + 1}, 78},
				"offset of the last":   {device.Start{At: device.StartOffset, Offset: all[179].Offset}, 179},
				"time of a block":      {device.Start{At: device.StartTime, Time: all[90].Enqueued}, 90},
				"just after its time":  {device.Start{At: device.StartTime, Time: all[90].Enqueued.Add(time.Microsecond)}, 93},
				"just before its time": {device.Start{At: device.StartTime, Time: all[90].Enqueued.Add(-time.Microsecond)}, 90},
				"before everything":    {device.Start{At: device.StartTime}, 0},
			}
			for name, c := range cases {
				got := take(t, l, 0, c.start, 180-c.first)
				if at := differ(all[c.first:], got); at >= 0 {
					t.Errorf("%s: %d events from %d, want from %d; they differ at %d", name, len(got), got[0].Sequence, c.first, at)
				}
			}
		})
	}
}

// TestReaderWaitsForWhatIsToCome: from the end, from a sequence, an offset and a time
// that are not reached.
func TestReaderWaitsForWhatIsToCome(t *testing.T) {
	m := storetest.New()
	c := &clock{millis: 1000}
	l := still(t, Config{Log: m.Log(), Partitions: 1, Now: c.now})
	put := func(millis int64, body string) {
		c.millis = millis
		if _, err := l.Writer(stampOf("dev"), nil).Append([]iot.Raw{text("%s", body)}); err != nil {
			t.Fatal(err)
		}
		l.settle()
	}
	put(1000, "0")
	size := l.partitions[0].end.offset
	starts := map[string]device.Start{
		"1": {At: device.StartEnd},
		"2": {At: device.StartSequence, Sequence: 2},
		"3": {At: device.StartOffset, Offset: 2*size + 1},
		"4": {At: device.StartTime, Time: time.UnixMilli(3999)},
	}
	var wg sync.WaitGroup
	ready := make(chan struct{})
	for want, start := range starts {
		r, err := l.Reader(0, start)
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("not yet")
		cancel(cause)
		if events, err := r.Next(short); !errors.Is(err, cause) {
			t.Fatalf("reader %s: got %v %v before its event", want, bodies(events), err)
		}
		wg.Go(func() {
			<-ready
			if got := drain(t, r, 1)[0]; string(got.Raw.Body) != want {
				t.Errorf("got %s first, want %s", got.Raw.Body, want)
			}
		})
	}
	close(ready)
	for i := 1; i <= 5; i++ {
		put(int64(1000*i), fmt.Sprint(i))
	}
	wg.Wait()
}

// TestTailingReadersMissNothing, while retention and the ring's end run behind them.
func TestTailingReadersMissNothing(t *testing.T) {
	m := storetest.New()
	l := opened(t, Config{Log: m.Log(), Partitions: 1, RingBytes: 64 << 10, CatchUpRate: -1})
	const total = 5000
	var wg sync.WaitGroup
	for range 4 {
		r, err := l.Reader(0, device.Start{})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			events := drain(t, r, total)
			dense(t, events)
			if events[0].Sequence != 0 || len(events) != total {
				t.Errorf("%d events from %d", len(events), events[0].Sequence)
			}
		})
	}
	for w := range 5 {
		wg.Go(func() {
			for range total / 5 / 10 {
				var ms []iot.Raw
				for range 10 {
					ms = append(ms, text("%0200d", w))
				}
				send(t, l, fmt.Sprintf("dev%d", w), ms...)
			}
		})
	}
	wg.Wait()
}

// TestDamagedBlockIsSkippedOnce: the reader says what is lost and goes on behind it,
// whatever the kind of damage.
func TestDamagedBlockIsSkippedOnce(t *testing.T) {
	damages := map[string]func(m *storetest.Memory, first uint64){
		"refused by the engine": func(m *storetest.Memory, first uint64) { m.Damage(0, first) },
		"flipped bit in the body": func(m *storetest.Memory, first uint64) {
			m.Alter(0, first, func(v []byte) { v[len(v)/2] ^= 0x10 })
		},
		"flipped bit in the head": func(m *storetest.Memory, first uint64) {
			m.Alter(0, first, func(v []byte) { v[4] ^= 1 })
		},
		"misfiled": func(m *storetest.Memory, first uint64) {
			m.Alter(0, first, func(v []byte) {
				b, err := decodeBlock(v)
				if err == nil {
					b.first += 3
					seal(v, b.header)
				}
			})
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			m, l, all := filled(t, -1)
			for _, first := range []uint64{30, 33, 90} {
				damage(m, first)
			}
			r, err := l.Reader(0, device.Start{})
			if err != nil {
				t.Fatal(err)
			}
			var got []iot.Event
			var lost []error
			for len(got) < 171 {
				events, err := r.Next(t.Context())
				if err != nil {
					if !errors.Is(err, store.ErrCorrupt) || fault.Of(err) != fault.ServerError {
						t.Fatalf("got %v, want ErrCorrupt", err)
					}
					if lost = append(lost, err); len(lost) > 2 {
						t.Fatalf("more than two errors: %v", lost)
					}
				}
				got = append(got, events...)
			}
			want := append(append(append([]iot.Event{}, all[:30]...), all[36:90]...), all[93:]...)
			if at := differ(want, got); at >= 0 {
				t.Errorf("%d events, want %d, they differ at %d: what is sound must be given", len(got), len(want), at)
			}
			if len(lost) != 2 {
				t.Errorf("errors %v, want one for each damaged place", lost)
			}
		})
	}
}

// TestReaderOfADamagedEnd stands at the end and reads on from there.
func TestReaderOfADamagedEnd(t *testing.T) {
	m, l, _ := filled(t, -1)
	m.Damage(0, 177)
	r, err := l.Reader(0, device.Start{At: device.StartSequence, Sequence: 178})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("got %v, want ErrCorrupt", err)
	}
	if _, err := l.Writer(stampOf("dev"), nil).Append([]iot.Raw{text("next")}); err != nil {
		t.Fatal(err)
	}
	l.settle()
	if got := drain(t, r, 1); got[0].Sequence != 180 || string(got[0].Raw.Body) != "next" {
		t.Errorf("got %+v", got[0])
	}
}

// TestHoleIsReported: events that nobody trimmed and that are not there are damage.
func TestHoleIsReported(t *testing.T) {
	m, l, all := filled(t, -1)
	if err := m.Log().Trim(0, 50); err != nil { // behind the log's back
		t.Fatal(err)
	}
	r, err := l.Reader(0, device.Start{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("got %v, want ErrCorrupt", err)
	}
	stored, err := m.Log().Read(0, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	first := int(stored[0].First)
	if at := differ(all[first:], drain(t, r, 180-first)); at >= 0 {
		t.Errorf("what is there was not given, from %d on", at)
	}
}

func TestReaderOfANewerFormatEnds(t *testing.T) {
	m, l, _ := filled(t, -1)
	m.Alter(0, 3, func(v []byte) {
		v[0] = 2
		reseal(v)
	})
	r, err := l.Reader(0, device.Start{At: device.StartSequence, Sequence: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, store.ErrFormat) {
		t.Errorf("got %v, want ErrFormat", err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestCatchUpIsPaced: a reader behind the ring waits for its share, and its context
// ends the wait.
func TestCatchUpIsPaced(t *testing.T) {
	m, _, _ := filled(t, -1)
	l := still(t, Config{Log: m.Log(), Partitions: 1, RingBytes: -1, CatchUpRate: 1})
	r, err := l.Reader(0, device.Start{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var got int
	for {
		events, err := r.Next(ctx)
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
			break
		}
		got += len(events)
	}
	if got == 0 || got > 20 {
		t.Errorf("%d events of 100 KiB passed a pace of 1 B/s: one burst of 1 MiB is allowed", got)
	}
}

// TestReaderGivesSmallRuns: a block of many small messages comes in bounded runs.
func TestReaderGivesSmallRuns(t *testing.T) {
	l := still(t, Config{Log: storetest.New().Log(), Partitions: 1})
	w := l.Writer(stampOf("d"), nil)
	for i := range 3000 {
		if n, err := w.Append([]iot.Raw{text("%d", i)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	l.settle()
	r, err := l.Reader(0, device.Start{})
	if err != nil {
		t.Fatal(err)
	}
	var all []iot.Event
	for len(all) < 3000 {
		events, err := r.Next(t.Context())
		if err != nil || len(events) > maxEvents {
			t.Fatal(len(events), err)
		}
		all = append(all, events...)
	}
	dense(t, all)
}

// TestReaderRemembersFewSenders, and still gives each its own stamp.
func TestReaderRemembersFewSenders(t *testing.T) {
	l := still(t, Config{Log: storetest.New().Log(), Partitions: 1})
	want := map[string]iot.Stamp{}
	const n = 2*maxStamps + 10
	for i := range n {
		s := iot.Stamp{
			Identity:   iot.Identity{Device: fmt.Sprintf("d%d", i), Module: map[bool]string{true: "m"}[i%2 == 0]},
			Generation: uint64(i), Scope: iot.Scope(i % 3), Auth: iot.AuthType(i % 3), ModelID: map[bool]string{true: "dtmi:x;1"}[i%3 == 0],
		}
		want[s.Identity.Device] = s
		if _, err := l.Writer(s, nil).Append([]iot.Raw{text("x")}); err != nil {
			t.Fatal(err)
		}
	}
	l.settle()
	r, err := l.Reader(0, device.Start{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range drain(t, r, n) {
		if diff := cmp.Diff(want[e.Stamp.Identity.Device], e.Stamp); diff != "" {
			t.Error(diff)
		}
	}
	if len(r.stamps) > maxStamps {
		t.Errorf("%d senders remembered, at most %d", len(r.stamps), maxStamps)
	}
}

// TestReaderStopsAtWhatIsDurable: an engine shows a block before its flush has ended;
// a reader of the store does not.
func TestReaderStopsAtWhatIsDurable(t *testing.T) {
	m, l, all := filled(t, -1)
	next := sample()
	seal(next, header{count: 2, first: 180, time: l.partitions[0].end.time, offset: l.partitions[0].end.offset, length: uint32(len(next) - headerSize)})
	if err := m.Log().Commit([]store.Block{storetest.Block(0, 180, next, nil)}); err != nil {
		t.Fatal(err)
	}
	r, err := l.Reader(0, device.Start{At: device.StartSequence, Sequence: 170})
	if err != nil {
		t.Fatal(err)
	}
	if at := differ(all[170:], drain(t, r, 10)); at >= 0 {
		t.Errorf("the last ten events differ at %d", at)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if events, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %d events and %v of what is not durable", len(events), err)
	}
}

// TestTimeOfAMarkBeginsBeforeIt: blocks before a mark may have its time.
func TestTimeOfAMarkBeginsBeforeIt(t *testing.T) {
	c := &clock{millis: 1000}
	l := still(t, Config{Log: storetest.New().Log(), Partitions: 1, Now: c.now})
	fill(t, l, c, 2)
	c.millis = 9000
	first := l.partitions[0].end.sequence
	for range 30 {
		fill(t, l, c, 1)
		c.millis = 9000
	}
	marks := l.partitions[0].marks
	if len(marks) != 2 || marks[1].Time.UnixMilli() != 9000 || marks[1].Sequence <= first {
		t.Fatalf("marks %v: want one in the midst of the blocks of 9000", marks)
	}
	if got := take(t, l, 0, device.Start{At: device.StartTime, Time: c.now()}, 1)[0].Sequence; got != first {
		t.Errorf("reading begins at %d, want %d", got, first)
	}
}

// counted counts the blocks that a log is asked for.
type counted struct {
	store.Log

	blocks int
}

func (c *counted) Read(partition uint32, from uint64, maxBytes int) ([]store.Stored, error) {
	blocks, err := c.Log.Read(partition, from, maxBytes)
	c.blocks += len(blocks)
	return blocks, err
}

// A reader that begins at an offset or a time finds it by halves: marks may be a second of
// ingest apart. Every offset and every time is tried.
func TestReaderFindsItsPlaceByHalves(t *testing.T) {
	c := &clock{millis: 1_000_000}
	log := &counted{Log: storetest.New().Log()}
	l := still(t, Config{Log: log, Partitions: 1, RingBytes: -1, CatchUpRate: -1, Now: c.now})
	const blocks, each = 200, 3
	for i := range blocks { // within a second: all behind the first mark
		for j := range each {
			m := text("%d", each*i+j)
			m.Props = make([]byte, 20<<10)
			if _, err := l.Writer(stampOf("dev"), nil).Append([]iot.Raw{m}); err != nil {
				t.Fatal(err)
			}
		}
		l.settle()
		c.millis += int64(i % 3) // some share their time
	}
	all := take(t, l, 0, device.Start{}, blocks*each)
	if n := len(l.partitions[0].marks); n != 1 || len(all) != blocks*each {
		t.Fatalf("%d marks, %d events", n, len(all))
	}
	first := func(start device.Start) iot.Event {
		r, err := l.Reader(0, start)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		log.blocks = 0
		got := drain(t, r, 1)[0]
		if log.blocks > 8+17 { // 8 halvings of 200, and a megabyte of the place's blocks
			t.Fatalf("%+v: %d blocks were read", start, log.blocks)
		}
		return got
	}
	for i, e := range all {
		got := first(device.Start{At: device.StartOffset, Offset: e.Offset})
		if got.Sequence != e.Sequence {
			t.Errorf("offset of event %d: began at %d", i, got.Sequence)
		}
		if i+1 < len(all) {
			if got = first(device.Start{At: device.StartOffset, Offset: e.Offset + 1}); got.Sequence != e.Sequence+1 {
				t.Errorf("behind the offset of event %d: began at %d", i, got.Sequence)
			}
		}
		want := slices.IndexFunc(all, func(o iot.Event) bool { return !o.Enqueued.Before(e.Enqueued) })
		if got = first(device.Start{At: device.StartTime, Time: e.Enqueued}); got.Sequence != all[want].Sequence {
			t.Errorf("time of event %d: began at %d, want %d", i, got.Sequence, all[want].Sequence)
		}
	}
}
