package registry

import (
	"context"
	"strconv"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// PutModule creates a module, or replaces it whole, as m says: see PutDevice. Codes:
// DeviceNotFound, ModuleNotFound, ModuleAlreadyExistsOnDevice, PreconditionFailed,
// TooManyModulesOnDevice, and SystemModuleModifyUnauthorizedAccess for making a
// system module by hand.
func (r *Registry) PutModule(ctx context.Context, id iot.Identity, m iot.Module, match iot.Match) (iot.Module, error) {
	const op = "registry.put_module"
	if m.DeviceID != "" && m.DeviceID != id.Device || m.ModuleID != "" && m.ModuleID != id.Module {
		return iot.Module{}, fault.New(fault.ArgumentInvalid, op,
			"deviceId and moduleId of the body are not %s and %s of the path", quote(id.Device), quote(id.Module))
	}
	rec, err := r.writeModule(ctx, op, id, &m, putRule(match))
	if err != nil {
		return iot.Module{}, err
	}
	return r.moduleDocument(ctx, op, id, rec)
}

// GetModule gives a module: DeviceNotFound, ModuleNotFound.
func (r *Registry) GetModule(ctx context.Context, id iot.Identity) (iot.Module, error) {
	const op = "registry.get_module"
	if err := checkModule(op, id); err != nil {
		return iot.Module{}, err
	}
	rec, _, err := r.mustRead(ctx, op, id)
	if err != nil {
		return iot.Module{}, err
	}
	return r.moduleDocument(ctx, op, id, rec)
}

// ListModules gives a device's modules in the order of their ids: DeviceNotFound.
func (r *Registry) ListModules(ctx context.Context, dev string) ([]iot.Module, error) {
	const op = "registry.list_modules"
	owner := iot.Identity{Device: dev}
	if err := checkIdentity(op, owner); err != nil {
		return nil, err
	}
	if _, _, err := r.mustRead(ctx, op, owner); err != nil {
		return nil, err
	}
	ids, recs, err := r.scan(ctx, modulePrefix(dev), iot.MaxModules)
	if err != nil {
		return nil, store.Fault(err, op, unreadable)
	}
	list := make([]iot.Module, len(ids))
	for i, id := range ids {
		if list[i], err = r.moduleDocument(ctx, op, id, recs[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// DeleteModule removes a module: DeviceNotFound, ModuleNotFound, PreconditionFailed,
// SystemModuleModifyUnauthorizedAccess.
func (r *Registry) DeleteModule(ctx context.Context, id iot.Identity, m iot.Match) error {
	const op = "registry.delete_module"
	if err := checkModule(op, id); err != nil {
		return err
	}
	err := r.attempt(ctx, op, func() error {
		dev, devRev, err := r.mustRead(ctx, op, id.Owner())
		if err != nil {
			return err
		}
		rec, rev, err := r.mustRead(ctx, op, id)
		if err != nil {
			return err
		}
		switch {
		case isSystem(id.Module):
			return fault.New(fault.SystemModuleModifyUnauthorizedAccess, op,
				"module %s belongs to the edge device %s and goes with it", quote(id.Module), quote(id.Device))
		case !m.ForDelete().Holds(iot.IdentityETag(rec.etag)):
			return mismatch(op, id)
		}
		dev.modules--
		b := store.Batch{
			Writes: []store.Write{
				{Key: key(id.Owner()), Value: dev.encode(), If: devRev, Index: statusIndex(id.Device, dev)},
				{Key: key(id), Delete: true, If: rev},
			},
			Deltas: []store.Delta{{Key: countModules, N: -1}},
		}
		r.alsoDelete(id, &b)
		_, err = r.records.Apply(ctx, b)
		return err
	})
	if err != nil {
		return err
	}
	r.watchers.tell(id, Deleted)
	return nil
}

// writeModule creates or replaces a module under a rule, tells the watchers, and
// gives what is now stored. Creating also counts the module in its device's record.
func (r *Registry) writeModule(ctx context.Context, op string, id iot.Identity, want *iot.Module, w rule) (*record, error) {
	if err := checkModule(op, id); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(string(want.ManagedBy)) > maxManagedBy {
		return nil, fault.New(fault.ArgumentInvalid, op, "managedBy is longer than %d characters", maxManagedBy)
	}
	var old, next *record
	err := r.attempt(ctx, op, func() error {
		dev, devRev, err := r.mustRead(ctx, op, id.Owner())
		if err != nil {
			return err
		}
		var rev store.Rev
		if old, rev, err = r.read(ctx, id); err != nil {
			return err
		}
		if err = w.check(op, id, old); err != nil {
			return err
		}
		if next, err = r.nextIdentity(op, old); err != nil {
			return err
		}
		next.managedBy = string(want.ManagedBy)
		if err = r.setCredentials(op, next, want.Authentication); err != nil {
			return err
		}
		b := store.Batch{Writes: []store.Write{{Key: key(id), Value: next.encode(), If: rev}}}
		if old == nil {
			if err := countModule(op, id, dev, devRev, &b); err != nil {
				return err
			}
		}
		_, err = r.records.Apply(ctx, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.tellUpdate(id, old, next)
	return next, nil
}

// checkModule says what is wrong with the ids of a request about a module.
func checkModule(op string, id iot.Identity) error {
	if !id.IsModule() {
		return badID(op, "module", id.Module)
	}
	return checkIdentity(op, id)
}

// countModule adds to the batch that creates a module what its device must remember.
func countModule(op string, id iot.Identity, dev *record, rev store.Rev, b *store.Batch) error {
	if isSystem(id.Module) {
		return fault.New(fault.SystemModuleModifyUnauthorizedAccess, op,
			"module %s appears by itself when device %s becomes an edge device", quote(id.Module), quote(id.Device))
	}
	dev.modules++
	if dev.modules > iot.MaxModules {
		return tooManyModules(op, id.Device)
	}
	b.Writes = append(b.Writes, store.Write{
		Key: key(id.Owner()), Value: dev.encode(), If: rev, Index: statusIndex(id.Device, dev),
	})
	b.Deltas = append(b.Deltas, store.Delta{Key: countModules, N: 1})
	return nil
}

// moduleIDs appends the identities of a device's modules.
func (r *Registry) moduleIDs(ctx context.Context, dev string, ids []iot.Identity) ([]iot.Identity, error) {
	err := r.records.Scan(ctx, modulePrefix(dev), "", func(stored store.Record) bool {
		ids = append(ids, identityOf(stored.Key))
		return len(ids) < iot.MaxModules
	})
	return ids, err
}

// moduleDocument is the service API's view of a module.
func (r *Registry) moduleDocument(ctx context.Context, op string, id iot.Identity, rec *record) (iot.Module, error) {
	p, err := r.presenceOf(ctx, op, id)
	if err != nil {
		return iot.Module{}, err
	}
	pending, err := r.pending(ctx, op, id, rec)
	if err != nil {
		return iot.Module{}, err
	}
	return iot.Module{
		ModuleID: id.Module, ManagedBy: iot.NullString(rec.managedBy), DeviceID: id.Device,
		GenerationID: strconv.FormatUint(rec.generation, 10), ETag: iot.IdentityETag(rec.etag),
		ConnectionState: connectionState(p), ConnectionStateUpdatedTime: iot.TimeOf(p.Since),
		LastActivityTime: iot.TimeOf(p.LastActivity), CloudToDeviceMessageCount: pending, Authentication: rec.authentication(),
	}, nil
}
