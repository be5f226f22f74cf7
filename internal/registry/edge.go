package registry

import (
	"strconv"
	"strings"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// edgeScope begins every device scope: the prefix, the edge device's id, a dash, and
// its generation, so the scope is as immutable as that.
const edgeScope = "ms-azure-iot-edge://"

// The system modules of an edge device: they come and go with it.
const (
	edgeAgent = "$edgeAgent"
	edgeHub   = "$edgeHub"
)

// isSystem reports whether a module id is one of the hub's own.
func isSystem(module string) bool { return module == edgeAgent || module == edgeHub }

func systemIDs(dev string) [2]iot.Identity {
	return [2]iot.Identity{{Device: dev, Module: edgeAgent}, {Device: dev, Module: edgeHub}}
}

// systemModules adds to the batch that turns old into next what an edge device needs:
// its system modules appear when it becomes one and vanish when it ceases to be one.
// It counts them into next, encodes next again into the batch's first write, and
// gives by how many modules the hub's count moves.
func (r *Registry) systemModules(op, dev string, old, next *record, b *store.Batch) (int, error) {
	was := old != nil && old.edge
	if was == next.edge {
		return 0, nil
	}
	moved := 0
	for _, mod := range systemIDs(dev) {
		w := store.Write{Key: key(mod), If: store.Any} // the device's revision vouches for the set
		if next.edge {
			rec, err := r.nextIdentity(op, nil)
			if err != nil {
				return 0, err
			}
			if err := r.setCredentials(op, rec, nil); err != nil {
				return 0, err
			}
			w.Value = rec.encode()
			moved++
		} else {
			w.Delete = true
			moved--
		}
		b.Writes = append(b.Writes, w)
		if w.Delete {
			r.alsoDelete(mod, b)
		}
	}
	next.modules += moved
	if next.modules > iot.MaxModules {
		return 0, tooManyModules(op, dev)
	}
	b.Writes[0].Value = next.encode()
	return moved, nil
}

func tooManyModules(op, dev string) error {
	return fault.New(fault.TooManyModulesOnDevice, op, "device %s would have more than %d modules", quote(dev), iot.MaxModules)
}

// setScopes fills a record's scopes. An edge device's own scope is the hub's to give
// and never changes, so what a client sends for it is ignored; its parent stands in
// parentScopes. Any other device names its parent in deviceScope, which is mirrored
// into parentScopes (service-rest B.1).
func setScopes(next *record, id string, want *iot.Device) {
	switch {
	case next.edge:
		next.scope = edgeScope + id + "-" + strconv.FormatUint(next.generation, 10)
		for _, p := range want.ParentScopes {
			if p != "" && p != next.scope {
				next.parents = append(next.parents, p)
			}
		}
	case want.DeviceScope != "":
		next.scope = want.DeviceScope
		next.parents = []string{want.DeviceScope}
	}
}

// checkScopes says what is wrong with the scopes of a device that a client sent.
func checkScopes(op string, d *iot.Device) error {
	if len(d.ParentScopes) > maxParents {
		return fault.New(fault.InvalidDeviceScope, op, "a device has at most %d parent scope", maxParents)
	}
	for _, s := range append([]string{d.DeviceScope}, d.ParentScopes...) {
		if s != "" && !validScope(s) {
			return fault.New(fault.InvalidDeviceScope, op, "a device scope reads %s<edge device id>-<ticks>", edgeScope)
		}
	}
	return nil
}

// validScope reports whether s has the form of a device scope. Whether its edge
// device exists is not asked: an import may bring the child before the parent.
func validScope(s string) bool {
	rest, ok := strings.CutPrefix(s, edgeScope)
	dash := strings.LastIndexByte(rest, '-')
	if !ok || len(s) > maxScope || dash < 1 || !iot.ValidID(rest[:dash]) {
		return false
	}
	_, err := strconv.ParseUint(rest[dash+1:], 10, 64)
	return err == nil
}
