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

// maxTag is the length of the longest delivery tag (AMQP 2.8.7).
const maxTag = 32

// Transfer reads the body of a transfer. It allocates nothing unless the state is other
// than accepted or released.
func (f Frame) Transfer() (t Transfer, err error) {
	var in fields
	c, n, err := in.enter(f.Body)
	switch {
	case err != nil:
		return Transfer{}, err
	case c != CodeTransfer || f.Type != FrameAMQP:
		return Transfer{}, errWrongFrame
	}
	t.Handle = in.mustUint()
	t.DeliveryID = in.uint()
	t.Tag = in.binary()
	t.MessageFormat = in.uint()
	if in.left > 0 {
		t.Settled = in.optBool()
		t.More = in.bool()
		m := in.ubyte(uint8(ReceiverSecond))
		t.ReceiverSettleMode = Opt[ReceiverSettleMode]{ReceiverSettleMode(m.V), m.Set}
		t.State = in.state()
		t.Resume = in.bool()
		t.Aborted = in.bool()
		t.Batchable = in.bool()
	}
	if len(t.Tag) > maxTag {
		in.fail(errFieldValue)
	}
	if err := in.end(); err != nil {
		return Transfer{}, err
	}
	t.Payload = f.Body[n:]
	return t, nil
}

// appendHead writes the performative without the payload.
func (t *Transfer) appendHead(b []byte) []byte {
	l := openComposite(b, CodeTransfer)
	l.uint(t.Handle)
	l.optUint(t.DeliveryID)
	l.bytes(fmtBinary8, t.Tag)
	l.optUint(t.MessageFormat)
	l.optBool(t.Settled)
	l.flag(t.More)
	if t.ReceiverSettleMode.Set {
		l.ubyte(uint8(t.ReceiverSettleMode.V))
	} else {
		l.skip()
	}
	l.state(t.State)
	l.flag(t.Resume)
	l.flag(t.Aborted)
	l.flag(t.Batchable)
	return l.whole()
}

// Append writes performative and payload behind b.
func (t Transfer) Append(b []byte) []byte { return append(t.appendHead(b), t.Payload...) }

// AppendFrame writes a whole frame, payload included, behind b.
func (t Transfer) AppendFrame(b []byte, channel uint16) []byte {
	return append(t.AppendHeader(b, channel, len(t.Payload)), t.Payload...)
}

// AppendHeader writes all of a frame but its payload, of which the caller puts n bytes
// behind it. t.Payload is not looked at.
func (t Transfer) AppendHeader(b []byte, channel uint16, n int) []byte {
	b, at := openFrame(b, FrameAMQP, channel)
	return closeFrame(t.appendHead(b), at, n)
}

// AppendPart writes one frame of at most maxFrame bytes (not less than MinMaxFrameSize)
// that carries as much of payload as fits, and gives the rest. If one is left, the
// frame says that more follows. t.Payload is not looked at.
func (t Transfer) AppendPart(b []byte, channel uint16, maxFrame int, payload []byte) (out, rest []byte) {
	at := len(b)
	out = t.AppendHeader(b, channel, len(payload))
	if len(out)-at+len(payload) <= maxFrame {
		return append(out, payload...), nil
	}
	t.More = true // may make the head longer, by a null or by itself
	out = t.AppendHeader(b, channel, 0)
	n := max(0, min(len(payload), maxFrame-(len(out)-at)))
	return append(closeFrame(out, at, n), payload[:n]...), payload[n:]
}
