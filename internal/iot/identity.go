package iot

import "strings"

// MaxIDLength is the longest device or module id, in bytes
// (Azure: "a case-sensitive string (up to 128 characters long)").
const MaxIDLength = 128

// Identity names one device, or one module of a device. It is the unit of
// arbitration: at most one live connection holds an Identity.
type Identity struct {
	Device string
	Module string // empty for the device itself
}

// IsModule reports whether the identity is a module.
func (id Identity) IsModule() bool { return id.Module != "" }

// String gives "device" or "device/module", the MQTT client id of the identity.
func (id Identity) String() string {
	if id.Module == "" {
		return id.Device
	}
	return id.Device + "/" + id.Module
}

// Owner is the identity of the device itself, also for a module.
func (id Identity) Owner() Identity { return Identity{Device: id.Device} }

// ValidID reports whether s may name a device or a module: 1 to 128 characters of
// A-Z a-z 0-9 and - : . + % _ # * ? ! ( ) , = @ ; $ ' (service-rest B.1).
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > MaxIDLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-:.+%_#*?!(),=@;$'", c) >= 0:
		default:
			return false
		}
	}
	return true
}
