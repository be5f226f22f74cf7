package amqpwire

// Unlimited is what an absent max-frame-size or handle-max means.
const Unlimited = 1<<32 - 1

// Open is a container's announcement (AMQP 2.7.1). Text and bytes are its own.
type Open struct {
	ContainerID         string
	Hostname            string
	MaxFrameSize        uint32 // Unlimited if absent
	ChannelMax          uint16 // 65535 if absent
	IdleTimeOut         uint32 // milliseconds, 0 for none
	OutgoingLocales     []string
	IncomingLocales     []string
	OfferedCapabilities []string
	DesiredCapabilities []string
	Properties          Value // null, or a map with symbol keys
}

// Close ends a connection (AMQP 2.7.9).
type Close struct {
	Error *Error // nil for none
}
