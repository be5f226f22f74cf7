package iot

import "encoding/json"

// NullString is a text of the service API for which null, "" and absence mean the
// same: not set. It is written as null when empty.
type NullString string

// MarshalJSON writes null for the empty text.
func (s NullString) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}

// Scopes are device scopes; never null in an answer (service-rest B.1).
type Scopes []string

// MarshalJSON writes [] for nil.
func (s Scopes) MarshalJSON() ([]byte, error) {
	if s == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]string(s))
}
