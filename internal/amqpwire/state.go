package amqpwire

// State is the state of a delivery (AMQP 3.4): one of the types below.
//
//sumtype:decl
type State interface {
	// Append writes the state behind b.
	Append(b []byte) []byte
	state()
}

// Received is how far a receiver is (AMQP 3.4.1). It is no outcome.
type Received struct {
	SectionNumber uint32
	SectionOffset uint64
}

// Accepted is the outcome of a message that was taken (AMQP 3.4.2).
type Accepted struct{}

// Rejected is the outcome of a message that cannot be processed (AMQP 3.4.3).
type Rejected struct {
	Error *Error // nil for none
}

// Released is the outcome of a message that was not processed (AMQP 3.4.4).
type Released struct{}

// Modified is the outcome of a message that was not processed and is changed
// (AMQP 3.4.5).
type Modified struct {
	DeliveryFailed     bool
	UndeliverableHere  bool
	MessageAnnotations Value // null, or a map with symbol keys
}

// Other is a state of another part of the standard (declared, transactional-state) or
// of an extension.
type Other struct {
	Value Value // described
}

func (Received) state() {}
func (Accepted) state() {}
func (Rejected) state() {}
func (Released) state() {}
func (Modified) state() {}
func (Other) state()    {}

// state takes a field that is a delivery state.
func (f *fields) state() State {
	if f.left == 0 {
		return nil
	}
	b := f.rest()
	switch {
	case len(b) == 0, b[0] == fmtNull:
		f.has()
		return nil
	case len(b) > 3 && string(b[:4]) == accepted:
		f.at, f.left = f.at+4, f.left-1
		return Accepted{}
	}
	c, _, err := takeCode(b)
	if err != nil {
		f.fail(err)
		return nil
	}
	if c < CodeReceived || c > CodeModified {
		return Other{f.value()}
	}
	return f.outcome(c)
}

// accepted is the outcome as nearly everybody writes it.
const accepted = "\x00\x53\x24\x45"

// outcome takes a state of part 3 of the standard.
func (f *fields) outcome(c Code) (s State) {
	in, ok := f.composite(c)
	if !ok {
		return nil
	}
	switch c {
	case CodeAccepted:
		s = Accepted{}
	case CodeReleased:
		s = Released{}
	case CodeRejected:
		s = Rejected{readError(&in)}
	case CodeModified:
		s = Modified{DeliveryFailed: in.bool(), UndeliverableHere: in.bool(), MessageAnnotations: in.mapping()}
	default: // received
		r := Received{SectionNumber: in.mustUint()}
		r.SectionOffset = in.mustUlong()
		s = r
	}
	f.leave(&in)
	return s
}

// Append writes the state behind b.
func (s Received) Append(b []byte) []byte {
	l := openComposite(b, CodeReceived)
	l.uint(s.SectionNumber)
	l.put()
	l.b = AppendUlong(l.b, s.SectionOffset)
	return l.close()
}

// Append writes the state behind b.
func (Accepted) Append(b []byte) []byte { return append(b, accepted...) }

// Append writes the state behind b.
func (s Rejected) Append(b []byte) []byte {
	l := openComposite(b, CodeRejected)
	l.error(s.Error)
	return l.close()
}

// Append writes the state behind b.
func (Released) Append(b []byte) []byte { return append(appendCode(b, CodeReleased), fmtList0) }

// Append writes the state behind b.
func (s Modified) Append(b []byte) []byte {
	l := openComposite(b, CodeModified)
	l.flag(s.DeliveryFailed)
	l.flag(s.UndeliverableHere)
	l.value(s.MessageAnnotations)
	return l.close()
}

// Append writes the state behind b.
func (s Other) Append(b []byte) []byte { return s.Value.Append(b) }

// Error is the standard's error (AMQP 2.8.14), as detach, end, close and rejected carry
// it. It is no Go error: see DecodeError. Text and bytes are its own.
type Error struct {
	Condition   string // a symbol: CondNotFound ...
	Description string
	Info        Value // null, or a map with symbol keys
}

func readError(f *fields) *Error {
	in, ok := f.composite(CodeError)
	if !ok {
		return nil
	}
	in.own = true
	e := &Error{Condition: in.must(KindSymbol), Description: in.string(), Info: in.mapping()}
	f.leave(&in)
	return e
}

// error writes an error; nil is absent.
func (l *list) error(e *Error) {
	if e == nil {
		l.skip()
		return
	}
	l.put()
	in := openComposite(l.b, CodeError)
	in.text(fmtSymbol8, e.Condition)
	in.optText(fmtString8, e.Description)
	in.value(e.Info)
	l.b = in.whole()
}
