package mqttwire

// Packet is one control packet as a value: one of the fourteen types below.
//
//sumtype:decl
type Packet interface {
	// Append writes the packet behind b.
	Append(b []byte) []byte
	packet()
}

func (Connect) packet()     {}
func (Connack) packet()     {}
func (Publish) packet()     {}
func (Puback) packet()      {}
func (Pubrec) packet()      {}
func (Pubrel) packet()      {}
func (Pubcomp) packet()     {}
func (Subscribe) packet()   {}
func (Suback) packet()      {}
func (Unsubscribe) packet() {}
func (Unsuback) packet()    {}
func (Pingreq) packet()     {}
func (Pingresp) packet()    {}
func (Disconnect) packet()  {}

// Decode takes one packet from the front of b and says how many bytes it was. limit is
// the greatest packet allowed, header included. The error is ErrShort, *VersionError or
// *Error. Bytes in the value are borrowed from b, text is copied.
//
// It boxes the value; a receiver of many messages uses Split and Frame.Publish.
func Decode(b []byte, limit int) (p Packet, n int, err error) {
	f, n, err := Split(b, limit)
	if err != nil {
		return nil, 0, err
	}
	p, err = f.Decode()
	if err != nil {
		return nil, 0, err
	}
	return p, n, nil
}

// Decode reads the body of any packet.
func (f Frame) Decode() (Packet, error) {
	switch f.Type {
	case TypeConnect:
		return boxed(f.Connect())
	case TypeConnack:
		return boxed(f.connack())
	case TypePublish:
		return boxed(f.Publish())
	case TypeSubscribe:
		return boxed(f.Subscribe())
	case TypeSuback:
		return boxed(f.suback())
	case TypeUnsubscribe:
		return boxed(f.Unsubscribe())
	case TypePuback, TypePubrec, TypePubrel, TypePubcomp, TypeUnsuback:
		return f.ack()
	case TypePingreq:
		return Pingreq{}, nil
	case TypePingresp:
		return Pingresp{}, nil
	case TypeDisconnect:
		return Disconnect{}, nil
	default:
		return nil, errType
	}
}

// boxed gives no packet with an error.
func boxed[P Packet](p P, err error) (Packet, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}
