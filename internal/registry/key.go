package registry

import (
	"strings"

	"github.com/berth-iot/berth/internal/iot"
)

// The keys of the store. Ids never hold '/'.
const (
	deviceKeys = "reg/d/"
	moduleKeys = "reg/m/"
	caKey      = "reg/ca"

	enabledIndex  = "reg/status/enabled/"
	disabledIndex = "reg/status/disabled/"

	countDevices  = "reg/devices"
	countDisabled = "reg/disabled"
	countModules  = "reg/modules"
)

// key is where an identity is stored.
func key(id iot.Identity) string {
	if id.IsModule() {
		return modulePrefix(id.Device) + id.Module
	}
	return deviceKeys + id.Device
}

// modulePrefix begins the keys of a device's modules.
func modulePrefix(dev string) string { return moduleKeys + dev + "/" }

// statusIndex is the secondary key of a device's record.
func statusIndex(dev string, rec *record) []string {
	if rec.disabled {
		return []string{disabledIndex + dev}
	}
	return []string{enabledIndex + dev}
}

// isIdentity reports whether a key is that of an identity's record.
func isIdentity(k string) bool {
	return strings.HasPrefix(k, deviceKeys) || strings.HasPrefix(k, moduleKeys)
}

// identityOf is the inverse of key.
func identityOf(k string) iot.Identity {
	if rest, ok := strings.CutPrefix(k, moduleKeys); ok {
		dev, mod, _ := strings.Cut(rest, "/")
		return iot.Identity{Device: dev, Module: mod}
	}
	return iot.Identity{Device: strings.TrimPrefix(k, deviceKeys)}
}
