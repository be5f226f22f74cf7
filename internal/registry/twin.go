package registry

import (
	"context"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// Twin gives the twin document of a device or a module: the identity's members
// around sections that nobody has written yet, as of a fresh twin (service-rest
// B.5). Codes: DeviceNotFound, ModuleNotFound.
func (r *Registry) Twin(ctx context.Context, id iot.Identity) (iot.Twin, error) {
	const op = "registry.twin"
	if err := checkIdentity(op, id); err != nil {
		return iot.Twin{}, err
	}
	rec, _, err := r.mustRead(ctx, op, id)
	if err != nil {
		return iot.Twin{}, err
	}
	p, err := r.presenceOf(ctx, op, id)
	if err != nil {
		return iot.Twin{}, err
	}
	pending, err := r.pending(ctx, op, id, rec)
	if err != nil {
		return iot.Twin{}, err
	}
	t := iot.Twin{
		DeviceID: id.Device, ModuleID: id.Module,
		ETag: iot.TwinETag(1), DeviceETag: iot.IdentityETag(rec.etag), Version: 2,
		Status: rec.status(), StatusReason: rec.reason, StatusUpdateTime: rec.statusUpdated(),
		ConnectionState: connectionState(p), LastActivityTime: iot.TimeOf(p.LastActivity), CloudToDeviceMessageCount: pending,
		AuthenticationType: rec.method.kind(), X509Thumbprint: *rec.thumbprint(),
	}
	created := time.Time{} // a fresh module twin was never updated
	if !id.IsModule() {
		created = iot.TicksTime(rec.generation)
		t.Capabilities = &iot.Capabilities{IotEdge: rec.edge}
		t.DeviceScope = rec.scope
		t.ParentScopes = append(iot.Scopes{}, rec.parents...)
	}
	t.Properties = iot.TwinProperties{Desired: iot.EmptySection(created), Reported: iot.EmptySection(created)}
	return t, nil
}
