package diagnosis

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// counter counts from 1 on.
type counter struct{ n atomic.Uint64 }

func (c *counter) next() uint64 { return c.n.Add(1) }

// eventKind is what the clerk is told of.
type eventKind uint8

const (
	eventConnected eventKind = iota + 1
	eventEnded
	eventAfterlife
	eventRefused
	eventForget
)

// event is one thing that the clerk is told: all that it says, nothing shared but the
// kernel's word on the newcomer, which the clerk asks for itself.
type event struct {
	kind      eventKind
	at        time.Time
	identity  iot.Identity
	sequence  uint64
	code      fault.Code
	reason    string
	lost      Loss
	peer      Party
	by        *Party
	kernel    func() device.TCP // of by; may be nil
	afterlife device.Afterlife
}

// queue is what waits for the clerk.
type queue struct {
	// fixed

	wake chan struct{} // has one element while the clerk has something to do

	mu sync.Mutex

	// guarded by mu

	events   []event
	spare    []event // what the clerk gave back
	refusals int     // of events
	lost     uint64  // events that found no room
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// put adds an event, or counts it as lost. It never waits.
func (q *queue) put(ev event) {
	q.mu.Lock()
	switch {
	case len(q.events) >= maxQueue:
		q.lost++
	case ev.kind == eventRefused && q.refusals >= maxRefusals: // nobody misses it
	default:
		q.events = append(q.events, ev)
		if ev.kind == eventRefused {
			q.refusals++
		}
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take gives all that waits, and how many events were lost behind them. The slice is
// given back with recycle.
func (q *queue) take() (events []event, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events, lost = q.events, q.lost
	q.events, q.lost, q.refusals, q.spare = q.spare, 0, 0, nil
	return events, lost
}

// recycle gives back what take gave, unless it grew large.
func (q *queue) recycle(events []event) {
	if cap(events) > maxQueue/64 {
		return
	}
	clear(events)
	q.mu.Lock()
	q.spare = events[:0]
	q.mu.Unlock()
}
