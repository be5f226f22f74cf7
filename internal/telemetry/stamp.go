package telemetry

import "github.com/berth-iot/berth/internal/iot"

// stamps remembers senders, so that a reader gives the same one again without a copy,
// and no caller that keeps a device id holds a whole block.
type stamps map[string]iot.Stamp

// of gives the stamp that b encodes.
func (s stamps) of(b []byte) iot.Stamp {
	if known, ok := s[string(b)]; ok {
		return known
	}
	if len(s) >= maxStamps {
		clear(s)
	}
	stamp := decodeStamp(b)
	s[string(b)] = stamp
	return stamp
}
