package park

import (
	"container/heap"
	"sync"
	"time"
)

// sweep is the one clock of all parked connections: it comes by each at, or a little
// after, the time it asked for. There is no timer per connection, and none at all while
// nobody asks. Connections are named by their keys, so that one that has left is not held.
type sweep struct {
	// fixed

	lot *Lot

	// guarded by mu

	mu      sync.Mutex
	buckets map[int64][]key // by the lot's time, in steps of fineTick or coarseTick
	order   ticks           // the buckets there are, earliest first
	timer   *time.Timer
	armed   int64 // when the timer fires; 0: it does not
	stopped bool
}

// tick gives the time of the bucket for at: at, or a little later.
func tick(now, at int64) int64 {
	step := int64(fineTick)
	if at-now > int64(coarseFrom) {
		step = int64(coarseTick)
	}
	return (max(at, 1) + step - 1) / step * step
}

// enlist comes by k at the time of a bucket, which tick gave.
func (w *sweep) enlist(k key, at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buckets == nil {
		w.buckets = make(map[int64][]key)
	}
	bucket, known := w.buckets[at]
	w.buckets[at] = append(bucket, k)
	if !known {
		heap.Push(&w.order, at)
	}
	w.arm()
}

// arm sets the timer to the first bucket; mu is held.
func (w *sweep) arm() {
	if len(w.order) == 0 || w.stopped || w.armed != 0 && w.armed <= w.order[0] {
		return
	}
	w.armed = w.order[0]
	after := time.Duration(w.armed - w.lot.now())
	if w.timer == nil {
		w.timer = time.AfterFunc(after, w.run)
		return
	}
	w.timer.Reset(after)
}

// run comes by everybody whose time has come.
func (w *sweep) run() {
	due := w.due(w.lot.now())
	var (
		hs    [eventsAtOnce]happening
		found [eventsAtOnce]*socket
	)
	for len(due) > 0 {
		n := min(len(due), eventsAtOnce)
		for i, k := range due[:n] {
			hs[i] = happening{k, expired}
		}
		due = due[n:]
		w.lot.happened(hs[:n], found[:n])
	}
}

// due takes out who is due.
func (w *sweep) due(now int64) (due []key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = 0
	for len(w.order) > 0 && w.order[0] <= now {
		at := heap.Pop(&w.order).(int64) // the heap holds nothing else
		due = append(due, w.buckets[at]...)
		delete(w.buckets, at)
	}
	w.arm()
	return due
}

// stop ends the sweep. One that has begun may still be on its way.
func (w *sweep) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// ticks is a heap of times.
type ticks []int64

func (t ticks) Len() int           { return len(t) }
func (t ticks) Less(i, j int) bool { return t[i] < t[j] }
func (t ticks) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *ticks) Push(x any)        { *t = append(*t, x.(int64)) }
func (t *ticks) Pop() any {
	old := *t
	last := old[len(old)-1]
	*t = old[:len(old)-1]
	return last
}
