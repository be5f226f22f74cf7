package iot

import (
	"encoding/json"
	"fmt"
	"strings"
)

// KeyChoice says which keys of an identity are to be made anew.
type KeyChoice string

// The keys that can be made anew.
const (
	PrimaryKey   KeyChoice = "primaryKey"
	SecondaryKey KeyChoice = "secondaryKey"
	BothKeys     KeyChoice = "both"
)

// UnmarshalText matches a choice without regard to case.
func (k *KeyChoice) UnmarshalText(b []byte) error {
	return setEnum(k, b, "policyKey", PrimaryKey, SecondaryKey, BothKeys)
}

// KeyRegeneration is the body of POST /devices/keys/regenerate (service-rest B.2).
type KeyRegeneration struct {
	PolicyKey KeyChoice   `json:"policyKey"`
	Devices   []KeyTarget `json:"devices"`
}

// KeyTarget names one identity whose keys are to be made anew.
type KeyTarget struct {
	ID       string `json:"id"`
	ModuleID string `json:"moduleId,omitempty"`
}

// KeyRegenerationResult answers POST /devices/keys/regenerate: status 200 if every
// item went well, 400 if none did, else 207.
type KeyRegenerationResult struct {
	PolicyKey   KeyChoice    `json:"policyKey"`
	RotatedKeys []RotatedKey `json:"rotatedKeys"`
	Errors      []KeyError   `json:"errors"`
}

// MarshalJSON writes both lists, empty ones as [].
func (r KeyRegenerationResult) MarshalJSON() ([]byte, error) {
	if r.RotatedKeys == nil {
		r.RotatedKeys = []RotatedKey{}
	}
	if r.Errors == nil {
		r.Errors = []KeyError{}
	}
	type plain KeyRegenerationResult
	return json.Marshal(plain(r))
}

// RotatedKey is one identity with its keys as they are now.
type RotatedKey struct {
	ID           string     `json:"id"`
	ModuleID     NullString `json:"moduleId"`
	PrimaryKey   string     `json:"primaryKey"`
	SecondaryKey string     `json:"secondaryKey"`
}

// KeyError is one identity whose keys could not be made anew.
type KeyError struct {
	ID          string     `json:"id"`
	ModuleID    NullString `json:"moduleId"`
	ErrorCode   int        `json:"errorCode"`
	ErrorStatus string     `json:"errorStatus"`
}

// Check says what is wrong with a request to make keys anew: no choice, no
// targets, or more than MaxBulk.
func (k KeyRegeneration) Check() error {
	switch {
	case k.PolicyKey == "":
		return fmt.Errorf("policyKey must be one of %s", strings.Join([]string{string(PrimaryKey), string(SecondaryKey), string(BothKeys)}, ", "))
	case len(k.Devices) == 0 || len(k.Devices) > MaxBulk:
		return fmt.Errorf("devices must name 1 to %d identities", MaxBulk)
	}
	return nil
}
