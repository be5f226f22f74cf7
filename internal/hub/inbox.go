package hub

import (
	"slices"

	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// listen begins or ends the delivery of messages, as the subscriptions say. It is called
// by whoever resumes the session, then by its one worker.
func (s *session) listen(subs []device.Subscription) {
	wanted := slices.ContainsFunc(subs, func(sub device.Subscription) bool { return sub.To.Messages() })
	s.mu.Lock()
	inbox := s.inbox
	if !wanted {
		s.inbox = nil
	}
	s.mu.Unlock()
	switch {
	case !wanted && inbox != nil:
		inbox.Close()
	case wanted && inbox == nil:
		inbox = s.hub.queues.Consume(s.party.Identity, s.party.Proof.Stamp.Generation, s.seat.Epoch(),
			c2d.Hooks{Wake: s.wake, Settled: s.settled})
		s.mu.Lock()
		fenced := s.fenced
		if !fenced {
			s.inbox = inbox
		}
		s.mu.Unlock()
		if fenced {
			inbox.Close()
		} else {
			s.wake() // what became ready before the inbox was there
		}
	}
}

// deafen ends the delivery of messages for good, and says of how many the locks were
// released.
func (s *session) deafen() int {
	s.mu.Lock()
	inbox := s.inbox
	s.inbox, s.fenced = nil, true
	s.mu.Unlock()
	if inbox == nil {
		return 0
	}
	return inbox.Close()
}

// settle starts a settlement.
func (s *session) settle(tag uint64, what device.Settle) error {
	s.mu.Lock()
	if e := s.ended.Load(); e != nil {
		s.mu.Unlock()
		return e.err
	}
	if s.settling+len(s.results) >= maxSettling {
		s.mu.Unlock()
		return fault.New(fault.ThrottleBacklogLimitExceeded, "hub.settle", "%d settlements are under way already", maxSettling)
	}
	s.settling++
	inbox := s.inbox
	s.mu.Unlock()
	if inbox == nil {
		s.settled(tag, fault.New(fault.DeviceMessageLockLost, "hub.settle", "the lock of the message has ended"))
		return nil
	}
	inbox.Settle(tag, what.Lock, what.Outcome)
	return nil
}

// settled hands over the result of a settlement.
func (s *session) settled(tag uint64, err error) {
	s.mu.Lock()
	s.settling--
	s.results = append(s.results, device.Delivery{Tag: tag, Err: err})
	s.mu.Unlock()
	s.wake()
}
