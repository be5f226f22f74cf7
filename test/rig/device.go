package rig

import (
	"encoding/json"
	"net/http"
	"net/url"
)

// Identity is the JSON of a device or a module as the registry answers it; what the
// tests read of it.
type Identity struct {
	DeviceID                   string         `json:"deviceId"`
	ModuleID                   string         `json:"moduleId,omitempty"`
	GenerationID               string         `json:"generationId,omitempty"`
	ETag                       string         `json:"etag,omitempty"`
	ConnectionState            string         `json:"connectionState,omitempty"`
	ConnectionStateUpdatedTime string         `json:"connectionStateUpdatedTime,omitempty"`
	LastActivityTime           string         `json:"lastActivityTime,omitempty"`
	Status                     string         `json:"status,omitempty"`
	StatusReason               string         `json:"statusReason,omitempty"`
	CloudToDeviceMessageCount  int            `json:"cloudToDeviceMessageCount,omitempty"`
	Authentication             Authentication `json:"authentication"`
}

// Authentication is how an identity proves itself.
type Authentication struct {
	Type           string          `json:"type"`
	SymmetricKey   *SymmetricKey   `json:"symmetricKey,omitempty"`
	X509Thumbprint *X509Thumbprint `json:"x509Thumbprint,omitempty"`
}

// SymmetricKey holds two base64 keys.
type SymmetricKey struct {
	PrimaryKey   string `json:"primaryKey"`
	SecondaryKey string `json:"secondaryKey"`
}

// X509Thumbprint holds two hex thumbprints.
type X509Thumbprint struct {
	PrimaryThumbprint   string `json:"primaryThumbprint"`
	SecondaryThumbprint string `json:"secondaryThumbprint"`
}

// Key is the primary key, or "" for an identity without keys.
func (id Identity) Key() string {
	if id.Authentication.SymmetricKey == nil {
		return ""
	}
	return id.Authentication.SymmetricKey.PrimaryKey
}

// String is the connection string of the identity.
func (id Identity) String() string {
	s := "HostName=" + Host + ";DeviceId=" + id.DeviceID
	if id.ModuleID != "" {
		s += ";ModuleId=" + id.ModuleID
	}
	if id.Key() == "" {
		return s + ";x509=true"
	}
	return s + ";SharedAccessKey=" + id.Key()
}

// Resource is the text that tokens of the identity sign: its address, percent-encoded.
func (id Identity) Resource() string {
	r := Host + "/devices/" + id.DeviceID
	if id.ModuleID != "" {
		r += "/modules/" + id.ModuleID
	}
	return url.QueryEscape(r)
}

// Token is a SAS token of the identity.
func (id Identity) Token() string { return Token(id.Resource(), id.Key(), "") }

// Path is where the identity stands in the service API.
func (id Identity) Path() string {
	p := "/devices/" + url.PathEscape(id.DeviceID)
	if id.ModuleID != "" {
		p += "/modules/" + url.PathEscape(id.ModuleID)
	}
	return p
}

// AddDevice registers a device with keys of the hub's making.
func (h *Hub) AddDevice(id string) Identity {
	h.tb.Helper()
	return h.Put(Identity{DeviceID: id, Authentication: Authentication{Type: "sas"}}, "")
}

// AddModule registers a module with keys of the hub's making.
func (h *Hub) AddModule(device, module string) Identity {
	h.tb.Helper()
	return h.Put(Identity{DeviceID: device, ModuleID: module, Authentication: Authentication{Type: "sas"}}, "")
}

// Put writes an identity; ifMatch "" creates it.
func (h *Hub) Put(id Identity, ifMatch string) Identity {
	h.tb.Helper()
	body, err := json.Marshal(id)
	if err != nil {
		h.tb.Fatal(err)
	}
	var header []string
	if ifMatch != "" {
		header = []string{"If-Match", ifMatch}
	}
	var out Identity
	h.Request(http.MethodPut, id.Path(), string(body), header...).Want(h.tb, http.StatusOK).JSON(h.tb, &out)
	return out
}

// Get reads an identity.
func (h *Hub) Get(id Identity) Identity {
	h.tb.Helper()
	var out Identity
	h.Request(http.MethodGet, id.Path(), "").Want(h.tb, http.StatusOK).JSON(h.tb, &out)
	return out
}
