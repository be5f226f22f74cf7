package hub

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/presence"
	"github.com/berth-iot/berth/internal/telemetry"
)

// session is one authenticated identity on one connection.
type session struct {
	// fixed

	hub    *Hub
	party  device.Party // Epoch is set by the claim, before anybody else can see it
	writer *telemetry.Writer
	seat   *presence.Seat
	wake   func()
	will   *iot.Raw // nil if none
	host   string   // as the client wrote it

	// owned by the transport's owner

	present bool
	resumed []device.Subscription

	// shared

	once  sync.Once
	ended atomic.Pointer[end] // set once, after the fence has fallen
	after atomic.Bool         // the afterlife was told
	// renewed is the proof in force where another has taken the place of the party's; else nil.
	renewed atomic.Pointer[device.Proof]

	// guarded by mu

	mu       sync.Mutex
	subs     []device.Subscription // as stored, or as they will be when the queue has run
	queue    []device.Op
	running  bool // a goroutine is working the queue
	results  []device.Delivery
	inbox    *c2d.Consumer // nil: not subscribed to messages
	settling int           // settlements without a result yet
	fenced   bool          // there will be no inbox any more
}

// end is how a session ended.
type end struct {
	err    error
	ending device.Ending
}

var (
	_ device.Session  = (*session)(nil)
	_ presence.Holder = (*session)(nil)
)

func newSession(h *Hub, hello device.Hello, proof device.Proof, wake func()) *session {
	s := &session{
		hub: h,
		party: device.Party{
			Identity: hello.Identity, Opened: h.now(), Clean: hello.Clean,
			Client: hello.Client, Proof: proof, Conn: hello.Conn,
		},
		wake: wake, host: hello.Host,
	}
	if hello.Will != nil {
		w := *hello.Will
		w.Flags |= iot.RawWill
		w.Props, w.Body = append([]byte(nil), w.Props...), append([]byte(nil), w.Body...)
		s.will = &w
	}
	s.writer = h.telemetry.Writer(proof.Stamp, wake)
	return s
}

// resume reads, or for a clean session drops, what is kept of the identity's
// session. It runs after the claim, so no earlier holder can still change it.
func (s *session) resume(ctx context.Context) error {
	if s.party.Clean {
		if err := s.hub.presence.DropSession(ctx, s.seat); err != nil {
			return fault.Wrap(err, fault.Of(err), "hub.resume", "the kept session could not be dropped; try again")
		}
		return nil
	}
	subs, present, err := s.hub.presence.Subscriptions(ctx, s.party.Identity)
	if err != nil {
		return fault.Wrap(err, fault.Of(err), "hub.resume", "the kept session could not be read; try again")
	}
	s.resumed, s.present = subs, present
	s.mu.Lock()
	s.subs = append([]device.Subscription(nil), subs...)
	s.mu.Unlock()
	s.listen(subs) //nolint:contextcheck // what it starts outlives the connect
	if !present {
		// From now on there is a session to come back to. The CONNACK need not wait: a
		// session without subscriptions that a crash forgets is one nobody misses.
		return s.Do(device.Op{Tag: tagKeep, What: device.Subscribe{}}) //nolint:contextcheck // the same
	}
	return nil
}

// Resumed gives the subscriptions kept for the identity. See device.Session.
func (s *session) Resumed() ([]device.Subscription, bool) { return s.resumed, s.present }

// Append adds messages to the log. See device.Session.
func (s *session) Append(ms []iot.Raw) (int, error) {
	n, err := s.writer.Append(ms)
	if err != nil {
		if ended := s.Err(); ended != nil {
			return n, ended
		}
	}
	return n, err
}

// Durable counts this session's messages on stable storage. See device.Session.
func (s *session) Durable() uint64 { return s.writer.Durable() }

// Err says why the session ended, nil while it lives. See device.Session.
func (s *session) Err() error {
	if e := s.ended.Load(); e != nil {
		return e.err
	}
	if err := s.writer.Err(); err != nil {
		return err
	}
	return nil
}

