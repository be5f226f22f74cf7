package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/store"
)

// Block makes a block with this value.
func Block(partition uint32, first uint64, value []byte, mark *store.Mark) store.Block {
	return store.Block{
		Partition: partition, First: first, Size: len(value), Mark: mark,
		Fill: func(dst []byte) { copy(dst, value) },
	}
}

// value makes bytes of a size that say which block they are.
func value(partition uint32, first uint64, size int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%d/%d;", partition, first), size)[:size]
}

func mark(sequence, offset uint64) *store.Mark {
	return &store.Mark{Sequence: sequence, Offset: offset, Time: time.UnixMilli(int64(offset) + 1_700_000_000_000).UTC()}
}

func firsts(stored []store.Stored) []uint64 {
	var out []uint64
	for _, s := range stored {
		out = append(out, s.First)
	}
	return out
}

func read(t *testing.T, l store.Log, partition uint32, from uint64, size int) []uint64 {
	t.Helper()
	stored, err := l.Read(partition, from, size)
	return firsts(must(t, stored, err))
}

func logRead(t *testing.T, s Subject) {
	t.Helper()
	l := s.Log()
	if got := read(t, l, 0, 7, 100); got != nil {
		t.Errorf("an empty log gives %v", got)
	}
	var blocks []store.Block
	for _, first := range []uint64{5, 10, 300} {
		blocks = append(blocks, Block(0, first, value(0, first, 100), nil))
	}
	blocks = append(blocks, Block(0, 1000, value(0, 1000, 1<<20), nil))
	must(t, 0, l.Commit(blocks))
	must(t, 0, l.Commit(nil))
	cases := []struct {
		from uint64
		max  int
		want []uint64
	}{
		{0, 1 << 21, []uint64{5, 10, 300, 1000}}, // nothing holds 0: the first there is
		{5, 200, []uint64{5, 10}},
		{9, 200, []uint64{5, 10}},
		{10, 199, []uint64{10}},
		{10, 0, []uint64{10}}, // at least one
		{299, 300, []uint64{10, 300}},
		{300, 1 << 10, []uint64{300}},
		{1000, 10, []uint64{1000}}, // larger than asked for
		{^uint64(0), 10, []uint64{1000}},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, read(t, l, 0, c.from, c.max)); diff != "" {
			t.Errorf("read from %d, %d bytes: %s", c.from, c.max, diff)
		}
	}
	for behind, want := range map[uint64]uint64{0: 5, 4: 5, 5: 10, 9: 10, 10: 300, 299: 300, 300: 1000} {
		if got, ok, err := l.Next(0, behind); got != want || !ok || err != nil {
			t.Errorf("behind %d begins %d, %v, %v; want %d", behind, got, ok, err, want)
		}
	}
	for partition, behind := range map[uint32]uint64{0: 1000, 1: 0} {
		if got, ok, err := l.Next(partition, behind); ok || err != nil {
			t.Errorf("behind %d of partition %d begins %d, %v", behind, partition, got, err)
		}
	}
	if _, ok, err := l.Next(0, ^uint64(0)); ok || err != nil {
		t.Errorf("something begins behind everything: %v", err)
	}
	stored, err := l.Read(0, 1000, 1)
	must(t, 0, err)
	if !bytes.Equal(stored[0].Value, value(0, 1000, 1<<20)) {
		t.Error("the value is not what was filled in")
	}
	clear(stored[0].Value) // it is the caller's
	if again, err := l.Read(0, 1000, 1); err != nil || again[0].Value[0] == 0 {
		t.Errorf("a reader's change reached the engine: %v", err)
	}
}

func logPartitions(t *testing.T, s Subject) {
	t.Helper()
	l := s.Log()
	must(t, 0, l.Commit([]store.Block{
		Block(0, ^uint64(0), []byte("last"), nil), Block(1, 0, []byte("one"), mark(0, 0)), Block(2, 0, []byte("two"), nil), Block(256, 9, []byte("far"), nil),
	}))
	for partition, want := range map[uint32][]uint64{0: {^uint64(0)}, 1: {0}, 2: {0}, 3: nil, 256: {9}} {
		if diff := cmp.Diff(want, read(t, l, partition, 0, 1<<20)); diff != "" {
			t.Errorf("partition %d: %s", partition, diff)
		}
	}
	must(t, 0, l.Trim(1, 1))
	if got := read(t, l, 2, 0, 9); len(got) != 1 {
		t.Errorf("trimming a partition changed another: %v", got)
	}
	tails, err := l.Tails(4)
	want := []store.Tail{{Partition: 0, First: ^uint64(0), Value: []byte("last")}, {Partition: 1}, {Partition: 2, Value: []byte("two")}, {Partition: 3}}
	if diff := cmp.Diff(want, must(t, tails, err)); diff != "" {
		t.Error(diff)
	}
}

