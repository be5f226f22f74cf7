package reslog

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// queue is the records that wait to be written.
type queue struct {
	// fixed

	wake chan struct{} // has one element while the writer has something to do
	room int           // records that may wait

	mu sync.Mutex

	// guarded by mu

	items      []item
	spare      []item                   // what the writer gave back
	lost       int                      // records that found no room
	limits     map[string]*rate.Limiter // of errors, by category
	suppressed map[string]int           // errors beyond the limit, by category
	closed     bool
}

func newQueue() *queue {
	return &queue{
		wake: make(chan struct{}, 1), room: maxQueue,
		limits: make(map[string]*rate.Limiter, 4), suppressed: make(map[string]int, 4),
	}
}

// put adds a record, or counts it as lost.
func (q *queue) put(it item) {
	q.mu.Lock()
	switch {
	case q.closed:
	case len(q.items) >= q.room:
		q.lost++
	default:
		q.items = append(q.items, it)
	}
	q.mu.Unlock()
	q.poke()
}

// putLimited adds a record that a peer who proved nothing can cause, or counts it as
// suppressed.
func (q *queue) putLimited(it item, now time.Time) {
	q.mu.Lock()
	limit := q.limits[it.category]
	if limit == nil {
		limit = rate.NewLimiter(errorRate, errorBurst)
		q.limits[it.category] = limit
	}
	allowed := limit.AllowN(now, 1)
	if !allowed {
		q.suppressed[it.category]++
	}
	q.mu.Unlock()
	if allowed {
		q.put(it)
	}
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take gives all that waits, and how many records were lost behind them. The slice is
// given back with recycle.
func (q *queue) take() (items []item, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, lost = q.items, q.lost
	q.items, q.lost, q.spare = q.spare, 0, nil
	return items, lost
}

// recycle gives back what take gave, unless it grew large.
func (q *queue) recycle(items []item) {
	if cap(items) > maxQueue/64 {
		return
	}
	clear(items)
	q.mu.Lock()
	q.spare = items[:0]
	q.mu.Unlock()
}

// excess gives, and forgets, how many errors were suppressed, by category.
func (q *queue) excess() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.suppressed) == 0 {
		return nil
	}
	out := q.suppressed
	q.suppressed = make(map[string]int, 4)
	return out
}

// close drops what comes from now on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}
