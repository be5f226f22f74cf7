package diagnosis

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/berth-iot/berth/internal/fault"
)

// feed gives what is published to all who follow it. Publishing never waits: a follower
// who is too slow is told how much he missed.
type feed[T any] struct {
	count atomic.Int32 // of followers

	mu sync.Mutex

	// guarded by mu

	followers map[*follower[T]]struct{}
	closed    bool
}

// follower is one who follows a feed.
type follower[T any] struct {
	// fixed

	wants func(*T) bool
	wake  chan struct{} // has one element while there is something to give
	ended chan struct{} // closed when the feed is

	mu sync.Mutex

	// guarded by mu

	waiting []T
	lost    uint64
}

func newFeed[T any]() *feed[T] { return &feed[T]{followers: map[*follower[T]]struct{}{}} }

// idle reports whether nobody follows.
func (f *feed[T]) idle() bool { return f.count.Load() == 0 }

// publish gives v to those who want it.
func (f *feed[T]) publish(v T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.followers {
		if s.wants(&v) {
			s.put(v)
		}
	}
}

// miss tells all followers that n values were lost before they came here.
func (f *feed[T]) miss(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.followers {
		s.mu.Lock()
		s.lost += n
		s.mu.Unlock()
		s.poke()
	}
}

// close ends all followers once they have got what waits.
func (f *feed[T]) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for s := range f.followers {
		close(s.ended)
	}
	clear(f.followers)
}

// put adds a value, or counts it as lost.
func (s *follower[T]) put(v T) {
	s.mu.Lock()
	if len(s.waiting) >= maxFollow || s.lost > 0 {
		s.lost++
	} else {
		s.waiting = append(s.waiting, v)
	}
	s.mu.Unlock()
	s.poke()
}

func (s *follower[T]) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *follower[T]) take() (waiting []T, lost uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, lost = s.waiting, s.lost
	s.waiting, s.lost = nil, 0
	return waiting, lost
}

// join adds a follower.
func (f *feed[T]) join(wants func(*T) bool) (*follower[T], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, fault.New(fault.ServiceUnavailable, "diagnosis.follow", "the hub is stopping")
	}
	if len(f.followers) >= maxFollowers {
		return nil, fault.New(fault.ThrottlingException, "diagnosis.follow", "%d followers are the most", maxFollowers)
	}
	s := &follower[T]{wants: wants, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	f.followers[s] = struct{}{}
	f.count.Add(1)
	return s, nil
}

func (f *feed[T]) leave(s *follower[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, s)
	f.count.Add(-1)
}

// following is what a follower asks for.
type following[T any] struct {
	wants func(*T) bool       // which values
	first func() ([]T, error) // what to give before those that are published from now on
	lost  func(n uint64) T    // what to give in place of n that were missed
	give  func(T) error
}

// follow gives what is there at first, and then what is published and wanted, in order,
// until the feed closes: nil, or ctx ends: its cause, or give's error. What is published
// while the first is gathered is not missed; it may come twice.
func (f *feed[T]) follow(ctx context.Context, what following[T]) error {
	s, err := f.join(what.wants)
	if err != nil {
		return err
	}
	defer f.leave(s)
	first, err := what.first()
	if err != nil {
		return err
	}
	if err := giveAll(ctx, first, what.give); err != nil {
		return err
	}
	for {
		last := false
		select {
		case <-s.wake:
		case <-s.ended:
			last = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		waiting, lost := s.take()
		if err := giveAll(ctx, waiting, what.give); err != nil {
			return err
		}
		if lost > 0 {
			if err := what.give(what.lost(lost)); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

func giveAll[T any](ctx context.Context, values []T, give func(T) error) error {
	for _, v := range values {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := give(v); err != nil {
			return err
		}
	}
	return nil
}
