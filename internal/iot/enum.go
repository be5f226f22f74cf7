package iot

import (
	"fmt"
	"strings"
)

// Status says whether an identity may connect.
type Status string

// The statuses of a device.
const (
	StatusEnabled  Status = "enabled"
	StatusDisabled Status = "disabled"
)

// UnmarshalText matches a status without regard to case; empty stays empty.
func (s *Status) UnmarshalText(b []byte) error {
	return setEnum(s, b, "status", StatusEnabled, StatusDisabled)
}

// ConnectionState says whether an identity has a live connection. It is written
// by the hub alone: what a client sends is kept as text and ignored.
type ConnectionState string

// The connection states.
const (
	Connected    ConnectionState = "Connected"
	Disconnected ConnectionState = "Disconnected"
)

// AuthenticationType is how an identity proves itself.
type AuthenticationType string

// The authentication types.
const (
	AuthenticationSAS        AuthenticationType = "sas"
	AuthenticationSelfSigned AuthenticationType = "selfSigned"
	AuthenticationCA         AuthenticationType = "certificateAuthority"
	AuthenticationNone       AuthenticationType = "none"
)

// UnmarshalText matches a type without regard to case; empty stays empty.
func (a *AuthenticationType) UnmarshalText(b []byte) error {
	return setEnum(a, b, "authentication type",
		AuthenticationSAS, AuthenticationSelfSigned, AuthenticationCA, AuthenticationNone)
}

// ImportMode is what a bulk item asks for.
type ImportMode string

// The import modes of a bulk item; absent is ImportCreateOrUpdate.
const (
	ImportCreateOrUpdate        ImportMode = "createOrUpdate"
	ImportCreate                ImportMode = "create"
	ImportUpdate                ImportMode = "update"
	ImportUpdateIfMatch         ImportMode = "updateIfMatchETag"
	ImportCreateOrUpdateIfMatch ImportMode = "createOrUpdateIfMatchETag"
	ImportDelete                ImportMode = "delete"
	ImportDeleteIfMatch         ImportMode = "deleteIfMatchETag"
	ImportUpdateTwin            ImportMode = "updateTwin"
	ImportUpdateTwinIfMatch     ImportMode = "updateTwinIfMatchETag"
)

// UnmarshalText matches a mode without regard to case (Explorer writes
// deleteIfMatchEtag); empty stays empty.
func (m *ImportMode) UnmarshalText(b []byte) error {
	return setEnum(m, b, "importMode",
		ImportCreateOrUpdate, ImportCreate, ImportUpdate, ImportUpdateIfMatch, ImportCreateOrUpdateIfMatch,
		ImportDelete, ImportDeleteIfMatch, ImportUpdateTwin, ImportUpdateTwinIfMatch)
}

// maxEnumText is how many bytes of an unknown name an error quotes.
const maxEnumText = 64

// setEnum sets *dst to the value whose name is b, letter case aside.
func setEnum[T ~string](dst *T, b []byte, what string, values ...T) error {
	if len(b) == 0 {
		*dst = ""
		return nil
	}
	for _, v := range values {
		if strings.EqualFold(string(v), string(b)) {
			*dst = v
			return nil
		}
	}
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	return fmt.Errorf("%s %.*q is not one of %s", what, maxEnumText, b, strings.Join(names, ", "))
}
