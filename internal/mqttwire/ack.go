package mqttwire

import "encoding/binary"

// Puback acknowledges a PUBLISH of QoS 1.
type Puback struct{ ID uint16 }

// Pubrec is the first answer to a PUBLISH of QoS 2.
type Pubrec struct{ ID uint16 }

// Pubrel releases a PUBLISH of QoS 2.
type Pubrel struct{ ID uint16 }

// Pubcomp completes a PUBLISH of QoS 2.
type Pubcomp struct{ ID uint16 }

// Unsuback answers an UNSUBSCRIBE.
type Unsuback struct{ ID uint16 }

// ack reads the body of a packet that is an identifier and nothing else.
func (f Frame) ack() (Packet, error) {
	c := cursor{b: f.Body}
	id := c.id()
	if err := c.end(); err != nil {
		return nil, err
	}
	switch f.Type {
	case TypePuback:
		return Puback{id}, nil
	case TypePubrec:
		return Pubrec{id}, nil
	case TypePubrel:
		return Pubrel{id}, nil
	case TypePubcomp:
		return Pubcomp{id}, nil
	default:
		return Unsuback{id}, nil
	}
}

// Append writes the packet behind b.
func (v Puback) Append(b []byte) []byte { return appendAck(b, TypePuback, 0, v.ID) }

// Append writes the packet behind b.
func (v Pubrec) Append(b []byte) []byte { return appendAck(b, TypePubrec, 0, v.ID) }

// Append writes the packet behind b.
func (v Pubrel) Append(b []byte) []byte { return appendAck(b, TypePubrel, 0b0010, v.ID) }

// Append writes the packet behind b.
func (v Pubcomp) Append(b []byte) []byte { return appendAck(b, TypePubcomp, 0, v.ID) }

// Append writes the packet behind b.
func (v Unsuback) Append(b []byte) []byte { return appendAck(b, TypeUnsuback, 0, v.ID) }

func appendAck(b []byte, t Type, flags byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(appendHeader(b, t, flags, 2), id)
}
