package mqttwire

// Type is an MQTT control packet type.
type Type byte

// The control packet types (MQTT 2.2.1).
const (
	TypeConnect Type = iota + 1
	TypeConnack
	TypePublish
	TypePuback
	TypePubrec
	TypePubrel
	TypePubcomp
	TypeSubscribe
	TypeSuback
	TypeUnsubscribe
	TypeUnsuback
	TypePingreq
	TypePingresp
	TypeDisconnect
)

// String gives the standard's name of the type.
func (t Type) String() string {
	switch t {
	case TypeConnect:
		return "CONNECT"
	case TypeConnack:
		return "CONNACK"
	case TypePublish:
		return "PUBLISH"
	case TypePuback:
		return "PUBACK"
	case TypePubrec:
		return "PUBREC"
	case TypePubrel:
		return "PUBREL"
	case TypePubcomp:
		return "PUBCOMP"
	case TypeSubscribe:
		return "SUBSCRIBE"
	case TypeSuback:
		return "SUBACK"
	case TypeUnsubscribe:
		return "UNSUBSCRIBE"
	case TypeUnsuback:
		return "UNSUBACK"
	case TypePingreq:
		return "PINGREQ"
	case TypePingresp:
		return "PINGRESP"
	case TypeDisconnect:
		return "DISCONNECT"
	}
	return "reserved"
}

// Frame is one packet with its body unread.
type Frame struct {
	Type  Type
	Flags byte   // the low four bits of the first byte
	Body  []byte // borrowed from the input
}

// Split takes one whole packet from the front of b and says how many bytes it is. A
// packet of more than limit bytes, header included, is refused as soon as its length
// is known, and so is a first byte or a length that no packet can have; ErrShort means
// that all is well so far. Nothing is allocated.
func Split(b []byte, limit int) (f Frame, n int, err error) {
	if len(b) == 0 {
		return Frame{}, 0, ErrShort
	}
	f.Type, f.Flags = Type(b[0]>>4), b[0]&0x0f
	if err := checkFirst(f.Type, f.Flags); err != nil {
		return Frame{}, 0, err
	}
	remaining, header, err := readLength(b[1:])
	if err != nil {
		return Frame{}, 0, err
	}
	header++
	total := header + remaining
	if total > limit {
		return Frame{}, 0, errTooLarge
	}
	if err := checkLength(f.Type, f.Flags, remaining); err != nil {
		return Frame{}, 0, err
	}
	if len(b) < total {
		return Frame{}, 0, ErrShort
	}
	f.Body = b[header:total:total]
	return f, total, nil
}

// checkFirst checks type and flags (MQTT 2.2.1, 2.2.2).
func checkFirst(t Type, flags byte) error {
	switch t {
	case TypePublish:
		if flags&0b0110 == 0b0110 {
			return errQoS // MQTT-3.3.1-4
		}
		if flags&0b1110 == 0b1000 {
			return errDup // MQTT-3.3.1-2
		}
		return nil
	case TypePubrel, TypeSubscribe, TypeUnsubscribe:
		if flags != 0b0010 {
			return errFlags // MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1
		}
		return nil
	case 0, 15:
		return errType
	default:
		if flags != 0 {
			return errFlags
		}
		return nil
	}
}

// readLength reads the remaining length (MQTT 2.2.3) and says how many bytes it took.
func readLength(b []byte) (length, n int, err error) {
	for shift := 0; shift < 28; shift += 7 {
		if n == len(b) {
			return 0, 0, ErrShort
		}
		c := b[n]
		n++
		length |= int(c&0x7f) << shift
		if c < 0x80 {
			return length, n, nil
		}
	}
	return 0, 0, errLength
}

// checkLength refuses, before the body is waited for, a length that cannot be right.
func checkLength(t Type, flags byte, remaining int) error {
	lo, hi := 0, MaxRemaining
	switch t {
	case TypeConnect:
		lo = 8 // name, level: what a VersionError needs; the body decides the rest
	case TypePublish:
		lo = 3
		if flags&0b0110 != 0 {
			lo = 5
		}
	case TypeConnack, TypePuback, TypePubrec, TypePubrel, TypePubcomp, TypeUnsuback:
		lo, hi = 2, 2
	case TypeSubscribe, TypeUnsubscribe:
		lo = 2
	case TypeSuback:
		lo, hi = 2, 2+MaxFilters
	default: // PINGREQ, PINGRESP, DISCONNECT
		hi = 0
	}
	if remaining < lo || remaining > hi {
		return errBodyLength
	}
	return nil
}

// appendHeader writes a fixed header.
func appendHeader(b []byte, t Type, flags byte, remaining int) []byte {
	b = append(b, byte(t)<<4|flags)
	for remaining > 0x7f {
		b = append(b, byte(remaining)|0x80)
		remaining >>= 7
	}
	return append(b, byte(remaining))
}
