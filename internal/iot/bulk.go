package iot

import "encoding/json"

// MaxBulk is how many items one bulk request may hold (service-rest B.2).
const MaxBulk = 100

// BulkItem is one element of POST /devices (service-rest B.2). With a ModuleID it
// means the module.
type BulkItem struct {
	ID             string          `json:"id"`
	ModuleID       string          `json:"moduleId,omitempty"`
	ETag           string          `json:"eTag,omitempty"`
	ImportMode     ImportMode      `json:"importMode,omitempty"` // empty: ImportCreateOrUpdate
	Status         Status          `json:"status,omitempty"`
	StatusReason   NullString      `json:"statusReason,omitempty"`
	Authentication *Authentication `json:"authentication,omitempty"`
	TwinETag       string          `json:"twinETag,omitempty"`
	Tags           json.RawMessage `json:"tags,omitempty"`
	Properties     *TwinProperties `json:"properties,omitempty"`
	Capabilities   *Capabilities   `json:"capabilities,omitempty"`
	DeviceScope    string          `json:"deviceScope,omitempty"`
	ParentScopes   Scopes          `json:"parentScopes,omitempty"`
}

// BulkResult answers POST /devices: status 200 if every item went well, else 400.
type BulkResult struct {
	IsSuccessful bool          `json:"isSuccessful"`
	Errors       []BulkError   `json:"errors"`
	Warnings     []BulkWarning `json:"warnings"`
}

// MarshalJSON writes both lists, empty ones as [].
func (r BulkResult) MarshalJSON() ([]byte, error) {
	if r.Errors == nil {
		r.Errors = []BulkError{}
	}
	if r.Warnings == nil {
		r.Warnings = []BulkWarning{}
	}
	type plain BulkResult
	return json.Marshal(plain(r))
}

// BulkError is one item that failed. ErrorCode is the six-digit number: a client
// in Go needs a number, the others take both.
type BulkError struct {
	DeviceID    string `json:"deviceId"`
	ModuleID    string `json:"moduleId,omitempty"`
	ErrorCode   int    `json:"errorCode"`
	ErrorStatus string `json:"errorStatus"`
	Operation   string `json:"operation,omitempty"`
}

// BulkWarning is one item that succeeded in part.
type BulkWarning struct {
	DeviceID      string `json:"deviceId"`
	WarningCode   string `json:"warningCode"` // DeviceRegisteredWithoutTwin
	WarningStatus string `json:"warningStatus"`
}
