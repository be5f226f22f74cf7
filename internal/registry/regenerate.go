package registry

import (
	"context"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// RegenerateKeys makes keys of the named identities anew, each by itself: what
// succeeded stays. Only identities of type sas have keys to renew. The error is for
// a request that is refused whole: ArgumentInvalid, TooManyDevices.
func (r *Registry) RegenerateKeys(ctx context.Context, req iot.KeyRegeneration) (iot.KeyRegenerationResult, error) {
	const op = "registry.regenerate_keys"
	res := iot.KeyRegenerationResult{PolicyKey: req.PolicyKey}
	if len(req.Devices) > iot.MaxBulk {
		return res, fault.New(fault.TooManyDevices, op, "%d identities, at most %d", len(req.Devices), iot.MaxBulk)
	}
	if err := req.Check(); err != nil {
		return res, fault.New(fault.ArgumentInvalid, op, "%s", err.Error())
	}
	type outcome struct {
		rec *record
		err error
	}
	out := make([]outcome, len(req.Devices))
	indexes := make([]int, len(req.Devices))
	for i := range indexes {
		indexes[i] = i
	}
	together(indexes, func(i int) {
		t := req.Devices[i]
		out[i].rec, out[i].err = r.regenerate(ctx, op, iot.Identity{Device: t.ID, Module: t.ModuleID}, req.PolicyKey)
	})
	for i, t := range req.Devices {
		if err := out[i].err; err != nil {
			res.Errors = append(res.Errors, iot.KeyError{
				ID: t.ID, ModuleID: iot.NullString(t.ModuleID), ErrorCode: int(fault.Of(err)), ErrorStatus: fault.Detail(err),
			})
			continue
		}
		res.RotatedKeys = append(res.RotatedKeys, iot.RotatedKey{
			ID: t.ID, ModuleID: iot.NullString(t.ModuleID),
			PrimaryKey: iot.FormatKey(out[i].rec.keys[0]), SecondaryKey: iot.FormatKey(out[i].rec.keys[1]),
		})
	}
	return res, nil
}

// regenerate renews the chosen keys of one identity.
func (r *Registry) regenerate(ctx context.Context, op string, id iot.Identity, which iot.KeyChoice) (*record, error) {
	if err := checkIdentity(op, id); err != nil {
		return nil, err
	}
	var old, next *record
	err := r.attempt(ctx, op, func() error {
		var rev store.Rev
		var err error
		if old, rev, err = r.mustRead(ctx, op, id); err != nil {
			return err
		}
		if old.method != methodSAS {
			return fault.New(fault.InvalidOperation, op, "%s has no symmetric keys: its authentication type is %s",
				quoteIdentity(id), old.method.kind())
		}
		copied := *old
		next = &copied
		next.etag++
		for slot, choice := range []iot.KeyChoice{iot.PrimaryKey, iot.SecondaryKey} {
			if which != choice && which != iot.BothKeys {
				continue
			}
			if next.keys[slot], err = r.newKey(op); err != nil {
				return err
			}
		}
		w := store.Write{Key: key(id), Value: next.encode(), If: rev}
		if !id.IsModule() {
			w.Index = statusIndex(id.Device, next)
		}
		_, err = r.records.Apply(ctx, store.Batch{Writes: []store.Write{w}})
		return err
	})
	if err != nil {
		return nil, err
	}
	r.tellUpdate(id, old, next)
	return next, nil
}
