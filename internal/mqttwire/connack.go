package mqttwire

// ReturnCode is a CONNACK return code (MQTT 3.2.2.3).
type ReturnCode byte

// The CONNACK return codes.
const (
	Accepted ReturnCode = iota
	RefusedVersion
	RefusedClientID
	RefusedUnavailable
	RefusedCredentials
	RefusedNotAuthorized
)

// Connack answers a CONNECT.
type Connack struct {
	SessionPresent bool
	Code           ReturnCode
}

func (f Frame) connack() (Connack, error) {
	c := cursor{b: f.Body}
	flags, code := c.byte(), ReturnCode(c.byte())
	v := Connack{SessionPresent: flags&1 != 0, Code: code}
	switch {
	case c.end() != nil:
		return Connack{}, c.err
	case flags&^1 != 0:
		return Connack{}, errAckFlags
	case code > RefusedNotAuthorized:
		return Connack{}, errReturnCode
	case v.SessionPresent && code != Accepted:
		return Connack{}, errAckSession
	}
	return v, nil
}

// Append writes the packet behind b.
func (v Connack) Append(b []byte) []byte {
	var flags byte
	if v.SessionPresent {
		flags = 1
	}
	return append(appendHeader(b, TypeConnack, 0, 2), flags, byte(v.Code))
}

// ReasonUnsupportedVersion is MQTT 5's "Unsupported Protocol Version".
const ReasonUnsupportedVersion = 0x84

// AppendConnack5 writes a refusing CONNACK of MQTT 5 with a reason and no properties
// (MQTT 5, 3.2): what a client of that version can read.
func AppendConnack5(b []byte, reason byte) []byte {
	return append(appendHeader(b, TypeConnack, 0, 3), 0, reason, 0)
}
