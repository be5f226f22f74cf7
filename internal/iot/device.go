package iot

// Device is the JSON of a device identity (service-rest B.1), in the member order
// of the real hub. Decoding matches members without regard to case and ignores
// unknown ones; the hub overwrites the read-only ones.
type Device struct {
	DeviceID                   string          `json:"deviceId"`
	GenerationID               string          `json:"generationId"` // decimal 100 ns ticks of creation
	ETag                       string          `json:"etag"`
	ConnectionState            ConnectionState `json:"connectionState"`
	Status                     Status          `json:"status"`
	StatusReason               NullString      `json:"statusReason"` // at most MaxStatusReason characters
	ConnectionStateUpdatedTime Time            `json:"connectionStateUpdatedTime"`
	StatusUpdatedTime          Time            `json:"statusUpdatedTime"`
	LastActivityTime           Time            `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int             `json:"cloudToDeviceMessageCount"`
	Authentication             *Authentication `json:"authentication"` // nil in a request: generate keys
	Capabilities               *Capabilities   `json:"capabilities"`
	DeviceScope                string          `json:"deviceScope,omitempty"`
	ParentScopes               Scopes          `json:"parentScopes"` // always written
}

// MaxStatusReason is the longest statusReason, in characters.
const MaxStatusReason = 128

// Capabilities are what a device is apart from a sender of messages.
type Capabilities struct {
	IotEdge bool `json:"iotEdge"`
}

// DeviceStatistics answers GET /statistics/devices.
type DeviceStatistics struct {
	TotalDeviceCount    int64 `json:"totalDeviceCount"`
	EnabledDeviceCount  int64 `json:"enabledDeviceCount"`
	DisabledDeviceCount int64 `json:"disabledDeviceCount"`
}

// ServiceStatistics answers GET /statistics/service.
type ServiceStatistics struct {
	ConnectedDeviceCount int64 `json:"connectedDeviceCount"`
}
