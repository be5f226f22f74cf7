package amqpwire

// Proto is what a protocol header asks for (AMQP 2.2, 5.2.1, 5.3.2).
type Proto byte

// The protocols.
const (
	ProtoAMQP Proto = 0
	ProtoTLS  Proto = 2
	ProtoSASL Proto = 3
)

// ProtoLen is how many bytes a protocol header has.
const ProtoLen = 8

// ProtoHeader is one protocol header. A header of another protocol or version than ours
// is no error: it is answered with ours (AMQP 2.2).
type ProtoHeader struct {
	Proto                  Proto
	Major, Minor, Revision byte
}

const magic = "AMQP"

// SplitProto takes a protocol header from the front of b. Bytes that no header begins
// with are refused at once; ErrShort means that all is well so far.
func SplitProto(b []byte) (h ProtoHeader, n int, err error) {
	if l := min(len(b), len(magic)); string(b[:l]) != magic[:l] {
		return ProtoHeader{}, 0, errProto
	}
	if len(b) < ProtoLen {
		return ProtoHeader{}, 0, ErrShort
	}
	return ProtoHeader{Proto(b[4]), b[5], b[6], b[7]}, ProtoLen, nil
}

// Supported says whether the header asks for version 1.0.0 of a protocol.
func (h ProtoHeader) Supported(p Proto) bool { return h == ProtoHeader{Proto: p, Major: 1} }

// AppendProto writes the header of a protocol's version 1.0.0.
func AppendProto(b []byte, p Proto) []byte { return append(append(b, magic...), byte(p), 1, 0, 0) }
