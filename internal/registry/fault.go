package registry

import (
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// unreadable is what a failure of the store means to a caller.
const unreadable = "the identity could not be read or written"

// notFound says that an identity is not registered.
func notFound(op string, id iot.Identity) error {
	if id.IsModule() {
		return fault.New(fault.ModuleNotFound, op, "module %s of device %s is not registered", quote(id.Module), quote(id.Device))
	}
	return fault.New(fault.DeviceNotFound, op, "device %s is not registered", quote(id.Device))
}

// checkIdentity says what is wrong with the ids of a request: they need not be
// registered, but must be ids (service-rest A.6).
func checkIdentity(op string, id iot.Identity) error {
	switch {
	case !iot.ValidID(id.Device):
		return badID(op, "device", id.Device)
	case id.IsModule() && !iot.ValidID(id.Module):
		return badID(op, "module", id.Module)
	}
	return nil
}

// badID says that something cannot be an id.
func badID(op, what, id string) error {
	return fault.New(fault.ArgumentInvalid, op,
		"%s id %s is not 1 to %d characters of A-Z a-z 0-9 and -:.+%%_#*?!(),=@;$'", what, quote(id), iot.MaxIDLength)
}

// mismatch says that If-Match named another etag than the identity's.
func mismatch(op string, id iot.Identity) error {
	if id.IsModule() {
		return fault.New(fault.PreconditionFailed, op, "ETag mismatch for module ID %s of device ID %s", quote(id.Module), quote(id.Device))
	}
	return fault.New(fault.PreconditionFailed, op, "ETag mismatch for device ID %s", quote(id.Device))
}

// exists says that a new identity's id is taken.
func exists(op string, id iot.Identity) error {
	if id.IsModule() {
		return fault.New(fault.ModuleAlreadyExistsOnDevice, op,
			"A module with ID %s is already registered on device %s.", quote(id.Module), quote(id.Device))
	}
	return fault.New(fault.DeviceAlreadyExists, op, "A device with ID %s is already registered.", quote(id.Device))
}

// quote puts a peer's text into an error, in single quotes as Azure writes ids:
// no more than maxQuoted bytes of what cannot be an id, and nothing but printable
// ASCII of it.
func quote(s string) string {
	if iot.ValidID(s) {
		return "'" + s + "'"
	}
	b := []byte{'\''}
	for i := range len(s) {
		if i == maxQuoted {
			b = append(b, "..."...)
			break
		}
		c := s[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return string(append(b, '\''))
}
