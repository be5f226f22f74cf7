package telemetry

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// fill appends n blocks of 3 messages of 100 KiB, 400 ms apart.
func fill(t *testing.T, l *Log, c *clock, n int) {
	t.Helper()
	w := l.Writer(stampOf("dev"), nil)
	big := iot.Raw{Body: make([]byte, 100<<10)}
	for range n {
		if n, err := w.Append([]iot.Raw{big, big, big}); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		l.settle()
		c.millis += 400
	}
}

// TestRetentionBySize keeps no more than it was told, and less by no more than what
// lies between two marks; sequences and offsets go on, also after a restart.
func TestRetentionBySize(t *testing.T) {
	m := storetest.New()
	c := &clock{millis: 1_000_000}
	const keep = 20 << 20
	conf := Config{Log: m.Log(), Partitions: 1, Now: c.now, RetentionBytes: keep, RingBytes: -1}
	l := still(t, conf)
	fill(t, l, c, 60) // 18 MiB
	l.retain()
	if first := l.Partitions()[0].First; first != 0 {
		t.Fatalf("trimmed to %d below the limit", first)
	}
	fill(t, l, c, 140)
	old, err := l.Reader(0, device.Start{})
	if err != nil {
		t.Fatal(err)
	}
	if first := drain(t, old, 1)[0].Sequence; first != 0 {
		t.Fatal(first)
	}
	l.retain()
	info := l.Partitions()[0]
	first := take(t, l, 0, device.Start{}, 1)[0]
	kept := l.partitions[0].end.offset - first.Offset
	if first.Sequence != info.First || kept > keep || kept < keep-markBytes-(1<<20) {
		t.Errorf("kept %d bytes from %d on (%+v), want about %d", kept, first.Sequence, info, keep)
	}
	// A reader that retention overtook goes on with what is kept, and nothing is an error.
	var next uint64
	for next <= info.First {
		events := drain(t, old, 1)
		if got := events[0].Sequence; got > next && got > info.First {
			t.Fatalf("the reader jumped to %d, kept is %d", got, info.First)
		}
		next = events[len(events)-1].Sequence + 1
	}
	for _, start := range []device.Start{{At: device.StartSequence}, {At: device.StartOffset}, {At: device.StartTime}} {
		if got := take(t, l, 0, start, 1)[0].Sequence; got != info.First {
			t.Errorf("%+v begins at %d, want %d", start, got, info.First)
		}
	}
	end := l.partitions[0].end
	l = still(t, conf)
	if got := l.partitions[0].end; got != end || l.Partitions()[0] != info {
		t.Errorf("after a restart the end is %+v, want %+v", got, end)
	}
	fill(t, l, c, 1)
	events := take(t, l, 0, device.Start{At: device.StartSequence, Sequence: info.Last}, 4)
	dense(t, events)
	if events[1].Sequence != info.Last+1 {
		t.Errorf("the next event is %d, want %d", events[1].Sequence, info.Last+1)
	}
}

// TestRetentionByAge: old blocks go, the last one stays for ever, because the next
// sequence is read from it.
func TestRetentionByAge(t *testing.T) {
	m := storetest.New()
	c := &clock{millis: 1_000_000}
	conf := Config{Log: m.Log(), Partitions: 1, Now: c.now, RetentionAge: time.Minute}
	l := still(t, conf)
	fill(t, l, c, 100) // 40 s
	l.retain()
	if first := l.Partitions()[0].First; first != 0 {
		t.Fatalf("trimmed to %d, nothing is old", first)
	}
	c.millis += 40_000
	l.retain()
	info := l.Partitions()[0]
	first := take(t, l, 0, device.Start{}, 1)[0]
	if info.First == 0 || first.Sequence != info.First {
		t.Fatalf("kept from %d (%+v)", first.Sequence, info)
	}
	young := c.now().Add(-time.Minute)
	marks := l.partitions[0].marks
	if first.Enqueued.After(young) || !marks[1].Time.After(young) {
		t.Errorf("kept from %s, next mark %s: what is younger than %s stays, what is before its mark goes", first.Enqueued, marks[1].Time, young)
	}
	c.millis += 1 << 40
	l.retain()
	last := l.Partitions()[0]
	if last.Last != info.Last || last.First > last.Last || len(l.partitions[0].marks) != 1 {
		t.Errorf("after ages %+v remains, want the end of %+v", last, info)
	}
	l = still(t, conf)
	if got := l.Partitions()[0]; got != last {
		t.Errorf("after a restart %+v, want %+v", got, last)
	}
}

func TestRetentionOutlivesAFailingTrim(t *testing.T) {
	m := storetest.New()
	c := &clock{millis: 1_000_000}
	l := still(t, Config{Log: m.Log(), Partitions: 1, Now: c.now, RetentionBytes: 5 << 20, RingBytes: -1})
	fill(t, l, c, 60)
	m.Fail(func(op storetest.Op) error {
		if op == storetest.LogTrim {
			return errors.New("no luck")
		}
		return nil
	})
	l.retain()
	m.Fail(nil)
	kept := l.Partitions()[0].First
	if got := take(t, l, 0, device.Start{}, 1)[0].Sequence; got != kept || kept == 0 {
		t.Errorf("reading begins at %d, want %d", got, kept)
	}
	fill(t, l, c, 40)
	l.retain()
	if stored, err := m.Log().Read(0, 0, 1); err != nil || stored[0].First < kept {
		t.Errorf("the next trim left block %d (%v)", stored[0].First, err)
	}
}

