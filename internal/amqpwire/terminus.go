package amqpwire

// Durability is how much of a terminus survives (AMQP 3.5.5).
type Durability uint32

// The durabilities.
const (
	DurableNone Durability = iota
	DurableConfiguration
	DurableUnsettledState
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
	ExpiryPolicy          string // empty for absent, which means ExpireSessionEnd
	Timeout               uint32 // seconds
	Dynamic               bool
	DynamicNodeProperties Value  // null, or a map with symbol keys
	DistributionMode      string // empty for absent
	Filter                Value  // null, or a map with symbol keys
	DefaultOutcome        State  // nil for none
	Outcomes              []string
	Capabilities          []string
}

func readSource(f *fields) *Source {
	in, ok := f.composite(CodeSource)
	if !ok {
		return nil
	}
	s := &Source{
		Address:               in.string(),
		Durable:               in.durability(),
		ExpiryPolicy:          in.symbol(),
		Timeout:               in.uint().V,
		Dynamic:               in.bool(),
		DynamicNodeProperties: in.mapping(),
		DistributionMode:      in.symbol(),
		Filter:                in.mapping(),
		DefaultOutcome:        in.state(),
		Outcomes:              in.symbols(),
		Capabilities:          in.symbols(),
	}
	f.leave(&in)
	return s
}

// Append writes the source behind b.
func (s *Source) Append(b []byte) []byte {
	l := openComposite(b, CodeSource)
	l.optText(fmtString8, s.Address)
	l.uintBut(uint32(s.Durable), 0)
	l.optText(fmtSymbol8, s.ExpiryPolicy)
	l.uintBut(s.Timeout, 0)
	l.flag(s.Dynamic)
	l.value(s.DynamicNodeProperties)
	l.optText(fmtSymbol8, s.DistributionMode)
	l.value(s.Filter)
	l.state(s.DefaultOutcome)
	l.symbols(s.Outcomes)
	l.symbols(s.Capabilities)
	return l.close()
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
	ExpiryPolicy          string // empty for absent, which means ExpireSessionEnd
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

func readTarget(f *fields) Target {
	c, _, err := takeCode(f.rest())
	if f.left > 0 && err == nil && c == CodeCoordinator {
		return readCoordinator(f)
	}
	in, ok := f.composite(CodeTarget)
	if !ok {
		return nil
	}
	n := &Node{
		Address:               in.string(),
		Durable:               in.durability(),
		ExpiryPolicy:          in.symbol(),
		Timeout:               in.uint().V,
		Dynamic:               in.bool(),
		DynamicNodeProperties: in.mapping(),
		Capabilities:          in.symbols(),
	}
	f.leave(&in)
	return n
}

func readCoordinator(f *fields) Target {
	in, ok := f.composite(CodeCoordinator)
	if !ok {
		return nil
	}
	c := &Coordinator{Capabilities: in.symbols()}
	f.leave(&in)
	return c
}

// Append writes the target behind b.
func (n *Node) Append(b []byte) []byte {
	l := openComposite(b, CodeTarget)
	l.optText(fmtString8, n.Address)
	l.uintBut(uint32(n.Durable), 0)
	l.optText(fmtSymbol8, n.ExpiryPolicy)
	l.uintBut(n.Timeout, 0)
	l.flag(n.Dynamic)
	l.value(n.DynamicNodeProperties)
	l.symbols(n.Capabilities)
	return l.close()
}

// Append writes the target behind b.
func (c *Coordinator) Append(b []byte) []byte {
	l := openComposite(b, CodeCoordinator)
	l.symbols(c.Capabilities)
	return l.close()
}

func (f *fields) durability() Durability {
	v := f.uint().V
	if v > uint32(DurableUnsettledState) {
		f.fail(errFieldValue)
	}
	return Durability(v)
}
