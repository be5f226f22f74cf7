package c2d

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"time"
)

// deadlines know what happens next because time passes: the first lock of each holder
// that ends, in a heap, and the first message that expires, which stands in the store's
// index. One goroutine (watch) waits for whichever comes first.
type deadlines struct {
	// fixed

	nudge chan struct{} // capacity 1: something comes earlier than was thought

	// guarded by mu

	mu     sync.Mutex
	lapses lapses
	due    uint64 // when something expires, on the hub's clock, as far as known
	passed uint64 // all that expires up to here has been looked for
	from   string // behind this index key there may be more
}

// never is a time on the hub's clock that does not come.
const never = ^uint64(0)

func newDeadlines() *deadlines {
	return &deadlines{nudge: make(chan struct{}, 1)} // due 0: look at once
}

// lapser holds locks.
type lapser interface {
	// lapsed ends the locks whose time is over, and gives the moment at which the next one's
	// is, if there is one.
	lapsed(elapsed time.Duration) (next time.Duration, more bool)
}

// lapse is a holder's entry in the heap.
type lapse struct {
	at    time.Duration // on the monotonic clock
	of    lapser
	index int // in the heap; -1: not there
}

// lapses are a heap by time.
type lapses []*lapse

func (l lapses) Len() int           { return len(l) }
func (l lapses) Less(i, j int) bool { return l[i].at < l[j].at }
func (l lapses) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].index, l[j].index = i, j
}

// Push implements heap.Interface.
func (l *lapses) Push(x any) {
	e := x.(*lapse) // arm pushes nothing else
	e.index = len(*l)
	*l = append(*l, e)
}

// Pop implements heap.Interface.
func (l *lapses) Pop() any {
	old := *l
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	e.index = -1
	return e
}

func (d *deadlines) wake() {
	select {
	case d.nudge <- struct{}{}:
	default:
	}
}

// arm sees to it that of is asked for lapsed locks at a time, or before.
func (d *deadlines) arm(l *lapse, of lapser, at time.Duration) {
	d.mu.Lock()
	first := false
	if l.index < 0 {
		l.at, l.of = at, of
		heap.Push(&d.lapses, l)
		first = l.index == 0
	}
	d.mu.Unlock()
	if first {
		d.wake()
	}
}

// disarm takes a holder out.
func (d *deadlines) disarm(l *lapse) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.index >= 0 {
		heap.Remove(&d.lapses, l.index)
	}
}

// pop gives a holder of whom a lock has ended, or nil.
func (d *deadlines) pop(elapsed time.Duration) *lapse {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.lapses) == 0 || d.lapses[0].at > elapsed {
		return nil
	}
	return heap.Pop(&d.lapses).(*lapse) // the heap holds nothing else
}

// note hears when something that was just stored expires. It reports true if that was
// looked for already: whoever stored it must see to it himself.
func (d *deadlines) note(due uint64) bool {
	d.mu.Lock()
	earlier := due < d.due
	if due <= d.passed {
		d.mu.Unlock()
		return true
	}
	if earlier {
		d.due = due
	}
	d.mu.Unlock()
	if earlier {
		d.wake()
	}
	return false
}

// rescan makes the next look, which is at the given time if no other is before, begin at
// the first key: something that had expired may have been left.
func (d *deadlines) rescan(at uint64) {
	d.mu.Lock()
	d.from, d.due = "", min(d.due, at)
	d.mu.Unlock()
	d.wake()
}

// look begins a look for what has expired at now: it gives where to begin, and until it
// ends every note counts.
func (d *deadlines) look(now uint64) (from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	from = d.from
	d.passed, d.from, d.due = max(d.passed, now), dueBehind(now), never
	return from
}

// looked ends a look: at next something expires. After one that failed, all is looked at
// again then.
func (d *deadlines) looked(next uint64, failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = min(d.due, next)
	if failed {
		d.from = ""
	}
}

// next gives the times of what comes next.
func (d *deadlines) next() (due uint64, lapse time.Duration, locked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.lapses) > 0 {
		return d.due, d.lapses[0].at, true
	}
	return d.due, 0, false
}

// watch is the goroutine of the deadlines.
func (q *Queues) watch() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		elapsed := q.clock.elapsed()
		for l := q.deadlines.pop(elapsed); l != nil; l = q.deadlines.pop(elapsed) {
			if next, more := l.of.lapsed(elapsed); more {
				q.deadlines.arm(l, l.of, next)
			}
		}
		_, hub := q.clock.now()
		due, lapse, locked := q.deadlines.next()
		pause := maxPause
		if due <= hub {
			q.expire(hub)
			pause = expireEvery
		} else if due-hub < uint64(pause.Milliseconds()) {
			pause = max(time.Duration(due-hub)*time.Millisecond, expireEvery)
		}
		if locked {
			pause = min(pause, max(lapse-elapsed, 0))
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-q.deadlines.nudge:
		case <-q.quit:
			return
		}
	}
}

// expire removes what has expired at now, page by page, and finds out when to look next.
func (q *Queues) expire(now uint64) {
	ctx := context.Background()
	from := q.deadlines.look(now)
	for {
		var keys []string
		next := never
		last := from
		err := q.records.ScanIndex(ctx, dueIndex, from, func(index, key string) bool {
			due, ok := dueOf(index)
			if ok && due > now {
				next = due
				return false
			}
			last = index
			if ok {
				keys = append(keys, key)
			}
			return len(keys) < expirePage
		})
		if err == nil {
			err = q.sweep(keys)
		}
		if err != nil {
			q.log.Error("messages that have expired could not be removed; trying again",
				slog.String("op", "c2d.expire"), slog.Any("err", err))
			q.deadlines.looked(now+uint64(retryEvery.Milliseconds()), true)
			return
		}
		if len(keys) < expirePage {
			q.deadlines.looked(next, false)
			return
		}
		select {
		case <-q.quit:
			return
		default:
		}
		from = last
	}
}

// sweep asks every holder of the keys to remove what has expired, all at once so that
// they share flushes.
func (q *Queues) sweep(keys []string) error {
	done := make(chan result, len(keys))
	asked := 0
	var failure error
	notices := map[string][]uint64{}
	for _, key := range keys {
		if kind, sequence, ok := noticeOf(key); ok {
			notices[kind] = append(notices[kind], sequence)
			continue
		}
		id, ok := identityOf(key)
		if !ok {
			continue
		}
		sh := q.shard(id)
		p := sh.join(q, id)
		err := p.ask(&request{kind: toSweep, done: done})
		sh.leave(p)
		if err != nil {
			failure = err
			break
		}
		asked++
	}
	for range asked {
		if res := <-done; res.err != nil {
			failure = res.err
		}
	}
	for _, box := range []*outbox{q.feedback, q.files} {
		if err := box.expire(notices[box.kind]); err != nil {
			failure = err
		}
	}
	return failure
}

var (
	_ heap.Interface = (*lapses)(nil)
	_ lapser         = (*place)(nil)
)