// Fence ends the session on behalf of presence. See presence.Holder.
func (s *session) Fence(code fault.Code, reason string, by *device.Party) device.Ending {
	e := s.finish(code, reason, by, false)
	return e.ending
}

// Close ends the session on behalf of the transport. See device.Session.
func (s *session) Close(why device.Goodbye) {
	code, reason := goodbyeCode(why)
	if why.Kind == device.GoodbyeEnded {
		if err := s.Err(); err != nil {
			code, reason = fault.Of(err), fault.Detail(err)
		}
	}
	e := s.finish(code, reason, nil, why.Kind == device.GoodbyeClean)
	s.seat.Release(e.ending)
}

// Afterlife passes on what was seen of a displaced connection. See device.Session.
func (s *session) Afterlife(a device.Afterlife) {
	e := s.ended.Load()
	displaced := e != nil && e.ending.By != nil
	if displaced && s.hub.afterlives != nil && !s.after.Swap(true) {
		s.hub.afterlives.Afterlife(s.party.Identity, s.party.Epoch, a)
	}
}

// endWith ends a session that could not be handed to its transport.
func (s *session) endWith(code fault.Code, reason string) {
	e := s.finish(code, reason, nil, false)
	s.seat.Release(e.ending)
}

// finish ends the session once: whoever comes first says why, and whoever comes
// second waits until the fence has fallen. Afterwards nothing that the session does
// has effect; its will, unless the goodbye was clean, is the last message it
// appended.
func (s *session) finish(code fault.Code, reason string, by *device.Party, clean bool) *end {
	s.once.Do(func() {
		will := s.will
		if clean { // MQTT-3.14.4-3: a clean goodbye discards the will
			will = nil
		}
		s.writer.Fence(will)
		e := &end{ending: device.Ending{
			Party: s.now(), At: s.hub.now(), Code: code, Reason: reason, By: by, Will: will != nil,
			Released: uint64(s.deafen()),
		}}
		if by != nil && s.party.Conn.Kernel != nil {
			e.ending.TCP = s.party.Conn.Kernel()
		}
		appended, durable := s.writer.Appended(), s.writer.Durable()
		if will != nil && appended > 0 {
			appended-- // nobody waits for the will's acknowledgement
		}
		if appended > durable {
			e.ending.Unacked = appended - durable
		}
		e.err = fault.New(code, "hub.session", "%s", reason)
		if code == 0 {
			e.err = fault.New(fault.ClientClosedRequest, "hub.session", "the client said goodbye")
		}
		s.ended.Store(e)
	})
	s.wake()
	return s.ended.Load()
}

// now is the party with the proof that is in force.
func (s *session) now() device.Party {
	party := s.party
	if proof := s.renewed.Load(); proof != nil {
		party.Proof = *proof
	}
	return party
}

// goodbyeCode gives the resource log's code and sentence for what a transport saw.
func goodbyeCode(why device.Goodbye) (fault.Code, string) {
	switch why.Kind {
	case device.GoodbyeClean:
		return 0, why.Detail
	case device.GoodbyeLost:
		return fault.DeviceConnectionClosedRemotely, orElse(why.Detail, "the peer closed the connection without a goodbye")
	case device.GoodbyeIdle:
		return fault.DeviceConnectionClosedRemotely, orElse(why.Detail, "nothing was heard for one and a half times the keep-alive")
	case device.GoodbyeProtocol:
		return fault.GenericBadRequest, orElse(why.Detail, "the client broke the protocol")
	case device.GoodbyeShutdown:
		return fault.ConnectionForcefullyClosed, orElse(why.Detail, "the hub is stopping")
	case device.GoodbyeExpired:
		return fault.IotHubUnauthorized, orElse(why.Detail, "the shared access token expired")
	case device.GoodbyeEnded:
	}
	return fault.ServerError, orElse(why.Detail, "the session ended")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
