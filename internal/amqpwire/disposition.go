package amqpwire

// Disposition tells the state of deliveries First to Last (AMQP 2.7.6). State is
// borrowed.
type Disposition struct {
	Role      Role
	First     uint32
	Last      uint32 // First if absent
	Settled   bool
	State     State // nil for none
	Batchable bool
}

// Disposition reads the body of a disposition. It allocates nothing unless the state is
// other than accepted or released.
func (f Frame) Disposition() (Disposition, error) {
	var in fields
	c, n, err := in.enter(f.Body)
	switch {
	case err != nil:
		return Disposition{}, err
	case c != CodeDisposition || f.Type != FrameAMQP:
		return Disposition{}, errWrongFrame
	}
	d := Disposition{Role: Role(in.mustBool()), First: in.mustUint()}
	d.Last = in.uint().Or(d.First)
	d.Settled = in.bool()
	d.State = in.state()
	d.Batchable = in.bool()
	if err := in.end(); err != nil {
		return Disposition{}, err
	}
	if n != len(f.Body) {
		return Disposition{}, errTrailing
	}
	return d, nil
}

// Append writes the performative behind b.
func (d Disposition) Append(b []byte) []byte {
	l := openComposite(b, CodeDisposition)
	l.bool(bool(d.Role))
	l.uint(d.First)
	l.uintBut(d.Last, d.First)
	l.flag(d.Settled)
	l.state(d.State)
	l.flag(d.Batchable)
	return l.whole()
}

// AppendFrame writes a whole frame behind b.
func (d Disposition) AppendFrame(b []byte, channel uint16) []byte {
	b, at := openFrame(b, FrameAMQP, channel)
	return closeFrame(d.Append(b), at, 0)
}
