package iot

import (
	"fmt"
	"time"
)

// timeLayout is UTC with a trailing Z and up to seven fractional digits, which is
// what every client of the service API can read (service-rest A.6).
const timeLayout = "2006-01-02T15:04:05.9999999Z"

// maxTimeText is the longest text, in bytes, that is read as a time.
const maxTimeText = 64

// Time is an instant as the service API writes it: UTC, trailing Z, 100 ns
// precision. The zero Time is "0001-01-01T00:00:00Z", Azure's word for "never";
// it is never null.
type Time struct{ time.Time }

// TimeOf makes a Time of t, cut to 100 ns.
func TimeOf(t time.Time) Time { return Time{t.UTC().Truncate(100)} }

// String gives the text that stands in JSON.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

// MarshalText gives the text that stands in JSON.
func (t Time) MarshalText() ([]byte, error) {
	return t.UTC().AppendFormat(nil, timeLayout), nil
}

// MarshalJSON gives the text as a JSON string.
func (t Time) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, len(timeLayout)+2), '"')
	return append(t.UTC().AppendFormat(b, timeLayout), '"'), nil
}

// UnmarshalText reads a time with a zone, or without one, which then is UTC
// (PUT-create answers of the real hub omit the Z). The empty text is the zero Time.
func (t *Time) UnmarshalText(b []byte) error {
	if len(b) > maxTimeText {
		return fmt.Errorf("a time of %d bytes is too long", len(b))
	}
	s := string(b)
	if s == "" {
		*t = Time{}
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if at, err := time.Parse(layout, s); err == nil {
			*t = Time{at.UTC()}
			return nil
		}
	}
	return fmt.Errorf("%q is not a time; write it like 2026-01-31T09:30:00Z", s)
}

// UnmarshalJSON reads a JSON string as UnmarshalText does; null is the zero Time.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = Time{}
		return nil
	}
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return fmt.Errorf("a time must be a JSON string")
	}
	return t.UnmarshalText(b[1 : len(b)-1])
}

// unixTicks is the number of 100 ns ticks from year 1 to 1970.
const unixTicks = 621_355_968_000_000_000

// Ticks counts the 100 ns intervals from year 1 to t, as .NET does: the form of a
// generationId. It is 0 for the zero time.
func Ticks(t time.Time) uint64 {
	return uint64(t.Unix()*10_000_000 + int64(t.Nanosecond())/100 + unixTicks)
}

// TicksTime is the inverse of Ticks.
func TicksTime(ticks uint64) time.Time {
	n := int64(ticks) - unixTicks
	return time.Unix(n/10_000_000, n%10_000_000*100).UTC()
}
