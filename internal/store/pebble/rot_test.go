package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

const rotBlocks = 30

// rotten gives a store as a clean stop or a kill leaves it, with some of its data in
// tables and some in write-ahead logs, or all of it there.
func rotten(t *testing.T, stopped, flushed bool) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	e := open(t, options(t, fs))
	for n := range uint64(rotBlocks) {
		if err := errors.Join(e.Log().Commit([]store.Block{numbered(0, n)}), write(t, e, rotKey(n))); err != nil {
			t.Fatal(err)
		}
		if flushed && n == rotBlocks/2 {
			if err := errors.Join(e.events.db.Flush(), e.records.db.Flush()); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if stopped {
		return fs.CrashClone(vfs.CrashCloneCfg{})
	}
	return left
}

func rotKey(n uint64) string { return fmt.Sprintf("%0300d", n) }

// everyFile lists the files that have content.
func everyFile(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"data", "data/records", "data/log"} {
		names, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if i, err := fs.Stat(dir + "/" + name); err == nil && !i.IsDir() && i.Size() > 0 {
				all = append(all, dir+"/"+name)
			}
		}
	}
	return all
}

// TestNoFlippedBitGoesUnnoticed flips bits in every file there is. Either the store
// refuses to open and names the file, or everything that was acknowledged is served
// right, or refused with the file's name; and what is in other files is served and
// written as ever.
func TestNoFlippedBitGoesUnnoticed(t *testing.T) {
	flips := uint64(2)
	if testing.Short() {
		flips = 1
	}
	for _, stopped := range []bool{true, false} {
		for _, flushed := range []bool{true, false} {
			pristine := rotten(t, stopped, flushed)
			for _, name := range everyFile(t, pristine) {
				t.Run(fmt.Sprintf("stopped=%v,flushed=%v/%s", stopped, flushed, name), func(t *testing.T) {
					for seed := range flips {
						fs := pristine.CrashClone(vfs.CrashCloneCfg{})
						i, err := fs.Stat(name)
						if err != nil {
							t.Fatal(err)
						}
						bit := seeded(seed).IntN(int(i.Size()) * 8)
						flip(t, fs, name, bit)
						noticed(t, fs, name, bit)
					}
				})
			}
		}
	}
}

// noticed opens a store with one flipped bit and checks what it serves.
func noticed(t *testing.T, fs vfs.FS, name string, bit int) {
	t.Helper()
	base := name[strings.LastIndexByte(name, '/')+1:]
	named := func(err error) bool {
		return strings.Contains(err.Error(), number(name)) || strings.Contains(err.Error(), base)
	}
	e, err := Open(options(t, fs))
	if err != nil {
		if !named(err) {
			t.Errorf("bit %d: the store does not open and does not say which file: %v", bit, err)
		}
		// Pebble compares the settings in this file with ours, and says what differs.
		if !errors.Is(err, store.ErrCorrupt) && !strings.HasPrefix(base, "OPTIONS-") {
			t.Errorf("bit %d: got %v, want ErrCorrupt", bit, err)
		}
		return
	}
	defer func() { _ = e.Close() }()
	check := func(what string, dir string, n uint64, err error, right bool) {
		switch {
		case errors.Is(err, store.ErrCorrupt) && strings.HasPrefix(name, dir):
			if !named(err) {
				t.Errorf("bit %d, %s %d: the error does not name the file: %v", bit, what, n, err)
			}
		case err != nil:
			t.Errorf("bit %d, %s %d: %v", bit, what, n, err)
		case !right:
			t.Errorf("bit %d, %s %d is served wrong", bit, what, n)
		}
	}
	_, kept := fs.Stat("data/log" + suffixDamaged)
	mended := kept == nil
	for n := range uint64(rotBlocks) {
		want := numbered(0, n)
		value := make([]byte, want.Size)
		want.Fill(value)
		stored, err := e.Log().Read(0, n, 1)
		right := err == nil && len(stored) > 0 && stored[0].First == n && bytes.Equal(stored[0].Value, value)
		if err == nil && (len(stored) == 0 || stored[0].First != n) && mended && strings.HasPrefix(name, "data/log/") {
			right = true // it is not there, which its readers see: sequences have no gaps
		}
		check("block", "data/log/", n, err, right)
		rec, err := e.Records().Get(t.Context(), rotKey(n))
		check("record", "data/records/", n, err, string(rec.Value) == "v")
	}
	if err := errors.Join(e.Log().Commit([]store.Block{numbered(0, rotBlocks)}), write(t, e, "new")); err != nil {
		t.Errorf("bit %d: nothing more is written: %v", bit, err)
	}
	tails, err := e.Log().Tails(1)
	if err != nil || tails[0].Damage != nil || tails[0].First != rotBlocks {
		t.Errorf("bit %d: the end is %+v, %v", bit, tails, err)
	}
	if e.Claims().Generation() != 2 {
		t.Errorf("bit %d: the generation is %d, want 2", bit, e.Claims().Generation())
	}
}

