package amqpwire

const (
	// MinMaxFrameSize is the least that a peer may announce as its greatest frame, in
	// bytes (AMQP 2.7.1), and the greatest frame before open and during SASL.
	MinMaxFrameSize = 512

	// MaxDepth is how many composed or described values may lie in each other. A filter
	// of a client known lies six deep, counted from its attach.
	MaxDepth = 32

	// MaxEmpty is how many elements an array may have whose elements take no bytes
	// (null, true, uint0, list0 ...), because nothing else bounds them.
	MaxEmpty = 256
)
