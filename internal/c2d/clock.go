package c2d

import (
	"sync"
	"time"
)

// clock is the hub's clock for times to live: the wall clock, unless that has stepped
// back. Then this one goes on as if it had not, until the next start; so no step makes a
// message live longer. What a sender says in the wall clock's terms is translated.
type clock struct {
	// fixed

	wall    func() time.Time
	started time.Time // origin of the monotonic clock

	// guarded by mu

	mu     sync.Mutex
	origin time.Time // the latest that the wall clock would have shown at started
}

func newClock(wall func() time.Time) *clock {
	if wall == nil {
		wall = time.Now
	}
	return &clock{wall: wall, started: time.Now()}
}

// elapsed is the monotonic time since the start.
func (c *clock) elapsed() time.Duration { return time.Since(c.started) }

// now gives the wall clock, and the hub's in Unix milliseconds.
func (c *clock) now() (wall time.Time, hub uint64) {
	elapsed := c.elapsed()
	wall = c.wall().Round(0).UTC()
	origin := wall.Add(-elapsed)
	c.mu.Lock()
	defer c.mu.Unlock()
	if origin.After(c.origin) {
		c.origin = origin
	}
	at := wall
	if c.origin.Sub(origin) > clockSlack {
		at = c.origin.Add(elapsed)
	}
	return wall, uint64(max(at.UnixMilli(), 0))
}
