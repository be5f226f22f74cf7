package hub

import (
	"context"
	"slices"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// tagKeep marks the operation that the session itself starts; its result is
// nobody's.
const tagKeep = ^uint64(0)

// Do starts an operation. Operations of one session are performed in order, off the
// transport's owner; settlements wait for no other operation. See device.Session.
func (s *session) Do(op device.Op) error {
	if what, ok := op.What.(device.Settle); ok {
		return s.settle(op.Tag, what)
	}
	if _, ok := op.What.(device.TwinReport); ok {
		op.What = device.TwinReport{} // the patch is borrowed, and its answer does not need it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.ended.Load(); e != nil {
		return e.err
	}
	if len(s.queue) >= maxOps {
		return fault.New(fault.ThrottleBacklogLimitExceeded, "hub.do", "%d operations are waiting already", maxOps)
	}
	s.queue = append(s.queue, op)
	if !s.running {
		s.running = true
		s.hub.ops.Go(s.work)
	}
	return nil
}

// work performs the queue until it is empty.
func (s *session) work() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.queue, s.running = nil, false
			s.mu.Unlock()
			return
		}
		op := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		err := s.perform(op.What)
		if op.Tag == tagKeep {
			if err != nil && s.ended.Load() == nil {
				s.hub.log.Warn("a session could not be kept", attrs(s, err)...)
			}
			continue
		}
		s.mu.Lock()
		s.results = append(s.results, device.Delivery{Tag: op.Tag, Err: err})
		s.mu.Unlock()
		s.wake()
	}
}

func (s *session) perform(what device.Operation) error {
	switch what := what.(type) {
	case device.Subscribe:
		return s.keep(merge(s.subscriptions(), what.Subs))
	case device.Unsubscribe:
		return s.keep(slices.DeleteFunc(s.subscriptions(), func(sub device.Subscription) bool {
			return slices.Contains(what.Filters, sub.Filter)
		}))
	case device.Renew:
		return s.renew(what.Credential)
	case device.Settle: // Do has done it
	case device.TwinRead, device.TwinReport:
		return fault.New(fault.GenericNotImplemented, "hub.twin", "this version of the hub keeps no twin properties")
	}
	return fault.New(fault.InvalidOperation, "hub.do", "unknown operation")
}

// renew lets the session live as long as another credential is good.
func (s *session) renew(cred device.Credential) error {
	proof, err := s.hub.keys.Authenticate(context.Background(), s.party.Identity, s.host, cred)
	if err != nil {
		return err
	}
	s.renewed.Store(&proof)
	s.seat.Renew(proof.Expires)
	return nil
}

// subscriptions gives a copy of the session's subscriptions.
func (s *session) subscriptions() []device.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.subs)
}

// keep makes subs the session's subscriptions: on stable storage first, unless the
// session is clean and dies with its connection (MQTT-3.1.2-6).
func (s *session) keep(subs []device.Subscription) error {
	if len(subs) > maxSubscriptions {
		return fault.New(fault.InvalidOperation, "hub.subscribe", "an identity keeps at most %d subscriptions", maxSubscriptions)
	}
	if !s.party.Clean {
		if err := s.hub.presence.StoreSubscriptions(context.Background(), s.seat, subs); err != nil {
			if ended := s.Err(); ended != nil {
				return ended
			}
			return fault.Wrap(err, fault.Of(err), "hub.subscribe", "the subscription could not be stored; try again")
		}
	}
	s.mu.Lock()
	s.subs = subs
	s.mu.Unlock()
	s.listen(subs)
	return nil
}

// merge adds subscriptions; one of the same filter replaces the earlier
// (MQTT-3.8.4-3).
func merge(have, more []device.Subscription) []device.Subscription {
	for _, m := range more {
		i := slices.IndexFunc(have, func(h device.Subscription) bool { return h.Filter == m.Filter && h.To == m.To })
		if i < 0 {
			have = append(have, m)
		} else {
			have[i] = m
		}
	}
	return have
}

// Take gives the results of finished operations, then messages. See device.Session.
func (s *session) Take(dst []device.Delivery, room device.Room) []device.Delivery {
	s.mu.Lock()
	n := copy(dst, s.results)
	if s.results = s.results[n:]; len(s.results) == 0 {
		s.results = nil
	}
	inbox := s.inbox
	s.mu.Unlock()
	if inbox != nil {
		n += inbox.Take(dst[n:], room)
	}
	return dst[:n]
}
