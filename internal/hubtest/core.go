package hubtest

import (
	"context"
	"slices"
	"sync"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Script says how a Core behaves. The zero Script admits everyone, has room for
// everything, and leaves commits and results to the test.
type Script struct {
	// Authorize decides over a newcomer before it displaces anybody; nil admits. It is
	// called without locks and may block until its context ends.
	Authorize func(context.Context, device.Hello) error
	// Instant makes every message durable, and wakes, within Append.
	Instant bool
	// Forget keeps counts of messages only, not their bytes.
	Forget bool
	// Answer gives the result of an operation within Do. Nil leaves it to Session.Finish,
	// except that then twin operations end with GenericNotImplemented, and settlements
	// are performed, at once.
	Answer func(device.Op) error
	// Refuse makes Do return its error; nil accepts.
	Refuse func(device.Op) error
	// Reject makes Append fail at the first message for which it returns an error.
	Reject func(iot.Raw) error
}

// Core is a device.Core in memory. A newcomer fences the earlier holder of its identity,
// subscriptions of sessions that are not clean are kept, and messages queued by Send wait
// for whoever subscribes.
type Core struct {
	// fixed

	script Script

	// guarded by mu

	mu       sync.Mutex
	live     map[iot.Identity]*Session
	kept     map[iot.Identity][]device.Subscription
	queues   map[iot.Identity][]*pending
	sent     uint64 // messages queued, ever
	locks    uint64 // locks given, ever
	sessions []*Session
	arrived  chan struct{} // closed and replaced with every session
}

var _ device.Core = (*Core)(nil)

// NewCore makes a core that follows script.
func NewCore(script Script) *Core {
	return &Core{
		script:  script,
		live:    make(map[iot.Identity]*Session),
		kept:    make(map[iot.Identity][]device.Subscription),
		queues:  make(map[iot.Identity][]*pending),
		arrived: make(chan struct{}),
	}
}

// Open implements device.Core.
func (c *Core) Open(ctx context.Context, hello device.Hello, wake func()) (device.Session, error) {
	if c.script.Authorize != nil {
		if err := c.script.Authorize(ctx, hello); err != nil {
			return nil, err
		}
	}
	s := &Session{Hello: hello, core: c, wake: wake, room: -1, changed: make(chan struct{})}
	c.mu.Lock()
	old := c.live[hello.Identity]
	c.live[hello.Identity] = s
	if hello.Clean {
		delete(c.kept, hello.Identity)
	}
	subs, present := c.kept[hello.Identity]
	s.resumed, s.present, s.subs = slices.Clone(subs), present, slices.Clone(subs)
	c.releaseLocked(old)
	if !hello.Clean && !present {
		c.kept[hello.Identity] = []device.Subscription{}
	}
	c.sessions = append(c.sessions, s)
	close(c.arrived)
	c.arrived = make(chan struct{})
	c.mu.Unlock()
	if old != nil {
		old.End(fault.New(fault.ConnectionForcefullyClosedOnNewConnection, "hubtest.open", "a new connection of the same identity"))
	}
	return s, nil
}

// Session waits for the nth session opened, counted from 0, or until ctx ends; then it
// gives nil.
func (c *Core) Session(ctx context.Context, n int) *Session {
	for {
		c.mu.Lock()
		arrived := c.arrived
		if n < len(c.sessions) {
			defer c.mu.Unlock()
			return c.sessions[n]
		}
		c.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil
		}
	}
}

// Opened is how many sessions were opened.
func (c *Core) Opened() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// subscribe keeps subscriptions, those of the same filter replaced.
func (c *Core) subscribe(s *Session, subs []device.Subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sub := range subs {
		s.subs = slices.DeleteFunc(s.subs, func(k device.Subscription) bool { return k.Filter == sub.Filter })
		s.subs = append(s.subs, sub)
	}
	c.keep(s)
}

func (c *Core) unsubscribe(s *Session, filters []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.subs = slices.DeleteFunc(s.subs, func(k device.Subscription) bool { return slices.Contains(filters, k.Filter) })
	if !s.listens() {
		c.releaseLocked(s)
	}
	c.keep(s)
}

// keep stores what s is subscribed to; mu is held.
func (c *Core) keep(s *Session) {
	if _, ok := c.kept[s.Hello.Identity]; ok {
		c.kept[s.Hello.Identity] = slices.Clone(s.subs)
	}
}

// gone forgets s if it still holds its identity.
func (c *Core) gone(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releaseLocked(s)
	if c.live[s.Hello.Identity] == s {
		delete(c.live, s.Hello.Identity)
	}
}