// TestGenerationSurvivesDamageOfOneInstance, but not of both: then it is not known.
func TestGenerationSurvivesDamageOfOneInstance(t *testing.T) {
	fs := vfs.NewCrashableMem()
	for range 3 {
		if err := open(t, options(t, fs)).Close(); err != nil {
			t.Fatal(err)
		}
	}
	ruin := func(fs *vfs.MemFS, dirs ...string) *vfs.MemFS {
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
		for _, dir := range dirs {
			for _, name := range tables(t, fs, dir) {
				flip(t, fs, name, 0)
			}
		}
		return fs
	}
	for _, dir := range []string{"data/log", "data/records"} {
		if got := open(t, options(t, ruin(fs, dir))).Claims().Generation(); got != 4 {
			t.Errorf("with %s damaged the generation is %d, want 4", dir, got)
		}
	}
	if _, err := Open(options(t, ruin(fs, "data/log", "data/records"))); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("with both damaged: got %v, want ErrCorrupt", err)
	}
	empty := vfs.NewCrashableMem()
	e := open(t, options(t, empty))
	if err := e.events.db.Delete([]byte(keyGeneration), nil); err != nil { // as an older version left it
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(options(t, ruin(empty, "data/records"))); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("with the records damaged and nothing in the log: got %v, want ErrCorrupt", err)
	}
}

