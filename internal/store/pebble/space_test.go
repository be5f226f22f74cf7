package pebble

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/berth-iot/berth/internal/store"
)

func write(t *testing.T, e *Engine, key string) error {
	t.Helper()
	_, err := e.Records().Apply(t.Context(), store.Batch{Writes: []store.Write{{Key: key, Value: []byte("v"), If: store.Any}}})
	return err
}

// TestReserveRefusesWritesAndRecovers: below the reserve writes are refused, reads and
// trims go on, and writes recover by themselves above it, not at its very edge.
func TestReserveRefusesWritesAndRecovers(t *testing.T) {
	fs := vfs.NewMem()
	const total = 1 << 40
	avail := func(n uint64) {
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: total, UsedBytes: total - n})
	}
	avail(total)
	o := options(t, fs)
	o.ReserveBytes = 800 << 20
	e := open(t, o)
	if err := errors.Join(write(t, e, "a"), e.Log().Commit([]store.Block{numbered(0, 0), numbered(0, 1), numbered(0, 2)})); err != nil {
		t.Fatal(err)
	}
	avail(799 << 20)
	e.space.check()
	if err := write(t, e, "b"); !errors.Is(err, store.ErrFull) || !e.Full() {
		t.Errorf("a write below the reserve: %v", err)
	}
	if err := e.Log().Commit([]store.Block{numbered(0, 3)}); !errors.Is(err, store.ErrFull) {
		t.Errorf("a commit below the reserve: %v", err)
	}
	if _, err := e.Records().Get(t.Context(), "a"); err != nil {
		t.Errorf("a read below the reserve: %v", err)
	}
	if err := e.Log().Trim(0, 1); err != nil {
		t.Errorf("a trim below the reserve: %v", err)
	}
	if stored, err := e.Log().Read(0, 0, 1); err != nil || stored[0].First != 1 {
		t.Errorf("a read of the log below the reserve: %v", err)
	}
	if _, err := e.Claims().Claim(t.Context(), "dev"); err != nil {
		t.Errorf("a claim below the reserve: %v", err)
	}
	avail(810 << 20)
	e.space.check()
	if err := write(t, e, "b"); !errors.Is(err, store.ErrFull) {
		t.Errorf("a write at the edge of the reserve: %v", err)
	}
	avail(900 << 20)
	e.space.check()
	if err := errors.Join(write(t, e, "b"), e.Log().Commit([]store.Block{numbered(0, 3)})); err != nil {
		t.Errorf("a write after space returned: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	avail(1 << 20)
	e = open(t, o) // a full disk does not keep the hub from starting
	if err := write(t, e, "c"); !errors.Is(err, store.ErrFull) {
		t.Errorf("a write after opening on a full disk: %v", err)
	}
	if _, err := e.Records().Get(t.Context(), "b"); err != nil {
		t.Error(err)
	}
}

// TestFullDiskIsMetWithTheBallast: where the reserve was not enough, the write that
// meets the full disk succeeds with the room of the ballast, and later ones are
// refused until the ballast can be put back.
func TestFullDiskIsMetWithTheBallast(t *testing.T) {
	fs := vfs.NewMem()
	var full atomic.Bool
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40})
	ballast := "data/" + ballastFile
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !full.Load() || (op.Kind != errorfs.OpFileWrite && op.Kind != errorfs.OpCreate) {
			return nil
		}
		if _, err := fs.Stat(ballast); err == nil || strings.HasSuffix(op.Path, ballastFile) {
			return syscall.ENOSPC
		}
		return nil // the room of the ballast
	})
	o := options(t, errorfs.Wrap(fs, inject))
	o.BallastBytes = 3<<20 + 5
	e := open(t, o)
	if i, err := fs.Stat(ballast); err != nil || i.Size() != o.BallastBytes {
		t.Fatalf("ballast: %v %v", i, err)
	}
	full.Store(true)
	if err := write(t, e, "a"); err != nil {
		t.Errorf("the write that met the full disk: %v", err)
	}
	for range 2 {
		if err := write(t, e, "b"); !errors.Is(err, store.ErrFull) {
			t.Errorf("a write while the disk is full: %v", err)
		}
		e.space.check() // says there is space, but the ballast does not fit
	}
	full.Store(false)
	e.space.check()
	if err := write(t, e, "b"); err != nil || e.Full() {
		t.Errorf("a write after space returned: %v", err)
	}
	if i, err := fs.Stat(ballast); err != nil || i.Size() != o.BallastBytes {
		t.Errorf("ballast after recovery: %v %v", i, err)
	}
}

// TestBallastSurvivesReopening, and one that was torn is written anew.
func TestBallastSurvivesReopening(t *testing.T) {
	fs := vfs.NewMem()
	o := options(t, fs)
	o.BallastBytes = 1 << 20
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("data/"+ballastFile, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, o)
	if i, err := fs.Stat("data/" + ballastFile); err != nil || i.Size() != 1<<20 {
		t.Errorf("ballast: %v %v", i, err)
	}
}
