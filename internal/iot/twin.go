package iot

import (
	"encoding/json"
	"time"
)

// Twin is the JSON of a device or module twin as a back-end sees it (service-rest
// B.5), in the member order of the real hub.
type Twin struct {
	DeviceID                  string             `json:"deviceId"`
	ModuleID                  string             `json:"moduleId,omitempty"`
	ETag                      string             `json:"etag"`       // TwinETag
	DeviceETag                string             `json:"deviceEtag"` // the identity's etag
	Status                    Status             `json:"status"`
	StatusReason              string             `json:"statusReason,omitempty"`
	StatusUpdateTime          Time               `json:"statusUpdateTime"` // so named here, unlike on the identity
	ConnectionState           ConnectionState    `json:"connectionState"`
	LastActivityTime          Time               `json:"lastActivityTime"`
	CloudToDeviceMessageCount int                `json:"cloudToDeviceMessageCount"`
	AuthenticationType        AuthenticationType `json:"authenticationType"`
	X509Thumbprint            X509Thumbprint     `json:"x509Thumbprint"`
	ModelID                   string             `json:"modelId"`
	Version                   uint64             `json:"version"`
	Tags                      json.RawMessage    `json:"tags,omitempty"` // nil when there are none
	Properties                TwinProperties     `json:"properties"`
	Configurations            json.RawMessage    `json:"configurations,omitempty"`
	Capabilities              *Capabilities      `json:"capabilities,omitempty"` // nil for a module
	DeviceScope               string             `json:"deviceScope,omitempty"`
	ParentScopes              Scopes             `json:"parentScopes,omitzero"` // nil for a module; else empty or more
}

// TwinProperties are the two sections of a twin, each with its $metadata and
// $version.
type TwinProperties struct {
	Desired  json.RawMessage `json:"desired,omitempty"`
	Reported json.RawMessage `json:"reported,omitempty"`
}

// EmptySection is a section of a fresh twin: no properties, $version 1, last
// updated at the given time (service-rest B.5).
func EmptySection(at time.Time) json.RawMessage {
	return json.RawMessage(`{"$metadata":{"$lastUpdated":"` + TimeOf(at).String() + `"},"$version":1}`)
}
