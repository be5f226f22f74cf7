package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// fakeDiagnosis knows the explanations and stories it is given.
type fakeDiagnosis struct {
	mu           sync.Mutex
	explanations map[iot.Identity]iot.Explanation
	asOf         time.Time // of the last question
	stories      []iot.ConflictSummary
	connections  []iot.ConnectionEvent
	grown        chan struct{}
	broken       bool
}

func newFakeDiagnosis() *fakeDiagnosis {
	return &fakeDiagnosis{explanations: map[iot.Identity]iot.Explanation{}, grown: make(chan struct{})}
}

// change changes what it knows and wakes the followers.
func (d *fakeDiagnosis) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	close(d.grown)
	d.grown = make(chan struct{})
}

func (d *fakeDiagnosis) Explain(_ context.Context, id iot.Identity, at time.Time) (iot.Explanation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asOf = at
	if d.broken {
		return iot.Explanation{}, fault.New(fault.ServerError, "fake", "what is stored of it cannot be read")
	}
	if e, ok := d.explanations[id]; ok {
		return e, nil
	}
	return iot.NoConflict(id, noon), nil
}

func (d *fakeDiagnosis) Conflicts(_ context.Context, q iot.ConflictQuery) ([]iot.ConflictSummary, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []iot.ConflictSummary
	for _, s := range d.stories {
		if (q.Verdict == "" || s.Verdict == q.Verdict) && !s.Last.Before(q.Since) && (q.Limit == 0 || len(list) < q.Limit) {
			list = append(list, s)
		}
	}
	if q.Order == iot.ConflictWorst {
		slices.SortFunc(list, func(a, b iot.ConflictSummary) int {
			return slices.Index(iot.Verdicts(), a.Verdict) - slices.Index(iot.Verdicts(), b.Verdict)
		})
	}
	return list, nil
}

func (d *fakeDiagnosis) FollowConflicts(ctx context.Context, q iot.ConflictQuery, give func(iot.ConflictSummary) error) error {
	return fakeFollow(ctx, d, func() []iot.ConflictSummary { return d.stories }, func(s iot.ConflictSummary) error {
		if q.Verdict != "" && s.Verdict != q.Verdict {
			return nil
		}
		return give(s)
	})
}

func (d *fakeDiagnosis) FollowConnections(ctx context.Context, q iot.ConnectionQuery, give func(iot.ConnectionEvent) error) error {
	return fakeFollow(ctx, d, func() []iot.ConnectionEvent { return d.connections }, func(e iot.ConnectionEvent) error {
		if e.Lost == 0 && !q.Matches(e.Identity()) {
			return nil
		}
		return give(e)
	})
}

// fakeFollow gives what there is and what comes.
func fakeFollow[T any](ctx context.Context, d *fakeDiagnosis, all func() []T, give func(T) error) error {
	for at := 0; ; {
		d.mu.Lock()
		more, grown, broken := slices.Clone(all()[at:]), d.grown, d.broken
		d.mu.Unlock()
		at += len(more)
		for _, v := range more {
			if err := give(v); err != nil {
				return err
			}
		}
		if broken {
			return fault.New(fault.ThrottlingException, "fake", "too many follow")
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