func logCommitWhole(t *testing.T, s Subject) {
	t.Helper()
	l := s.Log()
	filled := 0
	block := store.Block{Partition: 1, First: 0, Size: 3, Fill: func(dst []byte) {
		filled++
		if len(dst) != 3 {
			t.Errorf("asked to fill %d bytes, want 3", len(dst))
		}
		copy(dst, "abc")
	}}
	must(t, 0, l.Commit([]store.Block{block, Block(2, 0, []byte("x"), mark(0, 0))}))
	if filled != 1 {
		t.Errorf("filled %d times, want once", filled)
	}
	for _, p := range []uint32{1, 2} {
		if got := read(t, l, p, 0, 1); len(got) != 1 {
			t.Errorf("partition %d holds %v", p, got)
		}
	}
}

func logTrim(t *testing.T, s Subject) {
	t.Helper()
	l := s.Log()
	for i := range uint64(20) {
		must(t, 0, l.Commit([]store.Block{Block(3, i*10, value(3, i, 5000), mark(i*10, i*5000))}))
	}
	must(t, 0, l.Trim(3, 0))
	must(t, 0, l.Trim(3, 95)) // block 90 begins before 95
	if got := read(t, l, 3, 0, 1); len(got) != 1 || got[0] != 100 {
		t.Errorf("the first block is %v, want 100", got)
	}
	marks, err := l.Marks(3)
	if got := must(t, marks, err); len(got) != 10 || got[0].Sequence != 100 {
		t.Errorf("marks left: %v", got)
	}
	must(t, 0, l.Trim(3, 95)) // again is harmless
	must(t, 0, l.Commit([]store.Block{Block(3, 200, []byte("after"), nil)}))
	if got := read(t, l, 3, 199, 1); len(got) != 1 || got[0] != 190 {
		t.Errorf("after trimming, 199 is held by %v, want 190", got)
	}
}

func logReopen(t *testing.T, s Subject) {
	t.Helper()
	if s.Reopen == nil {
		t.Skip("the engine cannot be reopened")
	}
	l := s.Log()
	must(t, 0, l.Commit([]store.Block{Block(0, 0, value(0, 0, 10), mark(0, 0)), Block(0, 4, value(0, 4, 4000), mark(4, 10)), Block(2, 0, []byte("z"), nil)}))
	l = s.Reopen(t).Log()
	tails, err := l.Tails(3)
	want := []store.Tail{{First: 4, Value: value(0, 4, 4000)}, {Partition: 1}, {Partition: 2, Value: []byte("z")}}
	if diff := cmp.Diff(want, must(t, tails, err)); diff != "" {
		t.Error(diff)
	}
	marks, err := l.Marks(0)
	if diff := cmp.Diff([]store.Mark{*mark(0, 0), *mark(4, 10)}, must(t, marks, err)); diff != "" {
		t.Error(diff)
	}
}

func claimsGreatest(t *testing.T, s Subject) {
	t.Helper()
	c := s.Claims()
	var last store.Epoch
	for i := range 20 {
		id := fmt.Sprintf("dev%d", i%3)
		e, err := c.Claim(t.Context(), id)
		must(t, 0, err)
		if !last.Less(e) || e.IsZero() || e.Generation != c.Generation() {
			t.Fatalf("epoch %s after %s in generation %d", e, last, c.Generation())
		}
		held, err := c.Holder(t.Context(), id)
		if must(t, held, err) != e {
			t.Fatalf("%s holds, want %s", held, e)
		}
		last = e
	}
	if held, err := c.Holder(t.Context(), "nobody"); err != nil || !held.IsZero() {
		t.Errorf("nobody is held by %s %v", held, err)
	}
}

func claimsLateRelease(t *testing.T, s Subject) {
	t.Helper()
	c := s.Claims()
	old, err := c.Claim(t.Context(), "dev")
	must(t, 0, err)
	newer, err := c.Claim(t.Context(), "dev")
	must(t, 0, err)
	must(t, 0, c.Release(t.Context(), "dev", old))
	must(t, 0, c.Release(t.Context(), "other", old))
	if held, err := c.Holder(t.Context(), "dev"); err != nil || held != newer {
		t.Errorf("after a late release %s holds (%v), want %s", held, err, newer)
	}
	must(t, 0, c.Release(t.Context(), "dev", newer))
	if held, err := c.Holder(t.Context(), "dev"); err != nil || !held.IsZero() {
		t.Errorf("after its release %s holds (%v)", held, err)
	}
}

func claimsReopen(t *testing.T, s Subject) {
	t.Helper()
	if s.Reopen == nil {
		t.Skip("the engine cannot be reopened")
	}
	old := s.Claims()
	e, err := old.Claim(t.Context(), "dev")
	must(t, 0, err)
	c := s.Reopen(t).Claims()
	if _, err := old.Claim(t.Context(), "dev"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("a claim on a closed engine: got %v, want ErrClosed", err)
	}
	if held, err := c.Holder(t.Context(), "dev"); err != nil || !held.IsZero() {
		t.Errorf("after a restart %s holds (%v)", held, err)
	}
	again, err := c.Claim(t.Context(), "dev")
	if must(t, again, err); !e.Less(again) {
		t.Errorf("epoch %s after a restart is not above %s", again, e)
	}
}
