package amqpwire

import "math"

// Unlimited is what an absent max-frame-size or handle-max means.
const Unlimited = math.MaxUint32

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

func readOpen(o *Open, f *fields) {
	o.ContainerID = f.must(KindString)
	o.Hostname = f.string()
	o.MaxFrameSize = f.uint().Or(Unlimited)
	o.ChannelMax = f.ushort().Or(math.MaxUint16)
	o.IdleTimeOut = f.uint().V
	o.OutgoingLocales = f.symbols()
	o.IncomingLocales = f.symbols()
	o.OfferedCapabilities = f.symbols()
	o.DesiredCapabilities = f.symbols()
	o.Properties = f.mapping()
}

// Append writes the performative behind b.
func (o Open) Append(b []byte) []byte {
	l := openComposite(b, CodeOpen)
	l.text(fmtString8, o.ContainerID)
	l.optText(fmtString8, o.Hostname)
	l.uintBut(o.MaxFrameSize, Unlimited)
	if o.ChannelMax == math.MaxUint16 {
		l.skip()
	} else {
		l.ushort(o.ChannelMax)
	}
	l.uintBut(o.IdleTimeOut, 0)
	l.symbols(o.OutgoingLocales)
	l.symbols(o.IncomingLocales)
	l.symbols(o.OfferedCapabilities)
	l.symbols(o.DesiredCapabilities)
	l.value(o.Properties)
	return l.whole()
}

// Close ends a connection (AMQP 2.7.9).
type Close struct {
	Error *Error // nil for none
}

func readClose(c *Close, f *fields) { c.Error = readError(f) }

// Append writes the performative behind b.
func (c Close) Append(b []byte) []byte {
	l := openComposite(b, CodeClose)
	l.error(c.Error)
	return l.whole()
}
