package iot

import "strings"

// Right is what a shared access policy may do: a set of flags.
type Right uint8

// The rights of Azure's shared access policies (service-rest A.2).
const (
	RegistryRead Right = 1 << iota
	registryWriteOnly
	ServiceConnect
	DeviceConnect

	// RegistryWrite implies RegistryRead.
	RegistryWrite = RegistryRead | registryWriteOnly
	// AllRights is what iothubowner holds.
	AllRights = RegistryWrite | ServiceConnect | DeviceConnect
)

// Has reports whether r holds all of need.
func (r Right) Has(need Right) bool { return r&need == need }

// String joins the names of the rights with commas.
func (r Right) String() string {
	var names []string
	if r.Has(RegistryWrite) {
		names = append(names, "RegistryWrite")
	} else if r.Has(RegistryRead) {
		names = append(names, "RegistryRead")
	}
	if r.Has(ServiceConnect) {
		names = append(names, "ServiceConnect")
	}
	if r.Has(DeviceConnect) {
		names = append(names, "DeviceConnect")
	}
	return strings.Join(names, ",")
}

// Policy is a shared access policy: a name, two keys and what they permit.
type Policy struct {
	Name      string
	Primary   []byte // decoded key, 16 to 64 bytes
	Secondary []byte
	Rights    Right
}
