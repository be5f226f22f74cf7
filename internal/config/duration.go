package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span in the file: a number and a unit, such as "90s", "5m",
// "24h" or "7d", or several together.
type Duration time.Duration

// errDuration says how to write a time span.
var errDuration = errors.New(`write a time span with its unit, such as "90s", "5m", "24h" or "7d"`)

// Std gives the span as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalText reads a time span that is not negative; a day is 24 hours.
func (d *Duration) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(string(b))
	if s == "0" {
		*d = 0
		return nil
	}
	if s == "" {
		return errDuration
	}
	var days time.Duration
	if n, rest, ok := strings.Cut(s, "d"); ok {
		v, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return errDuration
		}
		days, s = time.Duration(v)*24*time.Hour, rest
	}
	var rest time.Duration
	if s != "" {
		var err error
		if rest, err = time.ParseDuration(s); err != nil {
			return errDuration
		}
	}
	if rest < 0 || days+rest < 0 {
		return errDuration
	}
	*d = Duration(days + rest)
	return nil
}

// MarshalText writes the span as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the span without units that are nought: "24h", not "24h0m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
