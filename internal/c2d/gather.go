package c2d

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// gatherer knows how many feedback records wait to be made a message of. They are in the
// store since the batch of the outcome that they tell; one goroutine (gather) makes
// messages of them, each in one batch, so none is told twice or not at all.
type gatherer struct {
	// fixed

	kick chan struct{} // capacity 1

	// owned by gather

	from string // behind this key there may be records

	// guarded by mu

	mu      sync.Mutex
	waiting int
	since   time.Duration // when the oldest of them came, on the monotonic clock
}

func newGatherer() *gatherer { return &gatherer{kick: make(chan struct{}, 1)} }

// note hears of records that were just stored.
func (g *gatherer) note(n int, elapsed time.Duration) {
	g.mu.Lock()
	if g.waiting == 0 {
		g.since = elapsed
	}
	before := g.waiting
	g.waiting += n
	wake := before == 0 || before < iot.MaxFeedbackRecords && g.waiting >= iot.MaxFeedbackRecords
	g.mu.Unlock()
	if wake {
		select {
		case g.kick <- struct{}{}:
		default:
		}
	}
}

// took hears that n records were made a message of; those that are left came later.
func (g *gatherer) took(n int, elapsed time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = max(g.waiting-n, 0)
	g.since = elapsed
}

// state gives how many records wait, and since when.
func (g *gatherer) state() (waiting int, since time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting, g.since
}

// gather is the goroutine that makes feedback messages: of what the last run left, then
// whenever 64 records wait, or one has waited long enough.
func (q *Queues) gather() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	leftover := true
	for {
		select {
		case <-timer.C:
		case <-q.gatherer.kick:
		case <-q.quit:
			return
		}
		pause, err := q.gatherDue(leftover)
		if err != nil {
			q.log.Error("feedback could not be made a message of; trying again", slog.String("op", "c2d.gather"), slog.Any("err", err))
			pause = retryEvery
		}
		leftover = leftover && err != nil
		timer.Reset(pause)
	}
}

// gatherDue makes the messages that are due, and says when the next may be.
func (q *Queues) gatherDue(leftover bool) (time.Duration, error) {
	waiting, since := q.gatherer.state()
	overdue := waiting > 0 && q.clock.elapsed() >= since+q.conf.FeedbackBatch
	if leftover || overdue || waiting >= iot.MaxFeedbackRecords {
		if err := q.gatherAll(leftover || overdue); err != nil {
			return 0, err
		}
		waiting, since = q.gatherer.state()
	}
	if waiting == 0 {
		return time.Hour, nil
	}
	return max(since+q.conf.FeedbackBatch-q.clock.elapsed(), 0), nil
}

// gatherAll makes messages of 64 records each, and with all of the rest too.
func (q *Queues) gatherAll(all bool) error {
	for {
		waiting, _ := q.gatherer.state()
		batch, records, err := q.gathered(all, waiting)
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			if err := q.publish(records, batch); err != nil {
				return err
			}
			q.gatherer.from = batch[len(batch)-1].Key
		}
		switch {
		case len(batch) == iot.MaxFeedbackRecords:
			q.gatherer.took(len(batch), q.clock.elapsed())
		case all: // whatever was counted has been seen, now or before it was counted
			q.gatherer.took(max(waiting, len(batch)), q.clock.elapsed())
			return nil
		default:
			return nil
		}
		select {
		case <-q.quit:
			return nil
		default:
		}
	}
}

// gathered finds the records of the next message, and the writes that remove them;
// without the latter there is nothing to do.
func (q *Queues) gathered(all bool, waiting int) (batch []store.Write, records []iot.FeedbackRecord, err error) {
	find := func() error {
		batch, records = nil, nil
		return q.records.Scan(context.Background(), feedbackKeys, q.gatherer.from, func(rec store.Record) bool {
			batch = append(batch, store.Write{Key: rec.Key, Delete: true, If: rec.Rev})
			r, err := decodeFeedback(rec.Value)
			if err != nil {
				q.log.Error("a feedback record cannot be read and is dropped", slog.String("op", "c2d.gather"), slog.Any("err", err))
				return len(batch) < iot.MaxFeedbackRecords
			}
			records = append(records, r)
			return len(batch) < iot.MaxFeedbackRecords
		})
	}
	if err := find(); err != nil {
		return nil, nil, err
	}
	// A record may have been stored before one that has a lesser key: then it is behind.
	if len(batch) < min(waiting, iot.MaxFeedbackRecords) || all && len(batch) == 0 {
		q.gatherer.from = ""
		if err := find(); err != nil {
			return nil, nil, err
		}
	}
	if !all && len(batch) < iot.MaxFeedbackRecords {
		return nil, nil, nil
	}
	return batch, records, nil
}

// publish writes one feedback message in place of the records it is made of.
func (q *Queues) publish(records []iot.FeedbackRecord, batch []store.Write) error {
	if len(records) == 0 { // none could be read
		_, err := q.records.Apply(context.Background(), store.Batch{Writes: batch})
		return err
	}
	body, err := json.Marshal(records)
	if err != nil {
		return err
	}
	wall, hub := q.clock.now()
	n := notice{
		enqueued: uint64(max(wall.UnixMilli(), 0)), due: hub + uint64(q.conf.FeedbackTTL.Milliseconds()), body: body,
	}
	if err := q.feedback.store(n, batch); err != nil {
		return err
	}
	q.conf.Observer.Gathered(len(records))
	return nil
}
