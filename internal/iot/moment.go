package iot

import (
	"encoding/json"
	"fmt"
	"time"
)

// momentLayout is UTC with milliseconds, of fixed width.
const momentLayout = "2006-01-02T15:04:05.000Z"

// Moment is an instant as Berth's own documents write it: UTC, milliseconds, trailing
// Z ("2026-11-21T21:00:00.000Z"). The zero Moment is null: unknown, or never.
type Moment struct{ time.Time }

// MomentOf makes a Moment of t, cut to milliseconds; the zero time stays zero.
func MomentOf(t time.Time) Moment {
	if t.IsZero() {
		return Moment{}
	}
	return Moment{t.UTC().Truncate(time.Millisecond)}
}

// String gives the text that stands in JSON, or "" for the zero Moment.
func (m Moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.UTC().Format(momentLayout)
}

// MarshalJSON gives the text as a JSON string, or null.
func (m Moment) MarshalJSON() ([]byte, error) {
	if m.IsZero() {
		return []byte("null"), nil
	}
	return m.UTC().AppendFormat(nil, `"`+momentLayout+`"`), nil
}

// UnmarshalJSON reads null, or any time that Time reads.
func (m *Moment) UnmarshalJSON(b []byte) error {
	var t Time
	if err := json.Unmarshal(b, &t); err != nil {
		return fmt.Errorf("moment: %w", err)
	}
	*m = Moment(t)
	return nil
}
