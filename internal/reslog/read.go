package reslog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// key is what a record is filtered by.
type key struct {
	at       time.Time
	category string
	identity iot.Identity
}

func keyOf(it *item) key { return key{it.at, it.category, it.identity} }

// wants reports whether a query asks for records of this key. What the log says of
// itself is for everybody.
func wants(q *iot.LogQuery, k key) bool {
	switch {
	case k.at.Before(q.Since):
		return false
	case k.category == categoryLog:
		return true
	case q.Category != "" && !strings.EqualFold(q.Category, k.category):
		return false
	case q.Device != "" && q.Device != k.identity.Device:
		return false
	}
	return q.Module == "" || q.Module == k.identity.Module
}

// Read calls f with each record that q asks for, oldest first, as one line without its
// newline; f may keep it. It ends with nil when there are no more, or with f's error,
// or, if q follows, when ctx ends or the log is closed. A reader that is so slow that
// records are gone before it came to them is told how many, in a record of category
// BerthResourceLog; writers never wait for it. Other errors are fault.Error.
func (l *Log) Read(ctx context.Context, q iot.LogQuery, f func(line []byte) error) error {
	snap, err := l.look(ctx)
	if err != nil {
		return err
	}
	defer snap.close()
	if err := snap.replay(ctx, &q, f); err != nil {
		return err
	}
	snap.close()
	if !q.Follow {
		return nil
	}
	return l.follow(ctx, &q, snap.next, f)
}

// look asks the writer where the log stands.
func (l *Log) look(ctx context.Context) (snapshot, error) {
	reply := make(chan snapshot, 1)
	select {
	case l.ask <- reply:
		s := <-reply
		if s.err != nil {
			return snapshot{}, unreadable(s.err)
		}
		return s, nil
	case <-l.done:
		return snapshot{}, fault.New(fault.ServiceUnavailable, "reslog.read", "the log is closed")
	case <-ctx.Done():
		return snapshot{}, context.Cause(ctx)
	}
}

// unreadable is what a reader is told when a file cannot be read.
func unreadable(err error) error {
	return fault.Wrap(err, fault.ServerError, "reslog.read", "the resource log could not be read")
}

// follow gives the lines from position at on.
func (l *Log) follow(ctx context.Context, q *iot.LogQuery, at uint64, f func([]byte) error) error {
	var buf [64]tailed
	var enc encoder
	for {
		n, missed, err := l.ring.read(ctx, at, buf[:])
		if err != nil {
			return err
		}
		if n == 0 && missed == 0 {
			return nil
		}
		if missed > 0 {
			it := missing(l.now(), int(missed), "", "this reader was too slow")
			line, err := enc.line(&it, l.resource)
			if err != nil {
				return err
			}
			if err := f(bytes.Clone(bytes.TrimSuffix(line, []byte("\n")))); err != nil {
				return err
			}
		}
		for _, t := range buf[:n] {
			if wants(q, t.key) {
				if err := f(bytes.TrimSuffix(t.line, []byte("\n"))); err != nil {
					return err
				}
			}
		}
		at += missed + uint64(n)
	}
}

// snapshot is the log at one moment: all that was written is in the files, as far as
// their sizes then, and what comes later is in the ring from next on.
type snapshot struct {
	files []*os.File // oldest first
	sizes []int64
	next  uint64
	err   error
}

func (s *snapshot) close() {
	for _, f := range s.files {
		_ = f.Close() // it was only read
	}
	s.files = nil
}

// snapshot opens the files. Only the writer may call it: nothing is written meanwhile.
func (l *Log) snapshot() snapshot {
	s := snapshot{next: l.ring.position()}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		s.err = err
		return s
	}
	ext := filepath.Ext(fileName)
	names := make([]string, 0, len(entries)+1)
	for _, e := range entries { // sorted by name, and so by the time in it
		if name := e.Name(); strings.HasPrefix(name, strings.TrimSuffix(fileName, ext)+"-") && filepath.Ext(name) == ext {
			names = append(names, name)
		}
	}
	for _, name := range append(names, fileName) {
		if s.err = s.open(filepath.Join(l.dir, name)); s.err != nil {
			s.close()
			return s
		}
	}
	return s
}

// open adds a file; one that retention has just removed is no error.
func (s *snapshot) open(name string) error {
	f, err := os.Open(name) //nolint:gosec // names from the log's own folder
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close() // the first error is the one to tell
		return err
	}
	s.files, s.sizes = append(s.files, f), append(s.sizes, st.Size())
	return nil
}

