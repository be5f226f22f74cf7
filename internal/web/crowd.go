package web

import (
	"io"
	"sync"

	"github.com/berth-iot/berth/internal/fault"
)

// crowd counts the bytes of bodies that each caller has under way: read, or still to come, of
// requests that are not yet answered. A device, or a policy, is one caller however many
// connections it has. The zero crowd is empty.
type crowd struct {
	mu    sync.Mutex
	bytes map[string]int64 // by caller; none is 0
}

// take counts n bytes more, unless the caller would have more than most.
func (w *crowd) take(caller string, n, most int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes[caller]+n > most {
		return false
	}
	if w.bytes == nil {
		w.bytes = make(map[string]int64)
	}
	w.bytes[caller] += n
	return true
}

// give counts n bytes less.
func (w *crowd) give(caller string, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes[caller] -= n; w.bytes[caller] == 0 {
		delete(w.bytes, caller)
	}
}

// reserve counts n bytes more of a body, until the request is answered.
func (c *call) reserve(n int64) error {
	most := int64(maxPolicyBodies)
	if c.match.surface == deviceAPI {
		most = maxDeviceBodies
	}
	if !c.s.crowd.take(c.caller, n, most) {
		return fault.New(fault.ThrottlingException, "web.body", "the caller has bodies of %d bytes under way, the most there may be", most)
	}
	c.reserved += n
	return nil
}

// release ends what was reserved.
func (c *call) release() {
	if c.reserved > 0 {
		c.s.crowd.give(c.caller, c.reserved)
	}
}

// reserving reads a body whose length was not told, and reserves as it comes.
type reserving struct {
	io.Reader

	call *call
}

// Read reads from the body.
func (r reserving) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if n > 0 {
		if full := r.call.reserve(int64(n)); full != nil {
			return 0, full
		}
	}
	return n, err
}
