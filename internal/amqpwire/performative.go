package amqpwire

// Performative is the body of an AMQP frame as a value: one of the nine types below.
//
//sumtype:decl
type Performative interface {
	// Append writes the performative behind b, and a transfer's payload.
	Append(b []byte) []byte
	performative()
}

func (Open) performative()        {}
func (Begin) performative()       {}
func (Attach) performative()      {}
func (Flow) performative()        {}
func (Transfer) performative()    {}
func (Disposition) performative() {}
func (Detach) performative()      {}
func (End) performative()         {}
func (Close) performative()       {}

// Decode reads the body of any AMQP frame. It boxes the value: a receiver of many
// messages asks Code and uses Transfer, Disposition and Flow.
func (f Frame) Decode() (Performative, error) {
	c, err := f.Code()
	if err != nil {
		return nil, err
	}
	switch c {
	case CodeTransfer:
		return boxed(f.Transfer())
	case CodeDisposition:
		return boxed(f.Disposition())
	case CodeFlow:
		return boxed(f.Flow())
	case CodeOpen:
		return read(f, readOpen)
	case CodeBegin:
		return read(f, readBegin)
	case CodeAttach:
		return read(f, readAttach)
	case CodeDetach:
		return read(f, readDetach)
	case CodeEnd:
		return read(f, readEnd)
	case CodeClose:
		return read(f, readClose)
	default:
		return nil, errWrongFrame
	}
}

// boxed gives no performative with an error.
func boxed[P Performative](p P, err error) (Performative, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// read reads a body that owns what it holds.
func read[P Performative](f Frame, fill func(*P, *fields)) (Performative, error) {
	var p P
	if err := readBody(f.Body, &p, fill); err != nil {
		return nil, err
	}
	return p, nil
}

// readBody reads a whole body.
func readBody[P any](b []byte, p *P, fill func(*P, *fields)) error {
	in := fields{own: true}
	_, n, err := in.enter(b)
	if err != nil {
		return err
	}
	fill(p, &in)
	if err := in.end(); err != nil {
		return err
	}
	if n != len(b) {
		return errTrailing
	}
	return nil
}
