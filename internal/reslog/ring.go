package reslog

import (
	"context"
	"sync"
)

// ring is the latest lines, for those who follow: each has a position in it, and
// nothing else. A follower who is overtaken is told how many lines he missed.
type ring struct {
	mu sync.Mutex

	// guarded by mu

	lines [ringLines]tailed
	next  uint64        // position of the next line; the line at n is lines[n%ringLines]
	first uint64        // position of the oldest line kept
	bytes int           // of the lines kept
	more  chan struct{} // closed when there is another line, or no more will come
	ended bool
}

// tailed is one line and what it is filtered by.
type tailed struct {
	key  key
	line []byte // never changed
}

func newRing() *ring { return &ring{more: make(chan struct{})} }

// add appends lines and wakes the followers.
func (r *ring) add(lines []tailed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range lines {
		for r.next-r.first >= ringLines || (r.bytes+len(t.line) > ringBytes && r.first < r.next) {
			old := &r.lines[r.first%ringLines]
			r.bytes -= len(old.line)
			*old = tailed{}
			r.first++
		}
		r.lines[r.next%ringLines] = t
		r.bytes += len(t.line)
		r.next++
	}
	close(r.more)
	r.more = make(chan struct{})
}

// end wakes the followers for the last time.
func (r *ring) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	close(r.more)
	r.more = make(chan struct{})
}

// position is where the next line will be.
func (r *ring) position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// read gives up to len(dst) lines from position at on, waiting for the first; missed
// counts those before them that are gone. At the end of the log it gives none.
func (r *ring) read(ctx context.Context, at uint64, dst []tailed) (n int, missed uint64, err error) {
	for {
		r.mu.Lock()
		if at < r.first {
			missed = r.first - at
			at = r.first
		}
		for n < len(dst) && at < r.next {
			dst[n] = r.lines[at%ringLines]
			n, at = n+1, at+1
		}
		more, ended := r.more, r.ended
		r.mu.Unlock()
		if n > 0 || missed > 0 || ended {
			return n, missed, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		}
	}
}
