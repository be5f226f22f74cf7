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
