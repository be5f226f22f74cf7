package registry

import (
	"context"

	"github.com/berth-iot/berth/internal/iot"
)

// Statistics counts the devices. The two counters are read one after the other, so
// beside a concurrent change they may differ by it.
func (r *Registry) Statistics(ctx context.Context) (iot.DeviceStatistics, error) {
	const op = "registry.statistics"
	disabled, err := r.records.Counter(ctx, countDisabled)
	if err != nil {
		return iot.DeviceStatistics{}, storeFault(err, op)
	}
	total, err := r.records.Counter(ctx, countDevices)
	if err != nil {
		return iot.DeviceStatistics{}, storeFault(err, op)
	}
	disabled = min(disabled, total)
	return iot.DeviceStatistics{
		TotalDeviceCount: total, EnabledDeviceCount: total - disabled, DisabledDeviceCount: disabled,
	}, nil
}
