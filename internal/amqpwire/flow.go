package amqpwire

// Flow is the state of a session's windows and, with a handle, of a link's credit
// (AMQP 2.7.4). Properties are borrowed.
type Flow struct {
	NextIncomingID Opt[uint32] // absent before the peer's begin was seen
	IncomingWindow uint32
	NextOutgoingID uint32
	OutgoingWindow uint32
	Handle         Opt[uint32] // absent: the session only
	DeliveryCount  Opt[uint32]
	LinkCredit     Opt[uint32]
	Available      Opt[uint32]
	Drain          bool
	Echo           bool
	Properties     Value
}
