package amqpwire

// Durability is how much of a terminus survives (AMQP 3.5.5).
type Durability uint32

// The durabilities.
const (
	DurableNone Durability = iota
	DurableConfiguration
	DurableUnsettled
)

// The expiry policies of a terminus (AMQP 3.5.6).
const (
	ExpireLinkDetach      = "link-detach"
	ExpireSessionEnd      = "session-end" // if absent
	ExpireConnectionClose = "connection-close"
	ExpireNever           = "never"
)

// Source is where messages come from (AMQP 3.5.3).
type Source struct {
	Address               string // empty for null
	Durable               Durability
	ExpiryPolicy          string // ExpireSessionEnd if absent; written if not empty
	Timeout               uint32 // seconds
	Dynamic               bool
	DynamicNodeProperties Value  // null, or a map with symbol keys; lifetime-policy is a described list in it
	DistributionMode      string // empty for absent
	Filter                Value  // null, or a map of symbol to described value
	DefaultOutcome        State  // nil for none
	Outcomes              []string
	Capabilities          []string
}

// Target is where messages go: a *Node or a *Coordinator.
//
//sumtype:decl
type Target interface {
	// Append writes the target behind b.
	Append(b []byte) []byte
	target()
}

// Node is a target that is no coordinator (AMQP 3.5.4).
type Node struct {
	Address               string // empty for null
	Durable               Durability
	ExpiryPolicy          string // ExpireSessionEnd if absent; written if not empty
	Timeout               uint32 // seconds
	Dynamic               bool
	DynamicNodeProperties Value // null, or a map with symbol keys
	Capabilities          []string
}

// Coordinator is the target of a link that controls transactions (AMQP 4.5.1).
type Coordinator struct {
	Capabilities []string
}

func (*Node) target()        {}
func (*Coordinator) target() {}
