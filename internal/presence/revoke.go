package presence

import (
	"github.com/berth-iot/berth/internal/arbiter"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Revoke fences the holder of an identity, because the identity may no longer be
// spoken for with what the holder showed: code and reason say why. It concerns the
// session that holds when it is called; a later claim is judged by the registry. It
// does not wait: if somebody is at work on the identity, he does it before he goes
// on.
func (p *Presence) Revoke(id iot.Identity, code fault.Code, reason string) {
	if s := p.shard(id.Device).find(id); s != nil {
		s.revoke(causeOf(code), code, reason)
	}
}

// RevokeDevice fences the holders of a device and of all its modules. See Revoke.
func (p *Presence) RevokeDevice(dev string, code fault.Code, reason string) {
	for _, s := range p.shard(dev).family(dev) {
		s.revoke(causeOf(code), code, reason)
	}
}

// RevokeWhere fences every session that match is true of. match is called without
// any lock and must not change the party. See Revoke.
func (p *Presence) RevokeWhere(match func(*device.Party) bool, code fault.Code, reason string) {
	for _, sh := range p.shards {
		for _, s := range sh.seats() {
			if match(s.party) {
				s.revoke(causeOf(code), code, reason)
			}
		}
	}
}

// causeOf gives the arbiter's word for a code.
func causeOf(code fault.Code) arbiter.Cause {
	switch code {
	case fault.DeviceDisabled:
		return arbiter.Disabled
	case fault.DeviceNotFound, fault.ModuleNotFound:
		return arbiter.Deleted
	case fault.ConnectionForcefullyClosed:
		return arbiter.Stopped
	default:
		return arbiter.Disproved
	}
}
