package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// PutDevice creates a device, or replaces it whole, as m says: without a tag it
// creates (DeviceAlreadyExists), with one it updates (DeviceNotFound,
// PreconditionFailed). id is the one of the request's path. It gives the device as
// stored, with the keys that were made. Members that are read-only are ignored.
func (r *Registry) PutDevice(ctx context.Context, id string, d iot.Device, m iot.Match) (iot.Device, error) {
	const op = "registry.put_device"
	if d.DeviceID != "" && d.DeviceID != id {
		return iot.Device{}, fault.New(fault.ArgumentInvalid, op,
			"deviceId %s of the body is not the %s of the path", quote(d.DeviceID), quote(id))
	}
	rec, err := r.writeDevice(ctx, op, id, &d, putRule(m))
	if err != nil {
		return iot.Device{}, err
	}
	return r.deviceDocument(ctx, op, id, rec)
}

// GetDevice gives a device: DeviceNotFound if there is none.
func (r *Registry) GetDevice(ctx context.Context, id string) (iot.Device, error) {
	const op = "registry.get_device"
	dev := iot.Identity{Device: id}
	if err := checkIdentity(op, dev); err != nil {
		return iot.Device{}, err
	}
	rec, _, err := r.mustRead(ctx, op, dev)
	if err != nil {
		return iot.Device{}, err
	}
	return r.deviceDocument(ctx, op, id, rec)
}

// DeleteDevice removes a device and its modules at once: DeviceNotFound,
// PreconditionFailed. Without a tag it is unconditional.
func (r *Registry) DeleteDevice(ctx context.Context, id string, m iot.Match) error {
	const op = "registry.delete_device"
	dev := iot.Identity{Device: id}
	if err := checkIdentity(op, dev); err != nil {
		return err
	}
	var gone []iot.Identity
	err := r.attempt(ctx, op, func() error {
		rec, rev, err := r.mustRead(ctx, op, dev)
		if err != nil {
			return err
		}
		if !m.ForDelete().Holds(iot.IdentityETag(rec.etag)) {
			return mismatch(op, dev)
		}
		gone = gone[:0]
		if rec.modules > 0 {
			if gone, err = r.moduleIDs(ctx, id, gone); err != nil {
				return err
			}
		}
		b := store.Batch{
			Writes: []store.Write{{Key: key(dev), Delete: true, If: rev}},
			Deltas: deviceDeltas(rec, nil, -len(gone)),
		}
		r.alsoDelete(dev, &b)
		for _, mod := range gone { // the device's revision vouches for the set
			b.Writes = append(b.Writes, store.Write{Key: key(mod), Delete: true, If: store.Any})
			r.alsoDelete(mod, &b)
		}
		_, err = r.records.Apply(ctx, b)
		return err
	})
	if err != nil {
		return err
	}
	r.watchers.tell(dev, Deleted)
	for _, mod := range gone {
		r.watchers.tell(mod, Deleted)
	}
	return nil
}

// alsoDelete adds to the batch that deletes an identity what others keep of it: whoever
// gets the name next is another, also if the hub dies now.
func (r *Registry) alsoDelete(id iot.Identity, b *store.Batch) {
	for _, k := range r.kept(id) {
		b.Writes = append(b.Writes, store.Write{Key: k, Delete: true, If: store.Any})
	}
}

