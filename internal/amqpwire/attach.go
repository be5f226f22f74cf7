package amqpwire

// Role is the end of a link (AMQP 2.8.1).
type Role bool

// The ends of a link.
const (
	RoleSender   Role = false
	RoleReceiver Role = true
)

// SenderSettleMode is when a sender settles (AMQP 2.8.2).
type SenderSettleMode byte

// The sender's modes.
const (
	SenderUnsettled SenderSettleMode = iota
	SenderSettled
	SenderMixed // if absent
)

// ReceiverSettleMode is when a receiver settles (AMQP 2.8.3).
type ReceiverSettleMode byte

// The receiver's modes.
const (
	ReceiverFirst ReceiverSettleMode = iota // if absent
	ReceiverSecond
)

// Attach attaches a link to a session (AMQP 2.7.3).
type Attach struct {
	Name                 string
	Handle               uint32
	Role                 Role
	SenderSettleMode     SenderSettleMode
	ReceiverSettleMode   ReceiverSettleMode
	Source               *Source // nil for none: a refusal
	Target               Target  // nil for none: a refusal
	Unsettled            Value   // null, or a map of delivery-tag to state
	IncompleteUnsettled  bool
	InitialDeliveryCount uint32 // written by senders only
	MaxMessageSize       uint64 // 0 for no limit
	OfferedCapabilities  []string
	DesiredCapabilities  []string
	Properties           Value // null, or a map with symbol keys
}

// Detach takes a link off its session (AMQP 2.7.7).
type Detach struct {
	Handle uint32
	Closed bool
	Error  *Error // nil for none
}
