package presence

import (
	"context"
	"log/slog"

	"github.com/berth-iot/berth/internal/arbiter"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
)

// Claim gives party the right to speak for its identity: it grants an epoch, writes
// it to party.Epoch, fences whoever held the identity, tells the sink, and only then
// returns. h is fenced in its turn when the seat is taken over, revoked or expires,
// possibly before Claim has returned. The party is kept, and must not change any more.
//
// Errors are fault.Error: ConnectionForcefullyClosedOnNewConnection or
// LinkCreationConflict if an even newer connection was faster, ServiceUnavailable
// when the hub is stopping, ServerError when the store could not answer or ctx ended.
// After an error h has no seat and is never fenced.
func (p *Presence) Claim(ctx context.Context, party *device.Party, h Holder, transport device.Transport) (*Seat, error) {
	id := party.Identity
	sh := p.shard(id.Device)
	pl, err := p.enter(sh, party)
	if err != nil {
		return nil, err
	}
	defer p.claiming.Done()
	defer sh.leave(pl)
	if err := pl.turn.take(ctx); err != nil {
		return nil, fault.Wrap(err, fault.ServerError, "presence.claim", "the claim was given up before its turn came")
	}
	lasting := context.WithoutCancel(ctx) // what ends others is finished though the newcomer goes away
	defer p.settle(lasting, sh, pl)
	defer pl.turn.give()
	epoch, err := p.claims.Claim(ctx, id.String())
	if err != nil {
		return nil, fault.Wrap(err, fault.ServerError, "presence.claim", "the identity could not be claimed; try again")
	}
	party.Epoch = epoch.String()
	s := &Seat{
		presence: p, shard: sh, place: pl, epoch: epoch, party: party, holder: h, transport: transport, since: p.now(),
	}
	s.deadline.seat = s
	actions := pl.arbiter.Step(s.since, arbiter.Claim{Epoch: arbiterEpoch(epoch)})
	if !p.perform(sh, pl, s, actions) {
		return nil, fault.New(conflictCode(transport), "presence.claim", "a newer connection for the identity was faster")
	}
	if p.stopped.Load() {
		s.why.CompareAndSwap(nil, &end{cause: arbiter.Stopped, code: fault.ConnectionForcefullyClosed, reason: stopping})
	}
	return s, nil
}

// enter gives the place of a newcomer, unless the hub is stopping.
func (p *Presence) enter(sh *shard, party *device.Party) (*place, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return nil, fault.New(fault.ServiceUnavailable, "presence.claim", stopping)
	}
	p.claiming.Add(1)
	return sh.joinLocked(party.Identity), nil
}

// settle ends the holder if there is a reason to and nobody else is at work here;
// whoever is does it when his own work is done.
func (p *Presence) settle(ctx context.Context, sh *shard, pl *place) {
	for pl.ending() != nil && pl.turn.tryTake() {
		p.carryOut(ctx, sh, pl)
		pl.turn.give()
	}
}

// carryOut ends the holder if there is a reason to. The caller has the turn.
func (p *Presence) carryOut(ctx context.Context, sh *shard, pl *place) {
	s := pl.ending()
	if s == nil {
		return
	}
	why := s.why.Load()
	var ev arbiter.Event = arbiter.Revoke{Cause: why.cause}
	if why.ending != nil {
		ev = arbiter.Release{Epoch: arbiterEpoch(s.epoch)}
	}
	p.perform(sh, pl, nil, pl.arbiter.Step(p.now(), ev))
	// Without it the next claim is granted all the same: it is a courtesy to whoever asks
	// the store for the holder.
	if err := p.claims.Release(ctx, pl.id.String(), s.epoch); err != nil {
		p.log.Warn("a claim could not be released", slog.String("device", pl.id.Device),
			slog.String("module", pl.id.Module), slog.String("epoch", s.epoch.String()), slog.Any("err", err))
	}
}

// perform does what the arbiter says, in order, and reports whether the newcomer, if
// any, holds the identity. The caller has the turn.
func (p *Presence) perform(sh *shard, pl *place, newcomer *Seat, actions []arbiter.Action) (granted bool) {
	var gone *device.Ending
	for _, a := range actions {
		switch a := a.(type) {
		case arbiter.Fence:
			if holder := pl.seat.Load(); holder != nil && arbiterEpoch(holder.epoch) == a.Epoch {
				e := holder.fence(fenceReason(holder, newcomer))
				gone = &e
				if newcomer != nil {
					newcomer.displaced = true
				}
			}
		case arbiter.Grant:
			granted = true
			p.seat(sh, pl, newcomer)
		case arbiter.Announce:
			switch holder := pl.seat.Load(); {
			case holder == nil || arbiterEpoch(holder.epoch) != a.Epoch: // another node's
			case a.Online:
				p.sink.Connected(*holder.party)
			default:
				if gone == nil {
					gone = holder.why.Load().ending
				}
				p.unseat(sh, pl, holder, *gone)
			}
		case arbiter.Arm:
			// store.Claims grants no leases: nothing ever lapses by itself.
		}
	}
	return granted
}

// fenceReason gives the reason for which the arbiter fences holder: the one it has, or
// the newcomer.
func fenceReason(holder, newcomer *Seat) *end {
	if newcomer == nil {
		return holder.why.Load()
	}
	by := *newcomer.party // whoever keeps it does not keep the session
	return &end{cause: arbiter.TakenOver, code: conflictCode(holder.transport), reason: takenOver, by: &by}
}

// takenOver is what the log says of the loser.
const takenOver = "a new connection for the same identity took over"

// seat makes s the holder.
func (p *Presence) seat(sh *shard, pl *place, s *Seat) {
	sh.mu.Lock()
	pl.refs++ // its own, until unseat
	pl.seat.Store(s)
	s.deadline.start(p, sh)
	sh.note(pl.id, &state{connected: true, epoch: s.epoch, since: s.since.UnixNano(), active: s.since.UnixNano()})
	sh.mu.Unlock()
	p.connected.Add(1)
}

// unseat forgets the holder and tells the sink how it ended.
func (p *Presence) unseat(sh *shard, pl *place, s *Seat, e device.Ending) {
	at := e.At
	if at.IsZero() {
		at = p.now()
	}
	sh.mu.Lock()
	pl.seat.Store(nil)
	s.deadline.stop(sh)
	if s.deleted(e) {
		sh.note(pl.id, &state{gone: true}) // also what was written since the identity's records went
	} else {
		sh.note(pl.id, &state{epoch: s.epoch, since: at.UnixNano(), active: max(s.lastActivity(), at.UnixNano())})
	}
	sh.mu.Unlock()
	p.connected.Add(-1)
	p.sink.Ended(e)
	sh.leave(pl)
}

// deleted reports whether a seat ended because its identity was deleted, whoever noticed.
func (s *Seat) deleted(e device.Ending) bool {
	why := s.why.Load()
	return why != nil && why.cause == arbiter.Deleted || e.Code == fault.DeviceNotFound || e.Code == fault.ModuleNotFound
}

// conflictCode is what the log says of a loser on the given transport
// (connections 1.1: the code is the displaced side's).
func conflictCode(t device.Transport) fault.Code {
	if t == device.AMQP || t == device.AMQPWS {
		return fault.LinkCreationConflict
	}
	return fault.ConnectionForcefullyClosedOnNewConnection
}

func arbiterEpoch(e store.Epoch) arbiter.Epoch {
	return arbiter.Epoch{Generation: e.Generation, Counter: e.Counter}
}
