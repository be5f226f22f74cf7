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

// Error is the standard's error (AMQP 2.8.14), as detach, end, close and rejected carry
// it. It is no Go error: see DecodeError. Text and bytes are its own.
type Error struct {
	Condition   string // a symbol: CondNotFound ...
	Description string
	Info        Value // null, or a map with symbol keys
}
