package registry

import (
	"context"
	"fmt"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// messages counts what waits for an identity.
type messages interface {
	// Pending counts the cloud-to-device messages that wait for an identity of this
	// generationId.
	Pending(ctx context.Context, id iot.Identity, generation uint64) (int, error)
}

// Generation gives the generationId of an identity, and whether its device is enabled:
// whom a message may be sent to. Codes: DeviceNotFound, ModuleNotFound.
func (r *Registry) Generation(ctx context.Context, id iot.Identity) (generation uint64, enabled bool, err error) {
	const op = "registry.generation"
	if err := checkIdentity(op, id); err != nil {
		return 0, false, err
	}
	rec, _, err := r.mustRead(ctx, op, id)
	if err != nil {
		return 0, false, err
	}
	owner := rec
	if id.IsModule() {
		if owner, _, err = r.mustRead(ctx, op, id.Owner()); err != nil {
			return 0, false, err
		}
	}
	return rec.generation, !owner.disabled, nil
}

// pending is cloudToDeviceMessageCount.
func (r *Registry) pending(ctx context.Context, op string, id iot.Identity, rec *record) (int, error) {
	if r.messages == nil {
		return 0, nil
	}
	n, err := r.messages.Pending(ctx, id, rec.generation)
	if err != nil {
		return 0, store.Fault(fmt.Errorf("messages of %s: %w", id, err), op, unreadable)
	}
	return n, nil
}
