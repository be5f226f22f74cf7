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
