package presence

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// note hands a state to be written behind; it replaces an earlier one of the
// identity. The shard is locked.
func (sh *shard) note(id iot.Identity, st *state) {
	if _, known := sh.pending[id]; !known && len(sh.pending) >= maxPending {
		sh.dropped++
		return
	}
	sh.pending[id] = st
}

// unnote takes back a state that is to be written behind. If it is being written just
// now, that is undone the next time. The shard is locked.
func (sh *shard) unnote(id iot.Identity) {
	if st := sh.pending[id]; st != nil && !st.gone {
		sh.pending[id] = &state{gone: true}
	}
}

// refresh hands the last activity of one shard's sessions to be written behind, if it
// has changed; turn chooses the shard. So every session's is written about every
// shards × flushEvery × sweepEvery, nine minutes, and for reads the live session
// knows better anyway.
func (p *Presence) refresh(turn int) {
	sh := p.shards[turn%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for id, pl := range sh.places {
		s := pl.seat.Load()
		if s == nil {
			continue
		}
		if last := s.lastActivity(); last > max(s.written, s.since.UnixNano()) {
			s.written = last
			sh.note(id, &state{connected: true, epoch: s.epoch, since: s.since.UnixNano(), active: last})
		}
	}
}

// flushBehind writes what is to be written behind and logs what goes wrong; what could
// not be written stays for the next time.
func (p *Presence) flushBehind() {
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	if err := p.flush(ctx); err != nil {
		p.log.Warn("connection states could not be written and are kept in memory",
			slog.String("op", "presence.flush"), slog.Any("err", err))
	}
}

// flush writes every state that is to be written behind.
func (p *Presence) flush(ctx context.Context) error {
	if err := p.writing.take(ctx); err != nil {
		return err
	}
	defer p.writing.give()
	b := batch{writes: make([]store.Write, 0, 16)}
	dropped := 0
	for _, sh := range p.shards {
		for range maxPending/maxBatch + 1 { // what comes meanwhile may wait for the next time
			if !sh.collect(&b) {
				break
			}
			if err := p.write(ctx, &b); err != nil {
				return err
			}
		}
		dropped += sh.forgive()
	}
	if dropped > 0 {
		p.log.Warn("connection states found no room to wait to be written", slog.Int("count", dropped))
	}
	return p.write(ctx, &b)
}

// batch is states on their way to the store.
type batch struct {
	writes []store.Write
	of     []written
}

// written remembers which state a write of a batch came from.
type written struct {
	shard *shard
	id    iot.Identity
	state *state
}

// collect adds a shard's pending states to the batch, and reports whether some found
// no room. They stay pending until they are written, so that a reader finds them.
func (sh *shard) collect(b *batch) (more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for id, st := range sh.pending {
		if len(b.writes) >= maxBatch {
			return true
		}
		w := store.Write{Key: stateKey(id), If: store.Any, Delete: st.gone}
		if !st.gone {
			w.Value = st.encode()
		}
		b.writes = append(b.writes, w)
		b.of = append(b.of, written{sh, id, st})
	}
	return false
}

// forgive gives the number of states that found no room, and forgets it.
func (sh *shard) forgive() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := sh.dropped
	sh.dropped = 0
	return n
}

// write applies the batch and empties it.
func (p *Presence) write(ctx context.Context, b *batch) error {
	if len(b.writes) == 0 {
		return nil
	}
	if _, err := p.records.Apply(ctx, store.Batch{Writes: b.writes}); err != nil {
		return err
	}
	for _, w := range b.of {
		w.shard.mu.Lock()
		if w.shard.pending[w.id] == w.state {
			delete(w.shard.pending, w.id)
		}
		w.shard.mu.Unlock()
	}
	b.writes, b.of = b.writes[:0], b.of[:0]
	return nil
}

// Presence gives what is known of an identity's connection: of the live session, or
// of the last one. After a crash an identity that was connected reads Disconnected
// since it was last heard of. Errors are fault.Error.
func (p *Presence) Presence(ctx context.Context, id iot.Identity) (iot.Presence, error) {
	sh := p.shard(id.Device)
	sh.mu.Lock()
	if pl := sh.places[id]; pl != nil {
		if s := pl.seat.Load(); s != nil {
			sh.mu.Unlock()
			return iot.Presence{Connected: true, Since: utc(s.since), LastActivity: unixNano(s.lastActivity())}, nil
		}
	}
	st := sh.pending[id]
	sh.mu.Unlock()
	if st != nil {
		return st.read(), nil
	}
	rec, err := p.records.Get(ctx, stateKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return iot.Presence{}, nil
	}
	if err == nil {
		var stored state
		if stored, err = decodeState(rec.Value); err == nil {
			return stored.read(), nil
		}
	}
	return iot.Presence{}, fault.Wrap(err, fault.ServerError, "presence.get", "the connection state could not be read")
}

// read gives the state as of an identity that has no live session.
func (st *state) read() iot.Presence {
	if st.gone {
		return iot.Presence{}
	}
	since := st.since
	if st.connected {
		since = st.active
	}
	return iot.Presence{Since: unixNano(since), LastActivity: unixNano(st.active)}
}

func utc(t time.Time) time.Time { return t.Round(0).UTC() }

// Kept names the records of an identity, for whoever deletes them with it.
func Kept(id iot.Identity) []string { return []string{stateKey(id), sessionKey(id)} }

// Forget sees to it that nothing is kept of a deleted identity. Its records went with it
// (Kept); what was on its way to the store at that moment is caught here. A device's
// modules are forgotten each by itself. Errors are fault.Error; what was not removed
// then stays.
func (p *Presence) Forget(ctx context.Context, id iot.Identity) error {
	sh := p.shard(id.Device)
	sh.mu.Lock()
	sh.unnote(id)
	pl := sh.joinLocked(id)
	sh.mu.Unlock()
	defer sh.leave(pl)
	if err := pl.keep.take(ctx); err != nil {
		return fault.Wrap(err, fault.ServerError, "presence.forget", "interrupted")
	}
	defer pl.keep.give()
	// A session that was being stored while the identity was deleted.
	_, err := p.records.Get(ctx, sessionKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	_, err = p.records.Apply(ctx, store.Batch{Writes: []store.Write{{Key: sessionKey(id), Delete: true, If: store.Any}}})
	if err != nil {
		return store.Fault(err, "presence.forget", "what is kept of the identity could not be removed")
	}
	return nil
}
