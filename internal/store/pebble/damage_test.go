package pebble

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// flip changes one bit of a file.
func flip(t *testing.T, fs vfs.FS, name string, place int) {
	t.Helper()
	content := contents(t, fs, name)
	content[(place/8)%len(content)] ^= 1 << (place % 8)
	out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = out.Write(content)
	if err := errors.Join(err, out.Sync(), out.Close(), syncFolder(fs, fs.PathDir(name))); err != nil {
		t.Fatal(err)
	}
}

// contents reads a file.
func contents(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return content
}

// tables lists the tables and blob files of an instance.
func tables(t *testing.T, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range names {
		if strings.HasSuffix(n, ".sst") || strings.HasSuffix(n, ".blob") {
			out = append(out, dir+"/"+n)
		}
	}
	return out
}

// number is the part of a file's name that Pebble's errors have.
func number(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".sst"), ".blob")
}

// TestReadBeforeDamageIsServed: a read that begins before a damaged block gives what
// stands before it, and the one behind it goes on.
func TestReadBeforeDamageIsServed(t *testing.T) {
	fs := vfs.NewMem()
	o := options(t, fs)
	e := open(t, o)
	big := func(n uint64) store.Block { return storetest.Block(0, n, bytes.Repeat([]byte{byte(n)}, 50_000), nil) }
	for n := range uint64(10) {
		if err := e.Log().Commit([]store.Block{big(n)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.events.db.Flush(), e.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range tables(t, fs, "data/log") {
		if strings.HasSuffix(name, ".blob") {
			flip(t, fs, name, 8*225_000) // within the fifth value
		}
	}
	e = open(t, o)
	if stored, err := e.Log().Read(0, 0, 1<<20); err != nil || len(stored) != 4 {
		t.Errorf("before the damage: %d blocks %v, want 4", len(stored), err)
	}
	if _, err := e.Log().Read(0, 4, 1<<20); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "data/log: pebble: file 0") {
		t.Errorf("at the damage: %v, want ErrCorrupt and the file", err)
	}
	if err := e.events.damaged.known(place{first: 4}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("the damage is not remembered: %v", err)
	}
	if _, again := e.Log().Read(0, 4, 1<<20); !errors.Is(again, store.ErrCorrupt) {
		t.Errorf("at the damage again: %v", again)
	}
	if stored, err := e.Log().Read(0, 5, 1<<20); err != nil || len(stored) != 5 {
		t.Errorf("behind the damage: %d blocks %v, want 5", len(stored), err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	for text, want := range map[string]error{
		"berth-store 1\n": nil, "berth-store 2\n": store.ErrFormat, "berth-store 999": store.ErrFormat,
		"": store.ErrCorrupt, "something else": store.ErrCorrupt, "berth-store x": store.ErrCorrupt, "berth-store 0": store.ErrCorrupt,
	} {
		fs := vfs.NewMem()
		o := options(t, fs)
		if err := open(t, o).Close(); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create("data/"+formatFile, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write([]byte(text))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		e, err := Open(o)
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
		if err == nil {
			_ = e.Close()
		}
	}
	fs := vfs.NewMem()
	o := options(t, fs)
	if err := errors.Join(open(t, o).Close(), fs.Remove("data/"+formatFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("records without FORMAT: got %v, want ErrCorrupt", err)
	}
}

// TestClosedEngineAnswersErrClosed: every call, and Close waits for those inside.
func TestClosedEngineAnswersErrClosed(t *testing.T) {
	e := open(t, options(t, vfs.NewMem()))
	if err := write(t, e, "a"); err != nil {
		t.Fatal(err)
	}
	inside, finish, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := e.Records().Scan(t.Context(), "", "", func(store.Record) bool {
			close(inside)
			<-finish
			return true
		})
		if err != nil {
			t.Errorf("the scan that was under way: %v", err)
		}
	})
	<-inside
	wg.Go(func() { closed <- e.Close() })
	for e.gate.enter() == nil { // until Close has shut the gate
		e.gate.leave()
	}
	select {
	case err := <-closed:
		t.Fatalf("Close did not wait: %v", err)
	default:
	}
	close(finish)
	wg.Wait()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	ctx := t.Context()
	calls := map[string]func() error{
		"get":        func() error { _, err := e.Records().Get(ctx, "a"); return err },
		"apply":      func() error { return write(t, e, "a") },
		"counter":    func() error { _, err := e.Records().Counter(ctx, "a"); return err },
		"scan":       func() error { return e.Records().Scan(ctx, "", "", nil) },
		"scan index": func() error { return e.Records().ScanIndex(ctx, "", "", nil) },
		"commit":     func() error { return e.Log().Commit([]store.Block{numbered(0, 0)}) },
		"read":       func() error { _, err := e.Log().Read(0, 0, 1); return err },
		"trim":       func() error { return e.Log().Trim(0, 1) },
		"tails":      func() error { _, err := e.Log().Tails(1); return err },
		"marks":      func() error { _, err := e.Log().Marks(0); return err },
		"claim":      func() error { _, err := e.Claims().Claim(ctx, "a"); return err },
		"release":    func() error { return e.Claims().Release(ctx, "a", store.Epoch{}) },
		"holder":     func() error { _, err := e.Claims().Holder(ctx, "a"); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
	if err := e.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// TestBatchesAreBounded: what would not fit is refused whole.
func TestBatchesAreBounded(t *testing.T) {
	e := open(t, options(t, vfs.NewMem()))
	long := strings.Repeat("k", maxKey+1)
	cases := map[string]store.Batch{
		"key":         {Writes: []store.Write{{Key: long, If: store.Any}}},
		"index key":   {Writes: []store.Write{{Key: "a", Index: []string{long}}}},
		"index":       {Writes: []store.Write{{Key: "a", Index: make([]string, maxIndex+1)}}},
		"value":       {Writes: []store.Write{{Key: "a", Value: make([]byte, maxValue+1)}}},
		"values":      {Writes: []store.Write{{Key: "a", Value: make([]byte, maxValue)}, {Key: "b", Value: make([]byte, 1)}}},
		"writes":      {Writes: make([]store.Write, maxBatch+1)},
		"deltas":      {Deltas: make([]store.Delta, maxBatch+1)},
		"counter key": {Deltas: []store.Delta{{Key: long}}},
	}
	for name, b := range cases {
		if _, err := e.Records().Apply(t.Context(), b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := e.Records().Apply(t.Context(), store.Batch{Writes: []store.Write{{Key: "a", Value: make([]byte, maxValue)}}}); err != nil {
		t.Errorf("the largest value: %v", err)
	}
}

func TestFolderIsLockedOnce(t *testing.T) {
	dir := t.TempDir()
	lock, err := LockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockFolder(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second lock: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := LockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// TestFoldersSurviveThePower: a folder made is there after a loss of power, with all
// above it, also when they were there and not flushed.
func TestFoldersSurviveThePower(t *testing.T) {
	for _, unflushed := range []string{"", "a", "a/b", "a/b/c"} {
		fs := vfs.NewCrashableMem()
		if err := fs.MkdirAll(unflushed, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := makeFolder(fs, "a/b/c"); err != nil {
			t.Fatal(err)
		}
		if _, err := fs.CrashClone(vfs.CrashCloneCfg{}).Stat("a/b/c"); err != nil {
			t.Errorf("after %q: %v", unflushed, err)
		}
	}
}
