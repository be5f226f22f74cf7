package hubtest

import (
	"context"
	"slices"
	"sync"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Session is a device.Session of a Core, with the test's side of it: Commit, Finish,
// End, Room and what was seen.
type Session struct {
	// fixed

	Hello   device.Hello
	core    *Core
	wake    func()
	resumed []device.Subscription
	present bool

	// guarded by core.mu

	subs []device.Subscription

	// guarded by mu

	mu       sync.Mutex
	messages []iot.Raw
	appended uint64
	durable  uint64
	room     int // messages that Append takes; negative for no bound
	ops      []device.Op
	results  []device.Delivery
	err      error
	bye      *device.Goodbye
	after    []device.Afterlife
	changed  chan struct{} // closed and replaced whenever something above changes
}

var _ device.Session = (*Session)(nil)

// Resumed implements device.Session.
func (s *Session) Resumed() ([]device.Subscription, bool) { return s.resumed, s.present }

// Append implements device.Session.
func (s *Session) Append(ms []iot.Raw) (int, error) {
	n, instant, err := s.append(ms)
	if instant && n > 0 {
		s.wake()
	}
	return n, err
}

func (s *Session) append(ms []iot.Raw) (n int, instant bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, false, s.err
	}
	for _, m := range ms {
		if s.room == 0 {
			break
		}
		if s.core.script.Reject != nil {
			if err = s.core.script.Reject(m); err != nil {
				break
			}
		}
		if s.room > 0 {
			s.room--
		}
		if !s.core.script.Forget {
			m.Props, m.Body = slices.Clone(m.Props), slices.Clone(m.Body)
			s.messages = append(s.messages, m)
		}
		n++
	}
	s.appended += uint64(n)
	if s.core.script.Instant {
		s.durable = s.appended
	}
	if !s.core.script.Forget {
		s.touch()
	}
	return n, s.core.script.Instant, err
}

// Durable implements device.Session.
func (s *Session) Durable() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// Do implements device.Session.
func (s *Session) Do(op device.Op) error {
	if s.core.script.Refuse != nil {
		if err := s.core.script.Refuse(op); err != nil {
			return err
		}
	}
	if report, ok := op.What.(device.TwinReport); ok {
		op.What = device.TwinReport{Patch: slices.Clone(report.Patch)}
	}
	s.mu.Lock()
	if err := s.err; err != nil {
		s.mu.Unlock()
		return err
	}
	s.ops = append(s.ops, op)
	s.touch()
	s.mu.Unlock()
	switch what := op.What.(type) {
	case device.Settle:
		if s.core.script.Answer == nil {
			s.Finish(op.Tag, s.core.settle(s, what))
			return nil
		}
	case device.TwinRead, device.TwinReport:
		if s.core.script.Answer == nil {
			s.Finish(op.Tag, fault.New(fault.GenericNotImplemented, "hubtest.twin", "twins are not implemented"))
			return nil
		}
	default:
	}
	if s.core.script.Answer != nil {
		s.Finish(op.Tag, s.core.script.Answer(op))
	}
	return nil
}

// Take implements device.Session.
func (s *Session) Take(dst []device.Delivery, room device.Room) []device.Delivery {
	s.mu.Lock()
	n := copy(dst, s.results)
	s.results = slices.Delete(s.results, 0, n)
	ended := s.err != nil
	s.mu.Unlock()
	if !ended && s.Listens() {
		n += s.core.take(s, dst[n:], room)
	}
	return dst[:n]
}

// Listens reports whether the session is subscribed to cloud-to-device messages.
func (s *Session) Listens() bool {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	return s.listens()
}

// listens is Listens; core.mu is held.
func (s *Session) listens() bool {
	return slices.ContainsFunc(s.subs, func(sub device.Subscription) bool { return sub.To.Messages() })
}

// Err implements device.Session.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close implements device.Session.
func (s *Session) Close(why device.Goodbye) {
	s.mu.Lock()
	if s.bye == nil {
		s.bye = &why
		if s.err == nil {
			s.err = fault.New(fault.DeviceConnectionClosedRemotely, "hubtest.close", "closed")
		}
		s.touch()
	}
	s.mu.Unlock()
	s.core.gone(s)
}

// Afterlife implements device.Session.
func (s *Session) Afterlife(a device.Afterlife) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = append(s.after, a)
	s.touch()
}

// Afterlives is what the transport saw of the peer after the session; more than one is a
// fault of the transport.
func (s *Session) Afterlives() []device.Afterlife {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.after)
}

// Commit makes n more messages durable, at most those appended, and wakes.
func (s *Session) Commit(n int) {
	s.mu.Lock()
	s.durable = min(s.durable+uint64(n), s.appended)
	s.mu.Unlock()
	s.wake()
}

// Room sets how many more messages Append takes, negative for no bound, and wakes.
func (s *Session) Room(n int) {
	s.mu.Lock()
	s.room = n
	s.mu.Unlock()
	s.wake()
}

// Finish ends the operation with this tag, and wakes. A subscription that succeeds is kept.
func (s *Session) Finish(tag uint64, err error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.ops, func(op device.Op) bool { return op.Tag == tag })
	var what device.Operation
	if i >= 0 {
		what = s.ops[i].What
	}
	s.mu.Unlock()
	if err == nil {
		switch what := what.(type) {
		case device.Subscribe:
			s.core.subscribe(s, what.Subs)
		case device.Unsubscribe:
			s.core.unsubscribe(s, what.Filters)
		case device.TwinRead, device.TwinReport, device.Settle, device.Renew, nil:
		}
	}
	s.mu.Lock()
	s.results = append(s.results, device.Delivery{Tag: tag, Err: err})
	s.mu.Unlock()
	s.wake()
}

// End ends the session from the hub's side, and wakes.
func (s *Session) End(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
		s.touch()
	}
	s.mu.Unlock()
	s.wake()
}

// Messages gives what was appended.
func (s *Session) Messages() []iot.Raw {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Appended counts what was appended.
func (s *Session) Appended() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appended
}

// Ops gives the operations started, oldest first.
func (s *Session) Ops() []device.Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ops)
}

// Goodbye is how the transport closed the session; false while it has not.
func (s *Session) Goodbye() (device.Goodbye, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bye == nil {
		return device.Goodbye{}, false
	}
	return *s.bye, true
}

// Await waits until done reports true, asking again after every change, or until ctx
// ends; it reports which.
func (s *Session) Await(ctx context.Context, done func() bool) bool {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// touch wakes Await; mu is held.
func (s *Session) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}
