package rig

import (
	"bytes"
	"sync"
)

// Output keeps the end of what a process writes. Safe for concurrent use.
type Output struct {
	// guarded by mu

	mu  sync.Mutex
	buf bytes.Buffer
}

// Write keeps p, and forgets the oldest half when too much is kept. See io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len()+len(p) > maxKeptOutput {
		o.buf.Next(o.buf.Len() / 2)
	}
	return o.buf.Write(p)
}

// String gives what is kept.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
