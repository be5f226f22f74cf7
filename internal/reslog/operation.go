package reslog

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// identityOperation is the properties of a record of the category
// DeviceIdentityOperations.
type identityOperation struct {
	MaskedIPAddress string       `json:"maskedIpAddress"`
	DeviceID        string       `json:"deviceId"`
	ModuleID        string       `json:"moduleId,omitempty"`
	StatusCode      *string      `json:"statusCode"`
	Berth           *reasonFacts `json:"berth,omitempty"`
}

type reasonFacts struct {
	Transport string `json:"transport,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// IdentityError records that an operation on an identity ("get", "create", "update",
// "delete") was answered with err at the given time. Beyond a rate it is only counted.
func (l *Log) IdentityError(operation string, id iot.Identity, from netip.AddrPort, err error, at time.Time) {
	id = clipID(id)
	code := fault.Of(err)
	props := identityOperation{
		MaskedIPAddress: iot.MaskAddr(from.Addr()), DeviceID: id.Device, ModuleID: id.Module, StatusCode: statusCode(code),
		Berth: &reasonFacts{Reason: clip(fault.Detail(err), maxReason)},
	}
	l.queue.putLimited(item{
		at: at, operation: clip(operation, maxShort), category: categoryIdentity, code: code, identity: id, properties: props,
	}, at)
}

// ingress is the properties of a record of the category DeviceTelemetry. Azure writes
// the numbers as strings.
type ingress struct {
	DeviceID           string       `json:"deviceId"`
	ModuleID           string       `json:"moduleId,omitempty"`
	Batching           string       `json:"batching"`
	MessageSizeInBytes string       `json:"messageSizeInBytes"`
	EventProcessedUTC  string       `json:"EventProcessedUtcTime"`
	EventEnqueuedUTC   string       `json:"EventEnqueuedUtcTime"`
	PartitionID        string       `json:"partitionId"`
	Berth              *reasonFacts `json:"berth,omitempty"`
}

// TelemetryError records that a message of size bytes was refused with err at the
// given time. Beyond a rate it is only counted.
func (l *Log) TelemetryError(id iot.Identity, transport device.Transport, size int, err error, at time.Time) {
	id = clipID(id)
	props := ingress{
		DeviceID: id.Device, ModuleID: id.Module, Batching: "0", MessageSizeInBytes: strconv.Itoa(size),
		EventProcessedUTC: stamp(at),
		Berth:             &reasonFacts{Transport: string(transport), Reason: clip(fault.Detail(err), maxReason)},
	}
	l.queue.putLimited(item{
		at: at, operation: "ingress", category: categoryTelemetry, code: fault.Of(err), identity: id, properties: props,
	}, at)
}
