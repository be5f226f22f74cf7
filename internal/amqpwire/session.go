package amqpwire

// Begin starts a session on a channel (AMQP 2.7.2). Text and bytes are its own.
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

func readBegin(p *Begin, f *fields) {
	p.RemoteChannel = f.ushort()
	p.NextOutgoingID = f.mustUint()
	p.IncomingWindow = f.mustUint()
	p.OutgoingWindow = f.mustUint()
	p.HandleMax = f.uint().Or(Unlimited)
	p.OfferedCapabilities = f.symbols()
	p.DesiredCapabilities = f.symbols()
	p.Properties = f.mapping()
}

// Append writes the performative behind b.
func (p Begin) Append(b []byte) []byte {
	l := openComposite(b, CodeBegin)
	if p.RemoteChannel.Set {
		l.ushort(p.RemoteChannel.V)
	} else {
		l.skip()
	}
	l.uint(p.NextOutgoingID)
	l.uint(p.IncomingWindow)
	l.uint(p.OutgoingWindow)
	l.uintBut(p.HandleMax, Unlimited)
	l.symbols(p.OfferedCapabilities)
	l.symbols(p.DesiredCapabilities)
	l.value(p.Properties)
	return l.whole()
}

// End ends a session (AMQP 2.7.8).
type End struct {
	Error *Error // nil for none
}

func readEnd(e *End, f *fields) { e.Error = readError(f) }

// Append writes the performative behind b.
func (e End) Append(b []byte) []byte {
	l := openComposite(b, CodeEnd)
	l.error(e.Error)
	return l.whole()
}