// ListDevices gives the first devices in the order of their ids; top outside 1 to
// 1000 means 1000 (service-rest B.1).
func (r *Registry) ListDevices(ctx context.Context, top int) ([]iot.Device, error) {
	const op = "registry.list_devices"
	if top < 1 || top > maxList {
		top = maxList
	}
	ids, recs, err := r.scan(ctx, deviceKeys, top)
	if err != nil {
		return nil, store.Fault(err, op, unreadable)
	}
	list := make([]iot.Device, len(ids))
	for i, id := range ids {
		if list[i], err = r.deviceDocument(ctx, op, id.Device, recs[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// writeDevice creates or replaces a device under a rule, tells the watchers, and
// gives what is now stored.
func (r *Registry) writeDevice(ctx context.Context, op, id string, want *iot.Device, w rule) (*record, error) {
	dev := iot.Identity{Device: id}
	if err := checkDevice(op, id, want); err != nil {
		return nil, err
	}
	var old, next *record
	unread := w.create // what may be created mostly is not there: the first try takes that for granted
	err := r.attempt(ctx, op, func() error {
		var rev store.Rev
		var err error
		if unread {
			old, rev, unread = nil, store.Absent, false
		} else if old, rev, err = r.read(ctx, dev); err != nil {
			return err
		}
		if err = w.check(op, dev, old); err != nil {
			return err
		}
		if next, err = r.nextDevice(op, id, want, old); err != nil {
			return err
		}
		b := store.Batch{Writes: []store.Write{{
			Key: key(dev), Value: next.encode(), If: rev, Index: statusIndex(id, next),
		}}}
		modules, err := r.systemModules(op, id, old, next, &b)
		if err != nil {
			return err
		}
		b.Deltas = deviceDeltas(old, next, modules)
		_, err = r.records.Apply(ctx, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.tellUpdate(dev, old, next)
	return next, nil
}

// tellUpdate tells the watchers what an update made worthless.
func (r *Registry) tellUpdate(id iot.Identity, old, next *record) {
	if old == nil {
		return
	}
	if next.disabled && !old.disabled {
		r.watchers.tell(id, Disabled)
	}
	if next.outdated(old) {
		r.watchers.tell(id, CredentialsChanged)
	}
	if old.edge && !next.edge {
		for _, mod := range systemIDs(id.Device) {
			r.watchers.tell(mod, Deleted)
		}
	}
}

// nextDevice is the record of a device that is created, or replaced if old is not
// nil. The value is encoded by the caller.
func (r *Registry) nextDevice(op, id string, want *iot.Device, old *record) (*record, error) {
	next, err := r.nextIdentity(op, old)
	if err != nil {
		return nil, err
	}
	next.disabled = want.Status == iot.StatusDisabled
	if old != nil && old.disabled != next.disabled {
		next.statusSet = iot.Ticks(r.now())
	}
	next.reason = string(want.StatusReason)
	next.edge = want.Capabilities != nil && want.Capabilities.IotEdge
	setScopes(next, id, want)
	if err := r.setCredentials(op, next, want.Authentication); err != nil {
		return nil, err
	}
	return next, nil
}

// nextIdentity carries over what no client can change, or makes it for a new
// identity.
func (r *Registry) nextIdentity(op string, old *record) (*record, error) {
	if old != nil {
		return &record{
			generation: old.generation, etag: old.etag + 1, statusSet: old.statusSet, modules: old.modules,
		}, nil
	}
	etag, err := r.firstETag(op)
	if err != nil {
		return nil, err
	}
	return &record{generation: r.nextGeneration(), etag: etag}, nil
}

// checkDevice says what is wrong with a device that a client sent.
func checkDevice(op, id string, d *iot.Device) error {
	switch {
	case !iot.ValidID(id):
		return badID(op, "device", id)
	case d.Status != "" && d.Status != iot.StatusEnabled && d.Status != iot.StatusDisabled:
		return fault.New(fault.ArgumentInvalid, op, "status must be enabled or disabled")
	case utf8.RuneCountInString(string(d.StatusReason)) > iot.MaxStatusReason:
		return fault.New(fault.ArgumentInvalid, op, "statusReason is longer than %d characters", iot.MaxStatusReason)
	}
	return checkScopes(op, d)
}

// deviceDocument is the service API's view of a device.
func (r *Registry) deviceDocument(ctx context.Context, op, id string, rec *record) (iot.Device, error) {
	p, err := r.presenceOf(ctx, op, iot.Identity{Device: id})
	if err != nil {
		return iot.Device{}, err
	}
	pending, err := r.pending(ctx, op, iot.Identity{Device: id}, rec)
	if err != nil {
		return iot.Device{}, err
	}
	return iot.Device{
		DeviceID: id, GenerationID: strconv.FormatUint(rec.generation, 10), ETag: iot.IdentityETag(rec.etag),
		ConnectionState: connectionState(p), Status: rec.status(), StatusReason: iot.NullString(rec.reason),
		ConnectionStateUpdatedTime: iot.TimeOf(p.Since), StatusUpdatedTime: rec.statusUpdated(),
		LastActivityTime: iot.TimeOf(p.LastActivity), CloudToDeviceMessageCount: pending,
		Authentication: rec.authentication(), Capabilities: &iot.Capabilities{IotEdge: rec.edge},
		DeviceScope: rec.scope, ParentScopes: rec.parents,
	}, nil
}

func (r *record) status() iot.Status {
	if r.disabled {
		return iot.StatusDisabled
	}
	return iot.StatusEnabled
}

func (r *record) statusUpdated() iot.Time {
	if r.statusSet == 0 {
		return iot.Time{}
	}
	return iot.TimeOf(iot.TicksTime(r.statusSet))
}

func connectionState(p iot.Presence) iot.ConnectionState {
	if p.Connected {
		return iot.Connected
	}
	return iot.Disconnected
}

// presenceOf asks the presence service, if there is one.
func (r *Registry) presenceOf(ctx context.Context, op string, id iot.Identity) (iot.Presence, error) {
	if r.presence == nil {
		return iot.Presence{}, nil
	}
	p, err := r.presence.Presence(ctx, id)
	if err != nil {
		return p, store.Fault(fmt.Errorf("presence of %s: %w", id, err), op, unreadable)
	}
	return p, nil
}

// attempt tries a change until it does not lose its compare-and-swap. try reads
// anew each time and so judges the precondition anew: a caller that named an etag
// gets PreconditionFailed if another change won, and goes on if the revision moved
// without the etag, as it does when a module is added.
func (r *Registry) attempt(ctx context.Context, op string, try func() error) error {
	var err error
	for range maxAttempts {
		if err = ctx.Err(); err != nil {
			return store.Fault(err, op, unreadable)
		}
		if err = try(); err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return store.Fault(err, op, unreadable)
		}
	}
	return store.Fault(err, op, unreadable)
}

// read gives an identity's record, or nil and store.Absent.
func (r *Registry) read(ctx context.Context, id iot.Identity) (*record, store.Rev, error) {
	stored, err := r.records.Get(ctx, key(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, store.Absent, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", id, err)
	}
	rec, err := decodeRecord(stored.Value)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", id, err)
	}
	return rec, stored.Rev, nil
}

// mustRead gives an identity's record: DeviceNotFound, ModuleNotFound. For a module
// that is missing it asks whether the device exists, to name what is not there.
func (r *Registry) mustRead(ctx context.Context, op string, id iot.Identity) (*record, store.Rev, error) {
	if !iot.ValidID(id.Device) || id.IsModule() && !iot.ValidID(id.Module) {
		return nil, 0, notFound(op, id)
	}
	rec, rev, err := r.read(ctx, id)
	if err != nil {
		return nil, 0, store.Fault(err, op, unreadable)
	}
	if rec != nil {
		return rec, rev, nil
	}
	if id.IsModule() {
		if _, _, err := r.mustRead(ctx, op, id.Owner()); err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, notFound(op, id)
}

// scan gives at most limit identities of a key prefix, in order.
func (r *Registry) scan(ctx context.Context, prefix string, limit int) ([]iot.Identity, []*record, error) {
	var ids []iot.Identity
	var recs []*record
	var broken error
	err := r.records.Scan(ctx, prefix, "", func(stored store.Record) bool {
		rec, err := decodeRecord(stored.Value)
		if err != nil {
			broken = fmt.Errorf("read %s: %w", stored.Key, err)
			return false
		}
		ids, recs = append(ids, identityOf(stored.Key)), append(recs, rec)
		return len(ids) < limit
	})
	if err == nil {
		err = broken
	}
	return ids, recs, err
}

// deviceDeltas is how the counters move when a device's record becomes next; either
// may be nil. modules is how many modules come with the change.
func deviceDeltas(old, next *record, modules int) []store.Delta {
	var devices, disabled int64
	if old != nil {
		devices--
		if old.disabled {
			disabled--
		}
	}
	if next != nil {
		devices++
		if next.disabled {
			disabled++
		}
	}
	var deltas []store.Delta
	for _, d := range []store.Delta{{Key: countDevices, N: devices}, {Key: countDisabled, N: disabled}, {Key: countModules, N: int64(modules)}} {
		if d.N != 0 {
			deltas = append(deltas, d)
		}
	}
	return deltas
}
