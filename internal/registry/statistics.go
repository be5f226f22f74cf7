package registry

import (
	"context"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// Statistics counts the devices. The two counters are read one after the other, so
// beside a concurrent change they may differ by it.
func (r *Registry) Statistics(ctx context.Context) (iot.DeviceStatistics, error) {
	const op = "registry.statistics"
	disabled, err := r.records.Counter(ctx, countDisabled)
	if err != nil {
		return iot.DeviceStatistics{}, store.Fault(err, op, unreadable)
	}
	total, err := r.records.Counter(ctx, countDevices)
	if err != nil {
		return iot.DeviceStatistics{}, store.Fault(err, op, unreadable)
	}
	disabled = min(disabled, total)
	return iot.DeviceStatistics{
		TotalDeviceCount: total, EnabledDeviceCount: total - disabled, DisabledDeviceCount: disabled,
	}, nil
}
