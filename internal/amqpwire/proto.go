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
