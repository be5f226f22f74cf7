// Package hub is the core: it implements device.Core from the services, and is the
// one place where they meet.
//
// Its one invariant: a session that has been fenced has no effect. It refuses to
// know a transport: MQTT, AMQP and HTTPS look the same from here, but for the one
// table that says who claims an identity (claim.go).
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/presence"
	"github.com/berth-iot/berth/internal/registry"
	"github.com/berth-iot/berth/internal/telemetry"
)

// keys answers "is this credential good?".
type keys interface {
	Authenticate(ctx context.Context, id iot.Identity, host string, cred device.Credential) (device.Proof, error)
}

// refusals is told of connections that were not let in.
type refusals interface {
	Refused(hello device.Hello, err error, at time.Time)
}

// afterlives is told what was seen of displaced sessions: once each, at most five
// seconds after the displacement, under the loser's identity and epoch. A connection
// may hold sessions of many identities, and of one identity one after another.
type afterlives interface {
	Afterlife(id iot.Identity, epoch string, a device.Afterlife)
}

// Config is what a Hub is made of.
type Config struct {
	Keys       keys
	Presence   *presence.Presence
	Telemetry  *telemetry.Log
	Queues     *c2d.Queues
	Refusals   refusals
	Afterlives afterlives // nil: nobody wants to know
	Metrics    *Metrics
	Logger     *slog.Logger
	Now        func() time.Time
}

// Hub implements device.Core.
type Hub struct {
	// fixed

	keys       keys
	presence   *presence.Presence
	telemetry  *telemetry.Log
	queues     *c2d.Queues
	refusals   refusals
	afterlives afterlives // nil: nobody wants to know
	metrics    *Metrics
	log        *slog.Logger
	now        func() time.Time

	// shared

	changes atomic.Uint64  // raised whenever a credential stops being good
	ops     sync.WaitGroup // goroutines that perform operations
}

var _ device.Core = (*Hub)(nil)

// New makes a Hub. Its parts stay the caller's to close.
func New(cfg Config) (*Hub, error) {
	if cfg.Keys == nil || cfg.Presence == nil || cfg.Telemetry == nil || cfg.Queues == nil || cfg.Refusals == nil || cfg.Metrics == nil {
		return nil, fmt.Errorf("hub: Config needs Keys, Presence, Telemetry, Queues, Refusals and Metrics")
	}
	h := &Hub{
		keys: cfg.Keys, presence: cfg.Presence, telemetry: cfg.Telemetry, queues: cfg.Queues,
		refusals: cfg.Refusals, afterlives: cfg.Afterlives, metrics: cfg.Metrics, log: cfg.Logger, now: cfg.Now,
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now
	}
	return h, nil
}

// Close waits for the operations that sessions started. Sessions must have ended.
func (h *Hub) Close() { h.ops.Wait() }

// Open authenticates hello and claims the identity. See device.Core.
func (h *Hub) Open(ctx context.Context, hello device.Hello, wake func()) (device.Session, error) {
	s, err := h.open(ctx, hello, wake)
	if err != nil {
		h.metrics.refused(hello.Conn.Transport, fault.Of(err))
		h.refusals.Refused(hello, err, h.now())
		return nil, err
	}
	return s, nil
}

func (h *Hub) open(ctx context.Context, hello device.Hello, wake func()) (*session, error) {
	seen := h.changes.Load()
	proof, err := h.keys.Authenticate(ctx, hello.Identity, hello.Host, hello.Credential)
	if err != nil {
		return nil, err
	}
	proof.Stamp.ModelID = hello.Client.ModelID
	s := newSession(h, hello, proof, wake)
	seat, err := h.presence.Claim(ctx, &s.party, s, hello.Conn.Transport)
	if err != nil {
		if _, ok := errors.AsType[*fault.Error](err); ok {
			return nil, err // a newer claim was faster, or the hub is stopping
		}
		return nil, fault.Wrap(err, fault.ServerError, "hub.open", "the identity could not be claimed; try again")
	}
	s.seat = seat
	// A credential that stopped being good between the check and the claim found no
	// session to end; so it is checked again. Whoever changes one later finds this seat.
	if h.changes.Load() != seen {
		if _, err := h.keys.Authenticate(ctx, hello.Identity, hello.Host, hello.Credential); err != nil {
			s.endWith(fault.Of(err), fault.Detail(err)) //nolint:contextcheck // the end must be told, also when the client's context is over
			return nil, err
		}
	}
	if err := s.resume(ctx); err != nil {
		s.endWith(fault.Of(err), fault.Detail(err)) //nolint:contextcheck // the same
		return nil, err
	}
	if seat.Displaced() {
		runtime.Gosched() // the loser has been woken: let it go before its successor is answered
	}
	if err := s.Err(); err != nil { // a newcomer was faster than our own answer
		return nil, err
	}
	return s, nil
}

// Changed tells the hub that an identity's credential stopped being good: its live
// connection is closed, and the next one is judged anew. It is called after the
// change is durable.
func (h *Hub) Changed(id iot.Identity, change registry.Change) {
	h.changes.Add(1)
	code, reason := fault.IotHubUnauthorized, "the keys or thumbprints of the identity were changed"
	switch change {
	case registry.Disabled:
		code, reason = fault.DeviceDisabled, "the device was disabled"
	case registry.Deleted:
		code, reason = fault.DeviceNotFound, "the identity was deleted"
		if id.IsModule() {
			code = fault.ModuleNotFound
		}
	case registry.CredentialsChanged:
	}
	if change == registry.CredentialsChanged || id.IsModule() {
		h.presence.Revoke(id, code, reason)
	} else {
		h.presence.RevokeDevice(id.Device, code, reason)
	}
	if change == registry.Deleted {
		err := errors.Join(h.presence.Forget(context.Background(), id), h.queues.Forget(context.Background(), id))
		if err != nil {
			h.log.Error("what is kept of a deleted identity could not be removed",
				slog.String("device", id.Device), slog.String("module", id.Module), slog.Any("err", err))
		}
	}
}

// AuthorityRemoved ends the connections whose certificates that CA vouched for.
func (h *Hub) AuthorityRemoved(name string) {
	h.changes.Add(1)
	h.presence.RevokeWhere(func(p *device.Party) bool {
		return p.Proof.Authority == name
	}, fault.IotHubUnauthorized, fmt.Sprintf("the certificate authority %q was removed", name))
}

// Authenticate checks a credential for one HTTPS request; it never claims the
// identity.
func (h *Hub) Authenticate(ctx context.Context, id iot.Identity, host string, cred device.Credential) (device.Proof, error) {
	return h.keys.Authenticate(ctx, id, host, cred)
}

// Send appends one message on behalf of a proven identity and returns when it is on
// stable storage.
func (h *Hub) Send(ctx context.Context, stamp iot.Stamp, raw iot.Raw) error {
	_, _, err := h.telemetry.Append(ctx, stamp, raw)
	return err
}