// TestDamagedEndIsTold: the end of a partition that cannot be read is no error of the
// call, and the other partitions' are given. It is told until there is another end.
func TestDamagedEndIsTold(t *testing.T) {
	for what, size := range map[string]int{"in a table": 100, "in a blob file": 50_000} {
		fs := vfs.NewCrashableMem()
		e := open(t, options(t, fs))
		block := func(p uint32, first uint64, size int) store.Block {
			return storetest.Block(p, first, bytes.Repeat([]byte{byte('a' + p)}, size), &store.Mark{Sequence: first})
		}
		for n := range uint64(3000) { // so that the ends of partitions 0 and 2 are apart
			if err := e.events.write(block(1, n, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(e.Log().Commit([]store.Block{block(0, 7, size), block(2, 7, size)}), e.Close()); err != nil {
			t.Fatal(err)
		}
		var damaged string
		for _, name := range tables(t, fs, "data/log") {
			if at := bytes.Index(contents(t, fs, name), bytes.Repeat([]byte("c"), size)); at >= 0 {
				damaged = name
				flip(t, fs, name, 8*(at+size/2))
			}
		}
		for start := range 3 { // the first mends the log, the others find it mended
			e = open(t, options(t, fs))
			tails, err := e.Log().Tails(4)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if tails[0].Damage != nil || tails[0].First != 7 || len(tails[0].Value) != size || tails[3].Damage != nil || tails[3].Value != nil {
				t.Errorf("%s, start %d: the sound ends are %+v and %+v", what, start, tails[0], tails[3])
			}
			if d := tails[2].Damage; !errors.Is(d, store.ErrCorrupt) || !strings.Contains(d.Error(), number(damaged)) || tails[2].Value != nil {
				t.Errorf("%s, start %d: the damaged end is %+v, want %s named", what, start, tails[2], damaged)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
		e = open(t, options(t, fs))
		if err := e.Log().Commit([]store.Block{block(2, 500, 10)}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if tails, err := e.Log().Tails(4); err != nil || tails[2].Damage != nil || tails[2].First != 500 {
				t.Errorf("%s: the new end is %+v, %v", what, tails[2], err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = open(t, options(t, fs))
		}
	}
}

// TestDamagedMarksLeaveTheOthers: those before and behind the damage are given.
func TestDamagedMarksLeaveTheOthers(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, options(t, fs))
	const marks = 3000 // several blocks of a table
	for n := range uint64(marks) {
		b := numbered(0, n)
		b.Size, b.Fill = 1, func([]byte) {}
		b.Mark.Offset = 0x00abcdef00000000 + n
		if err := e.events.write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.events.db.Flush(), e.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range tables(t, fs, "data/log") {
		content := contents(t, fs, name)
		if at := bytes.Index(content, binary.BigEndian.AppendUint64(nil, marks/2)); at >= 0 {
			flip(t, fs, name, 8*at)
			break
		}
		flip(t, fs, name, 8*len(content)/4)
	}
	e = open(t, options(t, fs))
	got, err := e.Log().Marks(0)
	if !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("%d marks and %v, want ErrCorrupt", len(got), err)
	}
	if len(got) < marks/4 || got[0].Sequence != 0 || got[len(got)-1].Sequence != marks-1 {
		t.Errorf("%d of %d marks are left", len(got), marks)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Sequence <= got[i-1].Sequence {
			t.Fatalf("mark %d follows %d", got[i].Sequence, got[i-1].Sequence)
		}
	}
}

// write puts one block without waiting for a flush.
func (l *eventLog) write(b store.Block) error {
	batch := l.db.NewBatch()
	if err := stageBlock(batch, b); err != nil {
		return err
	}
	return errors.Join(l.db.Apply(batch, nil), batch.Close())
}

// ruinedWithin gives a store in which a table of the log, or of the records, is damaged
// somewhere within, so that an opening does not meet it.
func ruinedWithin(t *testing.T, dir string) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	e := open(t, options(t, fs))
	const keys = 3000 // several blocks of a table
	for n := range uint64(keys) {
		b := numbered(0, n)
		b.Size, b.Fill = 1, func(b []byte) { b[0] = byte(n) }
		row := row{value: []byte("v")}
		if err := errors.Join(e.events.write(b), e.records.db.Set(spaceKey(spaceRecord, rotKey(n)), row.append(nil), nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range tables(t, fs, dir) {
		flip(t, fs, name, 8*len(contents(t, fs, name))*3/4)
	}
	return fs
}

// TestDamagedTableDoesNotHoldWritesUp: compactions that meet a damaged table fail, each
// time; writes go on all the same, far beyond where Pebble would let them wait, and the
// processor is not spent on trying again.
func TestDamagedTableDoesNotHoldWritesUp(t *testing.T) {
	for _, dir := range []string{"data/log", "data/records"} {
		fs := ruinedWithin(t, dir)
		e := open(t, options(t, fs))
		const flushes = 100 // 64 and 12 were the limits once
		for n := range uint64(flushes) {
			if err := errors.Join(e.Log().Commit([]store.Block{numbered(0, 5000+n)}), write(t, e, rotKey(1500+n))); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(e.events.db.Flush(), e.records.db.Flush()); err != nil {
				t.Fatal(err)
			}
		}
		failed := e.events.db.Metrics().Compact.FailedCount + e.records.db.Metrics().Compact.FailedCount
		if failed == 0 || failed > flushes/2 {
			t.Errorf("%s: %d compactions failed over %d flushes: want some, and a rest after each", dir, failed, flushes)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := fs.Stat("data/log" + suffixSuspect); (err == nil) != (dir == "data/log") {
			t.Errorf("%s: word for the next start: %v", dir, err)
		}
	}
}

// TestDamagedLogIsMended: at the next start what can be read is copied, what was damaged
// is kept aside, and the log is whole again; a crash on the way harms nothing.
func TestDamagedLogIsMended(t *testing.T) {
	fs := ruinedWithin(t, "data/log")
	if err := leaveWord(fs, "data/log"+suffixSuspect); err != nil {
		t.Fatal(err)
	}
	intact := func(fs *vfs.MemFS) (blocks int) {
		e := open(t, options(t, fs))
		defer func() { _ = e.Close() }()
		for from, ok := uint64(0), true; ok; {
			stored, err := e.Log().Read(0, from, 1)
			if err == nil && len(stored) == 1 && stored[0].First == from && stored[0].Value[0] == byte(from) {
				blocks++
			} else if err == nil && (len(stored) != 1 || stored[0].First > from) {
				t.Fatalf("at %d: %+v", from, stored)
			}
			if from, ok, err = e.Log().Next(0, from); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(e.Log().Commit([]store.Block{numbered(0, 9000)}), e.events.db.Flush(), e.events.db.Compact(t.Context(), []byte("a"), []byte("z"), false)); err != nil {
			t.Errorf("the mended log: %v", err)
		}
		if _, err := fs.Stat("data/log" + suffixDamaged + "/" + tableOf(t, fs)); err != nil {
			t.Errorf("what was damaged is not kept: %v", err)
		}
		if left, err := fs.List("data"); err != nil || slices.Contains(left, "log"+suffixMended) || slices.Contains(left, "log"+suffixSuspect) {
			t.Errorf("left behind: %v %v", left, err)
		}
		return blocks
	}
	for seed := range uint64(6) { // the power goes somewhere on the way
		rng := seeded(seed)
		crashing := fs.CrashClone(vfs.CrashCloneCfg{})
		left := crashing
		countdown := rng.IntN(60)
		var mu sync.Mutex // files are written and removed at once
		o := options(t, errorfs.Wrap(crashing, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(op.Path, "data/log") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				if countdown--; countdown == 0 {
					left = crashing.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
				}
			}
			return nil
		})))
		if err := open(t, o).Close(); err != nil {
			t.Fatal(err)
		}
		if blocks := intact(left); blocks < 2000 || blocks == 3000 {
			t.Errorf("seed %d: %d of 3000 blocks can be read", seed, blocks)
		}
	}
}

// tableOf gives the name of a table of the log that was damaged.
func tableOf(t *testing.T, fs vfs.FS) string {
	t.Helper()
	for _, name := range tables(t, fs, "data/log"+suffixDamaged) {
		return fs.PathBase(name)
	}
	return "none"
}

// TestBacklogRefusesBeforeWritesWait: before Pebble would let writes wait without end, at the limit writes get ErrFull, and reads go on;
// they recover when half is worked off. The two instances do not share a fate.
func TestBacklogRefusesBeforeWritesWait(t *testing.T) {
	var told bytes.Buffer
	o := options(t, vfs.NewMem())
	o.Log = slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelError}))
	e := open(t, o)
	commit := func(n uint64) error { return e.Log().Commit([]store.Block{numbered(0, n)}) }
	e.events.waiting.check(fullSublevels - 1)
	if err := errors.Join(commit(0), write(t, e, "a")); err != nil {
		t.Fatal(err)
	}
	e.events.waiting.check(fullSublevels)
	if err := commit(1); !errors.Is(err, store.ErrFull) {
		t.Errorf("a commit at the limit: %v", err)
	}
	if err := write(t, e, "b"); err != nil {
		t.Errorf("a record beside a full log: %v", err)
	}
	if _, err := e.Log().Read(0, 0, 1); err != nil {
		t.Errorf("a read at the limit: %v", err)
	}
	e.events.waiting.check(fullSublevels / 2)
	if err := commit(1); !errors.Is(err, store.ErrFull) {
		t.Errorf("a commit at half the limit: %v", err)
	}
	e.events.waiting.check(fullSublevels/2 - 1)
	if err := commit(1); err != nil {
		t.Errorf("a commit below half the limit: %v", err)
	}
	e.records.waiting.check(fullSublevels)
	if _, err := e.Records().Apply(context.Background(), store.Batch{Writes: []store.Write{{Key: "c", If: store.Any}}}); !errors.Is(err, store.ErrFull) {
		t.Errorf("a record at the limit: %v", err)
	}
	if strings.Count(told.String(), "\n") != 2 {
		t.Errorf("the operator was told %q, want one line for each instance", told.String())
	}
}

// TestFlippedFindsTheBit, whichever it is, and none where two have changed.
func TestFlippedFindsTheBit(t *testing.T) {
	b := []byte("whatever a record of a log may hold, at some length")
	sum := crc(b)
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if got, ok := flipped(b, sum); !ok || got != bit {
			t.Fatalf("bit %d: found %d, %v", bit, got, ok)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	b[3] ^= 0x11
	if got, ok := flipped(b, sum); ok {
		t.Errorf("two bits: found %d", got)
	}
	if want := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)); crc(b) == want {
		t.Error("the checksum is not masked")
	}
}
