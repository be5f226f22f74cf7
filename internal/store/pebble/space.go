package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/berth-iot/berth/internal/store"
)

// ballastFile is given up when the disk is full in spite of the reserve.
const ballastFile = "BALLAST"

// space watches the disk: below the reserve writes are refused, and they recover by
// themselves when space returns.
type space struct {
	// fixed

	fs      vfs.FS // the inner one: the ballast is not subject to itself
	dir     string
	reserve uint64
	ballast int64 // 0 for none
	log     *slog.Logger

	// shared

	full atomic.Bool

	// guarded by mu

	mu      sync.Mutex
	weighed bool // the ballast is in place
}

func newSpace(o Options) *space {
	s := &space{fs: o.FS, dir: o.Dir, reserve: o.ReserveBytes, ballast: o.BallastBytes, log: o.Log}
	if s.reserve == 0 {
		s.reserve = defaultReserve
	}
	switch {
	case s.ballast == 0:
		s.ballast = defaultBallast
	case s.ballast < 0:
		s.ballast, s.weighed = 0, true
	}
	return s
}

// admit refuses a write while the disk is full.
func (s *space) admit() error {
	if s.full.Load() {
		return fmt.Errorf("%w: less than %d MiB free at %s", store.ErrFull, s.reserve>>20, s.dir)
	}
	return nil
}

// watch looks at the disk until stop is closed.
func (s *space) watch(stop <-chan struct{}) {
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			s.check()
		}
	}
}

// check looks at the disk once.
func (s *space) check() {
	usage, err := s.fs.GetDiskUsage(s.dir)
	known := err == nil
	if err != nil && !errors.Is(err, vfs.ErrUnsupported) {
		s.log.Warn("the free space of the disk cannot be read", slog.Any("err", err))
	}
	if !s.full.Load() {
		if known && usage.AvailBytes < s.reserve {
			s.refuse("less free space than the reserve")
			return
		}
		s.weigh()
		return
	}
	// An eighth above the reserve, so that the state does not flap.
	if known && usage.AvailBytes < s.reserve+s.reserve/8 {
		return
	}
	if s.weigh() {
		s.full.Store(false)
		s.log.Info("the disk has room again: writes are accepted")
	}
}

// refuse refuses writes from now on.
func (s *space) refuse(why string) {
	if s.full.CompareAndSwap(false, true) {
		s.log.Error("the disk is full: writes are refused until space returns", slog.String("why", why), slog.String("dir", s.dir))
	}
}

// exhausted is called while every write to the file system waits: it gives the
// ballast up, so that what met the full disk succeeds when it is tried again. It may be an
// earlier start's: while the engine opens, nobody has looked at it yet.
func (s *space) exhausted() {
	s.mu.Lock()
	if s.ballast > 0 {
		s.weighed = false
		if err := s.fs.Remove(s.fs.PathJoin(s.dir, ballastFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Error("the ballast file cannot be removed", slog.Any("err", err))
		}
	}
	s.mu.Unlock()
	s.refuse("a write met no space")
}

// weigh puts the ballast in place and reports whether it is.
func (s *space) weigh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.weighed {
		return true
	}
	name := s.fs.PathJoin(s.dir, ballastFile)
	if i, err := s.fs.Stat(name); err == nil && i.Size() == s.ballast {
		s.weighed = true
		return true
	}
	if err := s.fill(name); err != nil {
		if vfs.IsNoSpaceError(err) {
			s.refuse("no room for the ballast file")
		} else {
			s.log.Warn("the ballast file cannot be written", slog.Any("err", err))
		}
		return false
	}
	s.weighed = true
	return true
}

// fill writes the ballast: a file with a hole would weigh nothing.
func (s *space) fill(name string) error {
	f, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	chunk := make([]byte, min(s.ballast, 1<<20))
	for n := int64(0); n < s.ballast && err == nil; {
		part := chunk[:min(int64(len(chunk)), s.ballast-n)]
		_, err = f.Write(part)
		n += int64(len(part))
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, s.fs.Remove(name))
	}
	return nil
}
