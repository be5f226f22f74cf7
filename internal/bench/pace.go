package bench

import (
	"context"
	"time"
)

// pace spreads operations evenly over time, whatever each takes: one that is late does
// not delay those behind it. The zero pace does not wait.
type pace struct {
	next  time.Time
	every time.Duration // 0: no waiting
}

// newPace is the pace of one of size workers that share rate operations a second. They
// begin one behind the other.
func newPace(rate float64, worker, size int) *pace {
	if rate <= 0 {
		return &pace{}
	}
	every := time.Duration(float64(size) / rate * float64(time.Second))
	return &pace{next: time.Now().Add(every * time.Duration(worker) / time.Duration(size)), every: every}
}

// wait returns when the next operation is due, with an error once ctx has ended.
func (p *pace) wait(ctx context.Context) error {
	if p.every > 0 {
		due := p.next
		p.next = due.Add(p.every)
		if err := wait(ctx, nil, nil, time.Until(due)); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
