package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes in the file: a whole number with or without a unit,
// such as "2GB" (powers of 1000), "512MiB" (powers of 1024) or 1048576.
type Size int64

// errSize says how to write a number of bytes.
var errSize = errors.New(`write a number of bytes such as "2GB", "512MiB" or 1048576`)

// unit is a unit of Size.
type unit struct {
	name  string
	bytes int64
}

// units lists the units, greater ones first, and of equal endings the longer first.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40},
		{"TB", 1e12},
		{"GiB", 1 << 30},
		{"GB", 1e9},
		{"MiB", 1 << 20},
		{"MB", 1e6},
		{"KiB", 1 << 10},
		{"KB", 1e3},
		{"B", 1},
	}
}

// UnmarshalText reads a number of bytes that is not negative; letter case in a unit
// does not matter.
func (s *Size) UnmarshalText(b []byte) error {
	text, factor := strings.TrimSpace(string(b)), int64(1)
	for _, u := range units() {
		if n := len(text) - len(u.name); n > 0 && strings.EqualFold(text[n:], u.name) {
			text, factor = strings.TrimSpace(text[:n]), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return errSize
	}
	*s = Size(n * factor)
	return nil
}

// MarshalText writes the size as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the size in the greatest unit that it is a whole number of.
func (s Size) String() string {
	for _, u := range units() {
		if int64(s) >= u.bytes && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}
