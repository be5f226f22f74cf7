package telemetry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// blind is a log that cannot even read the key of a damaged end.
type blind struct{ store.Log }

func (b blind) Tails(n uint32) ([]store.Tail, error) {
	tails, err := b.Log.Tails(n)
	for i := range tails {
		if tails[i].Damage != nil {
			tails[i].First = 0
		}
	}
	return tails, err
}

// endDamages are the ways in which the end of filled's partition, block 177, can be
// damaged, each with what can still be read.
func endDamages() map[string]func(m *storetest.Memory) (log store.Log, left int) {
	flip := func(at int) func(m *storetest.Memory) (store.Log, int) {
		return func(m *storetest.Memory) (store.Log, int) {
			m.Alter(0, 177, func(v []byte) { v[(len(v)+at)%len(v)] ^= 0x10 })
			return m.Log(), 177
		}
	}
	return map[string]func(m *storetest.Memory) (store.Log, int){
		"a flipped bit in the head":              flip(4),
		"a flipped bit in the body":              flip(-5),
		"refused by the engine":                  func(m *storetest.Memory) (store.Log, int) { m.Damage(0, 177); return m.Log(), 177 },
		"refused by the engine, its key as well": func(m *storetest.Memory) (store.Log, int) { m.Damage(0, 177); return blind{m.Log()}, 177 },
		"several blocks": func(m *storetest.Memory) (store.Log, int) {
			stored, _ := m.Log().Read(0, 150, 64<<20)
			for _, s := range stored {
				m.Damage(0, s.First)
			}
			return blind{m.Log()}, int(stored[0].First)
		},
		"and every mark": func(m *storetest.Memory) (store.Log, int) {
			m.Damage(0, 177)
			marks, _ := m.Log().Marks(0)
			for _, mark := range marks {
				m.DamageMark(0, mark.Sequence)
			}
			return blind{m.Log()}, 177
		},
		"misfiled": func(m *storetest.Memory) (store.Log, int) {
			m.Alter(0, 177, func(v []byte) {
				if b, err := decodeBlock(v); err == nil {
					b.first += 3
					seal(v, b.header)
				}
			})
			return m.Log(), 177
		},
	}
}

// TestDamagedEndIsLeftBehind: a partition whose last block is damaged opens, serves what
// stands before the damage, names the damage once, and goes on behind it with sequences
// and offsets that nothing had; so it does after further restarts.
func TestDamagedEndIsLeftBehind(t *testing.T) {
	for name, damage := range endDamages() {
		t.Run(name, func(t *testing.T) {
			m, _, all := filled(t, -1)
			log, left := damage(m)
			conf := Config{Log: log, Partitions: 1, RingBytes: -1, CatchUpRate: -1}
			still(t, conf) // an opening that writes nothing changes nothing
			var later []iot.Event
			for round := range 3 {
				l := still(t, conf)
				w := l.Writer(stampOf("dev"), nil)
				if n, err := w.Append([]iot.Raw{text("later %d", 2*round), text("later %d", 2*round+1)}); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				l.settle()
				if w.Durable() != 2 {
					t.Fatalf("%d of 2 messages are durable: %v", w.Durable(), w.Err())
				}
				got, lost := readThrough(t, l, left+2*(round+1))
				if at := differ(all[:left], got[:left]); at >= 0 {
					t.Fatalf("what stands before the damage is not given from %d on", at)
				}
				if len(lost) != 1 || !strings.Contains(lost[0].Error(), fmt.Sprintf("events %d to", left)) {
					t.Errorf("errors %v, want one that names what is lost", lost)
				}
				if at := differ(later, got[left:left+len(later)]); at >= 0 {
					t.Fatalf("what was written behind the damage changed at %d", at)
				}
				later = slices.Clone(got[left:])
				dense(t, later)
				if last := all[len(all)-1]; later[0].Sequence <= last.Sequence || later[0].Offset <= last.Offset {
					t.Errorf("the next message is %d at %d, %d at %d was used", later[0].Sequence, later[0].Offset, last.Sequence, last.Offset)
				}
			}
		})
	}
}

// readThrough reads a partition from its beginning until it has n events, and gives the
// errors on the way too.
func readThrough(t *testing.T, l *Log, n int) (got []iot.Event, lost []error) {
	t.Helper()
	return readFrom(t, l, device.Start{}, n)
}

func readFrom(t *testing.T, l *Log, start device.Start, n int) (got []iot.Event, lost []error) {
	t.Helper()
	r, err := l.Reader(0, start)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for len(got) < n && len(lost) < 9 {
		events, err := r.Next(t.Context())
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) || fault.Of(err) != fault.ServerError {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
			lost = append(lost, err)
		}
		got = append(got, events...)
	}
	return got, lost
}

