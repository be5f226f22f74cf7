package iot

// MaxModules is how many modules a device may have (service-rest B.4).
const MaxModules = 50

// Module is the JSON of a module identity (service-rest B.4). It has no status,
// capabilities or scope of its own.
type Module struct {
	ModuleID                   string          `json:"moduleId"`
	ManagedBy                  NullString      `json:"managedBy"`
	DeviceID                   string          `json:"deviceId"`
	GenerationID               string          `json:"generationId"` // decimal 100 ns ticks of creation
	ETag                       string          `json:"etag"`
	ConnectionState            ConnectionState `json:"connectionState"`
	ConnectionStateUpdatedTime Time            `json:"connectionStateUpdatedTime"`
	LastActivityTime           Time            `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int             `json:"cloudToDeviceMessageCount"`
	Authentication             *Authentication `json:"authentication"` // nil in a request: generate keys
}
