// Package reslog is the resource log: who connected, who was disconnected and why,
// what was refused, as JSON lines in the schemas that Azure publishes, with the facts
// that Azure leaves out beside them.
//
// Its one invariant: writing a record never waits. A record that finds no room is
// counted, and the log says how many are missing. It refuses to judge what it is
// told, and it never holds a secret or a whole address.
package reslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// Config is what a Log is made of.
type Config struct {
	Dir        string // folder of the files, made if there is none
	HubName    string // the last part of resourceId
	MaxSizeMB  int    // of one file; 0 is 64
	MaxBackups int    // rotated files kept; 0 is 8
	MaxAgeDays int    // days a rotated file is kept; 0 is 30
	Stdout     io.Writer
	Now        func() time.Time // nil is time.Now
	Logger     *slog.Logger     // nil: silent
}

// fileName is the file being written; rotated ones carry their time before the
// extension.
const fileName = "resource.jsonl"

// Log writes the resource log.
type Log struct {
	// fixed

	dir      string
	resource string // resourceId
	file     io.WriteCloser
	stdout   io.Writer // nil: none
	now      func() time.Time
	log      *slog.Logger
	queue    *queue
	ring     *ring
	ask      chan chan snapshot // readers ask the writer where they stand
	quit     chan struct{}
	done     chan struct{} // closed when the writer has ended

	// owned by the writer

	enc    encoder
	chunk  []byte   // lines on their way to the file
	lines  []tailed // the same, for those who follow
	failed int      // records that the file did not take since the last success

	// shared

	stop sync.Once
}

// Open starts a Log; Close ends it.
func Open(cfg Config) (*Log, error) {
	if cfg.Dir == "" || cfg.HubName == "" {
		return nil, errors.New("reslog: Config needs Dir and HubName")
	}
	if cfg.MaxSizeMB <= 0 {
		cfg.MaxSizeMB = defaultMaxSizeMB
	}
	if cfg.MaxBackups <= 0 {
		cfg.MaxBackups = defaultMaxBackups
	}
	if cfg.MaxAgeDays <= 0 {
		cfg.MaxAgeDays = defaultMaxAgeDays
	}
	file := &lumberjack.Logger{
		Filename: filepath.Join(cfg.Dir, fileName),
		MaxSize:  cfg.MaxSizeMB, MaxBackups: cfg.MaxBackups, MaxAge: cfg.MaxAgeDays,
	}
	if _, err := file.Write(nil); err != nil { // opens the file, so that a folder that cannot be written is known now
		return nil, fmt.Errorf("resource log: %w", err)
	}
	if err := mend(file, filepath.Join(cfg.Dir, fileName)); err != nil {
		_ = file.Close() // the first error is the one to tell
		return nil, fmt.Errorf("resource log: %w", err)
	}
	return open(cfg, file), nil
}

// mend ends the line that a crash may have torn, so that the next one stands alone.
func mend(w io.Writer, name string) error {
	f, err := os.Open(name) //nolint:gosec // the operator's own folder
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	last := make([]byte, 1)
	switch end, err := f.Seek(0, io.SeekEnd); {
	case err != nil:
		return err
	case end == 0:
		return nil
	default:
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err
		}
	}
	if last[0] == '\n' {
		return nil
	}
	_, err = w.Write([]byte{'\n'})
	return err
}

func open(cfg Config, file io.WriteCloser) *Log {
	l := &Log{
		dir: cfg.Dir, resource: resourceID(cfg.HubName), file: file, stdout: cfg.Stdout, now: cfg.Now, log: cfg.Logger,
		queue: newQueue(), ring: newRing(), ask: make(chan chan snapshot), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	go func() {
		defer close(l.done)
		l.write()
	}()
	return l
}

// Close writes what waits, ends the readers, and closes the file. Records that come
// later are dropped. It returns early when ctx ends.
func (l *Log) Close(ctx context.Context) error {
	l.stop.Do(func() { close(l.quit) })
	select {
	case <-l.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return l.file.Close()
}

// resourceID is the constant form of Azure's resourceId, with the hub's name.
func resourceID(hub string) string {
	return "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/BERTH/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/" +
		strings.ToUpper(hub)
}
