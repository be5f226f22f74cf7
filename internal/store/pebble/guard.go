package pebble

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard stands between Pebble and the file system. A write-ahead log that cannot be
// made, written, flushed or closed ends the process here, with a clear message: Pebble
// would crash on some of these. Any other failed write is Pebble's to try again, after
// a pause that Pebble itself does not make.
type guard struct {
	vfs.FS

	// fixed

	health *health
	stop   <-chan struct{}

	// shared

	read atomic.Pointer[string] // the file opened last for reading
}

// Unwrap implements vfs.FS.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// met handles what a write returned.
func (g *guard) met(name string, err error) error {
	if err == nil {
		return nil
	}
	if strings.HasSuffix(name, ".log") {
		g.health.end(fmt.Errorf("pebble: write-ahead log %s: %w", name, err))
	}
	pause := time.NewTimer(retryPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-g.stop:
	}
	return err
}

// Open implements vfs.FS. Pebble takes some damage of a write-ahead log or a manifest for
// its end, and goes on without what stood behind it: verify does not.
func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	g.read.Store(&name)
	f, err := g.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	if err := verify(f, g.PathBase(name)); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return f, nil
}

// lastRead names the file that was opened last for reading.
func (g *guard) lastRead() string {
	if name := g.read.Load(); name != nil {
		return *name
	}
	return "no file"
}

// Create implements vfs.FS. Pebble makes a marker that names a file before the folder that
// holds both is flushed: a loss of power could leave the marker without the file, and
// nothing would open any more. So the folder is flushed first.
func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(g.PathBase(name), "marker.") {
		if err := syncFolder(g.FS, g.PathDir(name)); err != nil {
			return nil, g.met(name, err)
		}
	}
	return g.guarded(name)(g.FS.Create(name, category))
}

// ReuseForWrite implements vfs.FS.
func (g *guard) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return g.guarded(name)(g.FS.ReuseForWrite(old, name, category))
}

func (g *guard) guarded(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil {
			return nil, g.met(name, err)
		}
		return &guardedFile{File: f, guard: g, name: name}, nil
	}
}

// guardedFile is a file that Pebble writes.
type guardedFile struct {
	vfs.File

	// fixed

	guard *guard
	name  string
}

// Write implements vfs.File.
func (f *guardedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.guard.met(f.name, err)
}

// Sync implements vfs.File.
func (f *guardedFile) Sync() error { return f.guard.met(f.name, f.File.Sync()) }

// SyncData implements vfs.File.
func (f *guardedFile) SyncData() error { return f.guard.met(f.name, f.File.SyncData()) }

// SyncTo implements vfs.File.
func (f *guardedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.guard.met(f.name, err)
}

// Close implements vfs.File.
func (f *guardedFile) Close() error { return f.guard.met(f.name, f.File.Close()) }
