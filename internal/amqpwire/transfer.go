package amqpwire

// Transfer carries a message, or a part of one (AMQP 2.7.5). Tag, State and Payload are
// borrowed.
type Transfer struct {
	Handle             uint32
	DeliveryID         Opt[uint32] // absent if the frame continues a delivery
	Tag                []byte      // nil if the frame continues a delivery
	MessageFormat      Opt[uint32]
	Settled            Opt[bool]
	More               bool
	ReceiverSettleMode Opt[ReceiverSettleMode]
	State              State // nil for none
	Resume             bool
	Aborted            bool
	Batchable          bool
	Payload            []byte // what follows the performative
}
