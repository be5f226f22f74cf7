package presence

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// session is what is kept of an identity between connections. The epoch is that of
// the seat that wrote it: a write below it is refused.
type session struct {
	epoch   store.Epoch
	subs    []device.Subscription
	damaged bool // the record cannot be read; the next write heals it
}

// The session record, version 1:
//
//	version    1 byte, 1
//	generation uvarint, of the epoch
//	counter    uvarint, of the epoch
//	count      uvarint, then as many subscriptions:
//	  stream   1 byte, see device.Stream
//	  qos      1 byte, 0 or 1
//	  length   uvarint, at most 65535
//	  filter   as many bytes, the topic filter as sent
const sessionVersion = 1

// encode gives the record's bytes.
func (se *session) encode() []byte {
	b := append(make([]byte, 0, 64), sessionVersion)
	b = appendEpoch(b, se.epoch)
	b = binary.AppendUvarint(b, uint64(len(se.subs)))
	for _, sub := range se.subs {
		b = append(b, byte(sub.To), sub.QoS)
		b = store.AppendText(b, sub.Filter)
	}
	return b
}

// decodeSession reads a session record; a newer version is store.ErrFormat.
func decodeSession(b []byte) (session, error) {
	d := store.NewDecoder(b)
	if v := d.Byte(); v > sessionVersion {
		return session{}, fmt.Errorf("session record of version %d: %w", v, store.ErrFormat)
	} else if v != sessionVersion {
		d.Fail()
	}
	se := session{epoch: epochOf(&d)}
	n := d.AtMost(maxSubscriptions)
	for i := uint64(0); i < n && d.Ok(); i++ {
		sub := device.Subscription{To: device.Stream(d.Byte()), QoS: d.Byte()}
		filter := d.Bytes()
		if len(filter) > maxFilter || sub.QoS > 1 {
			d.Fail()
		}
		sub.Filter = string(filter)
		se.subs = append(se.subs, sub)
	}
	if !d.Done() {
		return session{}, fmt.Errorf("session: %w", errRecord)
	}
	return se, nil
}

// Subscriptions gives what is kept of the identity's session; present is false if
// there is none. A write of a session that was fenced before the call is either in the
// answer or never happens. Errors are fault.Error.
func (p *Presence) Subscriptions(ctx context.Context, id iot.Identity) (subs []device.Subscription, present bool, err error) {
	sh := p.shard(id.Device)
	pl := sh.join(id)
	defer sh.leave(pl)
	if err := pl.keep.take(ctx); err != nil {
		return nil, false, fault.Wrap(err, fault.ServerError, "presence.subscriptions", "interrupted")
	}
	defer pl.keep.give()
	se, rev, err := p.session(ctx, id)
	if err != nil {
		return nil, false, fault.Wrap(err, fault.ServerError, "presence.subscriptions", "the kept session could not be read")
	}
	return se.subs, rev != store.Absent, nil
}

// session reads the record of an identity; without one the revision is Absent.
func (p *Presence) session(ctx context.Context, id iot.Identity) (session, store.Rev, error) {
	rec, err := p.records.Get(ctx, sessionKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return session{}, store.Absent, nil
	}
	if err != nil {
		return session{}, store.Absent, err
	}
	se, err := decodeSession(rec.Value)
	se.damaged = err != nil
	return se, rec.Rev, err
}

// StoreSubscriptions makes subs what is kept of the seat's identity, on stable storage
// when it returns; nothing is written if it is kept already. Errors are fault.Error:
// the seat's own end if it was fenced or released, InvalidOperation for more
// subscriptions than a record holds, ServiceUnavailable while the store is full,
// ServerError of the store.
func (p *Presence) StoreSubscriptions(ctx context.Context, s *Seat, subs []device.Subscription) error {
	if len(subs) > maxSubscriptions {
		return fault.New(fault.InvalidOperation, "presence.subscribe", "an identity keeps at most %d subscriptions", maxSubscriptions)
	}
	for _, sub := range subs {
		if len(sub.Filter) > maxFilter || sub.QoS > 1 {
			return fault.New(fault.InvalidOperation, "presence.subscribe", "a filter has at most %d bytes and quality 0 or 1", maxFilter)
		}
	}
	next := session{epoch: s.epoch, subs: subs}
	return p.change(ctx, s, func(old session, rev store.Rev) (store.Write, bool) {
		if rev != store.Absent && !old.damaged && slices.Equal(old.subs, subs) {
			return store.Write{}, false
		}
		return store.Write{Value: next.encode()}, true
	})
}

// DropSession removes what is kept of the seat's identity, on stable storage when it
// returns; nothing is written if there is nothing (MQTT-3.1.2-6). Errors as
// StoreSubscriptions.
func (p *Presence) DropSession(ctx context.Context, s *Seat) error {
	return p.change(ctx, s, func(_ session, rev store.Rev) (store.Write, bool) {
		return store.Write{Delete: true}, rev != store.Absent
	})
}

// change writes the session record of the seat's identity, unless the seat has ended
// or a greater epoch has written. to gives the write, or says that there is none.
func (p *Presence) change(ctx context.Context, s *Seat, to func(session, store.Rev) (store.Write, bool)) error {
	id := s.party.Identity
	pl := s.shard.join(id)
	defer s.shard.leave(pl)
	if err := pl.keep.take(ctx); err != nil {
		return fault.Wrap(err, fault.ServerError, "presence.subscribe", "interrupted")
	}
	defer pl.keep.give()
	for range maxAttempts {
		old, rev, err := p.session(ctx, id)
		if err != nil && !errors.Is(err, errRecord) {
			return fault.Wrap(err, fault.ServerError, "presence.subscribe", "the kept session could not be read")
		}
		if err := s.mayWrite(old.epoch); err != nil {
			return err
		}
		w, wanted := to(old, rev)
		if !wanted {
			return nil
		}
		w.Key, w.If = sessionKey(id), rev
		_, err = p.records.Apply(ctx, store.Batch{Writes: []store.Write{w}})
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return store.Fault(err, "presence.subscribe", "the session could not be kept")
		}
	}
	return fault.New(fault.ServerError, "presence.subscribe", "the session was changed by others %d times in a row", maxAttempts)
}

// mayWrite refuses a seat that has ended, or whose epoch is below the record's.
func (s *Seat) mayWrite(record store.Epoch) error {
	if why := s.why.Load(); why != nil {
		code, reason := why.code, why.reason
		if why.ending != nil {
			code, reason = why.ending.Code, "the session has ended"
		}
		if code == 0 {
			code = fault.ClientClosedRequest
		}
		return fault.New(code, "presence.subscribe", "%s", reason)
	}
	if s.epoch.Less(record) {
		return fault.New(conflictCode(s.transport), "presence.subscribe", takenOver)
	}
	return nil
}
