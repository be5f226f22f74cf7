package amqpwire

// Begin starts a session on a channel (AMQP 2.7.2).
type Begin struct {
	RemoteChannel       Opt[uint16] // set by the one who answers
	NextOutgoingID      uint32
	IncomingWindow      uint32
	OutgoingWindow      uint32
	HandleMax           uint32 // Unlimited if absent
	OfferedCapabilities []string
	DesiredCapabilities []string
	Properties          Value // null, or a map with symbol keys
}

// End ends a session (AMQP 2.7.8).
type End struct {
	Error *Error // nil for none
}