// TestTrimTakenBackIsRepeatedBeforeAnybodyReads: a trim is not durable at once, so a loss of
// power may take it back; the beginning of a partition does not go back with it.
func TestTrimTakenBackIsRepeatedBeforeAnybodyReads(t *testing.T) {
	m := storetest.New()
	c := &clock{millis: 1_000_000}
	conf := Config{Log: m.Log(), Partitions: 1, Now: c.now, RetentionBytes: 5 << 20, RetainEvery: time.Hour}
	l := still(t, conf)
	fill(t, l, c, 60)
	m.Fail(func(op storetest.Op) error {
		if op == storetest.LogTrim {
			return errors.New("the power is gone")
		}
		return nil
	})
	l.retain()
	m.Fail(nil)
	kept := l.Partitions()[0].First
	again := opened(t, conf)
	if first := again.Partitions()[0].First; first != kept || kept == 0 {
		t.Errorf("the partition begins at %d, it began at %d", first, kept)
	}
	if first := take(t, again, 0, device.Start{}, 1)[0].Sequence; first != kept {
		t.Errorf("the first event read is %d, it was %d", first, kept)
	}
}

// TestExpiredIsAlwaysAMark, never the place behind the last one, and nothing that
// either limit protects goes.
func TestExpiredIsAlwaysAMark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var marks []store.Mark
		at := store.Mark{Time: time.UnixMilli(0)}
		for range rapid.IntRange(0, 10).Draw(t, "marks") {
			at.Sequence += rapid.Uint64Range(1, 50).Draw(t, "sequences")
			at.Offset += rapid.Uint64Range(1, 100).Draw(t, "bytes")
			at.Time = at.Time.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "ms")) * time.Millisecond)
			marks = append(marks, at)
		}
		end := at.Offset + rapid.Uint64Range(1, 100).Draw(t, "tail")
		oldest := time.UnixMilli(rapid.Int64Range(0, 1200).Draw(t, "oldest"))
		keep := rapid.Uint64Range(0, 1200).Draw(t, "keep")
		before := expiredBefore(marks, end, oldest, keep)
		first := 0
		for i, m := range marks {
			if m.Sequence == before {
				first = i
			}
		}
		if before != 0 && (first == 0 || marks[first].Sequence != before) {
			t.Fatalf("%d is no mark behind the first", before)
		}
		if first > 0 { // what went last went for a reason
			if marks[first].Time.After(oldest) && end-marks[first-1].Offset <= keep {
				t.Fatalf("mark %d went without a reason", first-1)
			}
		}
		if first+1 < len(marks) { // what stays, stays for a reason
			if !marks[first+1].Time.After(oldest) || end-marks[first].Offset > keep {
				t.Fatalf("mark %d stays without a reason", first)
			}
		}
	})
}

// TestRingKeepsTheNewest within its budget and finds each block it holds.
func TestRingKeepsTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		budget := rapid.IntRange(-1, 3000).Draw(t, "budget")
		r := ring{budget: budget}
		var all []block
		next := uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "blocks") {
			b := block{
				header: header{first: next, count: rapid.Uint32Range(1, 5).Draw(t, "count")},
				body:   make([]byte, rapid.IntRange(0, 1000).Draw(t, "size")),
			}
			next = b.end()
			all = append(all, b)
			r.push(b)
			held := r.blocks[r.head:]
			cost := 0
			for i, h := range held {
				cost += len(h.body) + ringEntry
				if want := all[len(all)-len(held)+i]; h.first != want.first {
					t.Fatalf("place %d holds %d, want %d", i, h.first, want.first)
				}
			}
			if cost != r.bytes || cost > max(budget, 0) {
				t.Fatalf("holds %d bytes, says %d, may %d", cost, r.bytes, budget)
			}
			if len(held) < len(all) && len(held) > 0 {
				if older := all[len(all)-len(held)-1]; cost+len(older.body)+ringEntry <= budget {
					t.Fatal("a block went that would have fitted")
				}
			}
		}
		for _, b := range all {
			for s := b.first; s < b.end(); s++ {
				got, ok := r.find(s)
				if held := b.first >= r.oldest(next); ok != held || (ok && got.first != b.first) {
					t.Fatalf("sequence %d: found %v in %d, held %v", s, ok, got.first, held)
				}
			}
		}
		if _, ok := r.find(next); ok {
			t.Fatal("found what is not there")
		}
	})
}

// oldest is the first sequence the ring holds, or end.
func (r *ring) oldest(end uint64) uint64 {
	if r.head == len(r.blocks) {
		return end
	}
	return r.blocks[r.head].first
}