// replay gives the records of the files.
func (s *snapshot) replay(ctx context.Context, q *iot.LogQuery, f func([]byte) error) error {
	last := lastLines{want: min(q.Tail, iot.MaxLogTail)}
	take := f
	if q.Tail > 0 {
		take = last.add
	}
	for i, file := range s.files {
		if err := replay(ctx, file, s.sizes[i], q, take); err != nil {
			return err
		}
	}
	for _, line := range last.lines {
		if err := f(line); err != nil {
			return err
		}
	}
	return nil
}

// replay gives the records of one file's first size bytes.
func replay(ctx context.Context, file io.ReaderAt, size int64, q *iot.LogQuery, f func([]byte) error) error {
	start, err := seek(file, size, q.Since)
	if err != nil {
		return unreadable(err)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(file, start, size-start), maxLine)
	for tooLong := false; ; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		line, err := r.ReadSlice('\n')
		rest := tooLong
		tooLong = errors.Is(err, bufio.ErrBufferFull)
		switch {
		case errors.Is(err, io.EOF):
			return nil // a torn last line is none
		case err != nil && !tooLong:
			return unreadable(err)
		case tooLong || rest: // damaged: no line of ours is as long
			continue
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		if k, ok := parse(line, q); ok && wants(q, k) {
			if err := f(bytes.Clone(line)); err != nil {
				return err
			}
		}
	}
}

// parse gives the key of a line; ok is false for one that is damaged or that q does not
// ask for on the face of it.
func parse(line []byte, q *iot.LogQuery) (k key, ok bool) {
	if q.Device != "" && !bytes.Contains(line, []byte(q.Device)) && !bytes.Contains(line, []byte(categoryLog)) {
		return key{}, false
	}
	var env envelope
	if json.Unmarshal(line, &env) != nil {
		return key{}, false
	}
	at, err := time.Parse(timeLayout, env.Time)
	if err != nil {
		return key{}, false
	}
	var who struct {
		DeviceID string `json:"deviceId"`
		ModuleID string `json:"moduleId"`
	}
	if json.Unmarshal([]byte(env.Properties), &who) != nil {
		return key{}, false
	}
	return key{at, env.Category, iot.Identity{Device: who.DeviceID, Module: who.ModuleID}}, true
}

// outOfOrder is how much earlier than its neighbours a record may stand: its time is
// that of the event, and a busy writer comes later.
const outOfOrder = 10 * time.Second

// seek gives a position at the start of a line before which every record is older than
// since, found by halving the file.
func seek(file io.ReaderAt, size int64, since time.Time) (int64, error) {
	if since.IsZero() {
		return 0, nil
	}
	since = since.Add(-outOfOrder)
	low, high := int64(0), size // the line at low is too old or the first one
	for high-low > maxLine {
		mid := low + (high-low)/2
		at, start, err := timeAt(file, mid, high)
		if err != nil {
			return 0, err
		}
		if start < 0 || !at.Before(since) {
			high = mid
		} else {
			low = start
		}
	}
	return low, nil
}

// timeAt gives the time and start of the first readable line that begins after pos and
// before end; start is -1 if there is none.
func timeAt(file io.ReaderAt, pos, end int64) (at time.Time, start int64, err error) {
	r := bufio.NewReader(io.NewSectionReader(file, pos, min(end-pos, 2*maxLine)))
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return time.Time{}, -1, nil
		}
		if err != nil {
			return time.Time{}, -1, err
		}
		pos += int64(len(line))
		head, err := r.Peek(len(linePrefix) + len(timeLayout))
		if err != nil {
			return time.Time{}, -1, nil //nolint:nilerr // too short for a line: none begins here
		}
		if text, ok := bytes.CutPrefix(head, []byte(linePrefix)); ok {
			if at, err := time.Parse(timeLayout, string(text)); err == nil {
				return at, pos, nil
			}
		}
	}
}

// linePrefix is how every line begins, up to the time.
const linePrefix = `{"time":"`

// lastLines keeps the last lines it is given.
type lastLines struct {
	want  int
	bytes int
	lines [][]byte
}

func (t *lastLines) add(line []byte) error {
	t.lines, t.bytes = append(t.lines, line), t.bytes+len(line)
	for len(t.lines) > t.want || t.bytes > maxTailBytes && len(t.lines) > 1 {
		t.bytes -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
	return nil
}
