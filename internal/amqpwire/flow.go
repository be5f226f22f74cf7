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
	Properties     Value // null, or a map with symbol keys
}

// Flow reads the body of a flow. It allocates nothing.
func (f Frame) Flow() (Flow, error) {
	var in fields
	c, n, err := in.enter(f.Body)
	switch {
	case err != nil:
		return Flow{}, err
	case c != CodeFlow || f.Type != FrameAMQP:
		return Flow{}, errWrongFrame
	}
	p := Flow{
		NextIncomingID: in.uint(),
		IncomingWindow: in.mustUint(),
		NextOutgoingID: in.mustUint(),
		OutgoingWindow: in.mustUint(),
		Handle:         in.uint(),
		DeliveryCount:  in.uint(),
		LinkCredit:     in.uint(),
		Available:      in.uint(),
		Drain:          in.bool(),
		Echo:           in.bool(),
		Properties:     in.mapping(),
	}
	if err := in.end(); err != nil {
		return Flow{}, err
	}
	if n != len(f.Body) {
		return Flow{}, errTrailing
	}
	return p, nil
}

// Append writes the performative behind b.
func (p Flow) Append(b []byte) []byte {
	l := openComposite(b, CodeFlow)
	l.optUint(p.NextIncomingID)
	l.uint(p.IncomingWindow)
	l.uint(p.NextOutgoingID)
	l.uint(p.OutgoingWindow)
	l.optUint(p.Handle)
	l.optUint(p.DeliveryCount)
	l.optUint(p.LinkCredit)
	l.optUint(p.Available)
	l.flag(p.Drain)
	l.flag(p.Echo)
	l.value(p.Properties)
	return l.whole()
}

// AppendFrame writes a whole frame behind b.
func (p Flow) AppendFrame(b []byte, channel uint16) []byte {
	b, at := openFrame(b, FrameAMQP, channel)
	return closeFrame(p.Append(b), at, 0)
}
