package registry

import (
	"context"
	"fmt"
	"sync"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Bulk performs every item by itself and says how each went: what succeeded stays,
// whatever became of the others (service-rest B.2). Items of one device are done in
// their order; an identity that stands twice fails each time with
// DeviceDefinedMultipleTimes. The error is for a request that is refused whole:
// TooManyDevices above 100 items, ArgumentNull for none.
func (r *Registry) Bulk(ctx context.Context, items []iot.BulkItem) (iot.BulkResult, error) {
	const op = "registry.bulk"
	switch {
	case len(items) > iot.MaxBulk:
		return iot.BulkResult{}, fault.New(fault.TooManyDevices, op, "%d items, at most %d", len(items), iot.MaxBulk)
	case len(items) == 0:
		return iot.BulkResult{}, fault.New(fault.ArgumentNull, op, "the list of devices is empty")
	}
	times := make(map[iot.Identity]int, len(items))
	for i := range items {
		times[itemIdentity(&items[i])]++
	}
	errs := make([]error, len(items))
	var groups [][]int // indexes of items, by device, so that a module follows its device
	at := make(map[string]int, len(items))
	for i := range items {
		id := itemIdentity(&items[i])
		if times[id] > 1 {
			errs[i] = fault.New(fault.DeviceDefinedMultipleTimes, op, "%s stands more than once in the request", quoteIdentity(id))
			continue
		}
		g, ok := at[id.Device]
		if !ok {
			g = len(groups)
			at[id.Device] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	together(groups, func(group []int) {
		for _, i := range group {
			errs[i] = r.bulkItem(ctx, op, &items[i])
		}
	})
	return bulkResult(items, errs), nil
}

// together calls f with every element, bulkWorkers at a time, and waits.
func together[T any](list []T, f func(T)) {
	var wg sync.WaitGroup
	work := make(chan T)
	for range min(bulkWorkers, len(list)) {
		wg.Go(func() {
			for v := range work {
				f(v)
			}
		})
	}
	for _, v := range list {
		work <- v
	}
	close(work)
	wg.Wait()
}

func itemIdentity(item *iot.BulkItem) iot.Identity {
	return iot.Identity{Device: item.ID, Module: item.ModuleID}
}

func quoteIdentity(id iot.Identity) string {
	if id.IsModule() {
		return fmt.Sprintf("module %s of device %s", quote(id.Module), quote(id.Device))
	}
	return "device " + quote(id.Device)
}

// bulkItem performs one item.
func (r *Registry) bulkItem(ctx context.Context, op string, item *iot.BulkItem) error {
	id := itemIdentity(item)
	switch item.ImportMode {
	case iot.ImportUpdateTwin, iot.ImportUpdateTwinIfMatch:
		return fault.New(fault.GenericNotImplemented, op, "importMode %s: twins cannot be written yet", item.ImportMode)
	case iot.ImportDelete, iot.ImportDeleteIfMatch:
		m := iot.Match{Kind: iot.MatchAny}
		if item.ImportMode == iot.ImportDeleteIfMatch {
			var err error
			if m, err = bulkMatch(op, item.ETag); err != nil {
				return err
			}
		}
		if id.IsModule() {
			return r.DeleteModule(ctx, id, m)
		}
		return r.DeleteDevice(ctx, id.Device, m)
	case iot.ImportCreate, iot.ImportUpdate, iot.ImportUpdateIfMatch,
		iot.ImportCreateOrUpdate, iot.ImportCreateOrUpdateIfMatch, "":
	}
	w, err := bulkRule(op, item)
	if err != nil {
		return err
	}
	if id.IsModule() {
		_, err = r.writeModule(ctx, op, id, &iot.Module{Authentication: item.Authentication}, w)
		return err
	}
	_, err = r.writeDevice(ctx, op, id.Device, &iot.Device{
		Status: item.Status, StatusReason: item.StatusReason, Authentication: item.Authentication,
		Capabilities: item.Capabilities, DeviceScope: item.DeviceScope, ParentScopes: item.ParentScopes,
	}, w)
	return err
}

// bulkResult lists what went wrong, in the order of the items.
func bulkResult(items []iot.BulkItem, errs []error) iot.BulkResult {
	res := iot.BulkResult{IsSuccessful: true, Errors: []iot.BulkError{}, Warnings: []iot.BulkWarning{}}
	for i := range items {
		item := &items[i]
		if errs[i] != nil {
			res.IsSuccessful = false
			res.Errors = append(res.Errors, iot.BulkError{
				DeviceID: item.ID, ModuleID: item.ModuleID, ErrorCode: int(fault.Of(errs[i])),
				ErrorStatus: fault.Detail(errs[i]), Operation: string(item.ImportMode),
			})
			continue
		}
		if bringsTwin(item) {
			res.Warnings = append(res.Warnings, iot.BulkWarning{
				DeviceID: item.ID, WarningCode: "DeviceRegisteredWithoutTwin",
				WarningStatus: "the identity was written; its tags and desired properties were not, for twins cannot be written yet",
			})
		}
	}
	return res
}

// bringsTwin reports whether an item that writes an identity also carries tags or
// desired properties.
func bringsTwin(item *iot.BulkItem) bool {
	if item.ImportMode == iot.ImportDelete || item.ImportMode == iot.ImportDeleteIfMatch {
		return false
	}
	return holdsMembers(item.Tags) || item.Properties != nil && holdsMembers(item.Properties.Desired)
}

// holdsMembers reports whether a JSON value is something other than nothing, null or {}.
func holdsMembers(raw []byte) bool {
	switch compact(raw) {
	case "", "null", "{}":
		return false
	}
	return true
}

// compact gives the first bytes of a JSON text without white space: enough to know
// the small ones.
func compact(raw []byte) string {
	var b []byte
	for _, c := range raw {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			b = append(b, c)
		}
		if len(b) > len("null") {
			break
		}
	}
	return string(b)
}