// TestGapBehindDamageIsNotKept: retention by size counts what is there, not the gap, so
// damage at the end costs nothing that stands before it.
func TestGapBehindDamageIsNotKept(t *testing.T) {
	m := storetest.New()
	c := &clock{millis: 1_000_000}
	const keep = 20 << 20
	conf := Config{Log: m.Log(), Partitions: 1, Now: c.now, RetentionBytes: keep, RingBytes: -1}
	l := still(t, conf)
	fill(t, l, c, 60) // 18 MiB
	tails, err := m.Log().Tails(1)
	if err != nil {
		t.Fatal(err)
	}
	m.Damage(0, tails[0].First)
	l = still(t, conf)
	l.retain()
	if first := l.Partitions()[0].First; first != 0 {
		t.Errorf("before anything was written: trimmed to %d below the limit", first)
	}
	fill(t, l, c, 1)
	l.retain()
	l = still(t, conf)
	l.retain()
	if first := l.Partitions()[0].First; first != 0 {
		t.Errorf("trimmed to %d below the limit", first)
	}
	mark := l.partitions[0].end.mark
	for _, start := range []device.Start{
		{At: device.StartOffset, Offset: mark.Offset},
		{At: device.StartSequence, Sequence: mark.Sequence},
		{At: device.StartTime, Time: time.UnixMilli(c.millis - 400)},
	} {
		got, _ := readFrom(t, l, start, 3)
		if got[0].Sequence != mark.Sequence || got[0].Offset != mark.Offset {
			t.Errorf("%+v begins at %d, offset %d: want what is behind the gap", start, got[0].Sequence, got[0].Offset)
		}
	}
	fill(t, l, c, 200)
	l.retain()
	info := l.Partitions()[0]
	kept := l.partitions[0].end.offset - take(t, l, 0, device.Start{}, 1)[0].Offset
	if info.First < sequenceRate || kept > keep || kept < keep-markBytes-(1<<20) {
		t.Errorf("kept %d bytes from %d on, want about %d", kept, info.First, keep)
	}
}

// TestDamagedMarksAreMadeAgain: a log whose first mark is damaged still gives what stands
// behind it, or says that it cannot.
func TestDamagedMarksAreMadeAgain(t *testing.T) {
	for _, first := range []bool{true, false} {
		m, _, all := filled(t, -1)
		m.DamageMark(0, 0)
		left := 0
		if !first {
			m.Damage(0, 0)
			left = 3
		}
		l := still(t, Config{Log: m.Log(), Partitions: 1, RingBytes: -1, CatchUpRate: -1})
		got, lost := readThrough(t, l, 180-left)
		if at := differ(all[left:], got); at >= 0 || (len(lost) == 0) != first {
			t.Errorf("the first block readable=%v: differ at %d, errors %v", first, at, lost)
		}
	}
}

// TestNothingIsUsedTwice plays random programs of messages, restarts and damage of what
// was written last, blocks or marks, with and without their keys: no sequence and no
// offset is ever given twice, and what is sound is read.
func TestNothingIsUsedTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := storetest.New()
		c := &clock{millis: 1_800_000_000_000}
		log := m.Log()
		if rapid.Bool().Draw(rt, "blind") {
			log = blind{log}
		}
		conf := Config{Log: log, Partitions: 1, Now: c.now, RingBytes: -1, CatchUpRate: -1}
		l := still(t, conf)
		var sequence, offset uint64  // the first that nothing ever had
		sound := map[uint64]string{} // what must be read, by sequence
		blocks := [][]uint64{}       // sequences by block
		damaged := 0
		for step := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"write", "write", "write", "restart", "damage"}).Draw(rt, "step") {
			case "write":
				w := l.Writer(stampOf("dev"), nil)
				var ms []iot.Raw
				for i := range rapid.IntRange(1, 3).Draw(rt, "messages") {
					ms = append(ms, text("%d.%d", step, i))
				}
				if n, err := w.Append(ms); n != len(ms) || err != nil {
					rt.Fatal(n, err)
				}
				c.millis += rapid.Int64Range(0, 2000).Draw(rt, "ms")
				l.settle()
				end := l.partitions[0].end
				first := end.sequence - uint64(len(ms))
				if first < sequence || end.last < offset {
					rt.Fatalf("sequence %d and offset %d, but %d and %d were reached", first, end.last, sequence, offset)
				}
				sequence, offset = end.sequence, end.offset
				var block []uint64
				for i := range ms {
					sound[first+uint64(i)] = string(ms[i].Body)
					block = append(block, first+uint64(i))
				}
				blocks = append(blocks, block)
			case "restart":
				l = still(t, conf)
			case "damage":
				if len(blocks) == 0 || damaged == maxWalk {
					continue
				}
				// One block, or several of those written last; all together no more than a reader
				// passes one by one.
				for range rapid.IntRange(1, min(len(blocks), maxWalk-damaged)).Draw(rt, "blocks") {
					damaged++
					last := blocks[len(blocks)-1]
					m.Damage(0, last[0])
					for _, s := range last {
						delete(sound, s)
					}
					blocks = blocks[:len(blocks)-1]
				}
				if marks, _ := m.Log().Marks(0); len(marks) > 0 && rapid.Bool().Draw(rt, "marks") {
					m.DamageMark(0, marks[len(marks)-1].Sequence)
				}
				c.millis += rapid.Int64Range(3000, 100_000).Draw(rt, "ms") // it takes a while to start
				l = still(t, conf)
			}
		}
		got := map[uint64]string{}
		r, err := l.Reader(0, device.Start{})
		if err != nil {
			rt.Fatal(err)
		}
		for end := l.partitions[0].end.sequence; r.place.sequence < end; {
			events, err := r.Next(t.Context())
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				rt.Fatal(err)
			}
			for _, e := range events {
				got[e.Sequence] = string(e.Raw.Body)
			}
		}
		if len(got) != len(sound) {
			rt.Fatalf("%d messages are read, %d are sound", len(got), len(sound))
		}
		for s, body := range sound {
			if got[s] != body {
				rt.Fatalf("message %d is %q, want %q", s, got[s], body)
			}
		}
	})
}
