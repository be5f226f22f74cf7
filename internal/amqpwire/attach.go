package amqpwire

// Role is the end of a link (AMQP 2.8.1).
type Role bool

// The ends of a link.
const (
	RoleSender   Role = false
	RoleReceiver Role = true
)

// String names the end.
func (r Role) String() string {
	if r == RoleReceiver {
		return "receiver"
	}
	return "sender"
}

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

// Attach attaches a link to a session (AMQP 2.7.3). Text and bytes are its own.
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

func readAttach(a *Attach, f *fields) {
	a.Name = f.must(KindString)
	a.Handle = f.mustUint()
	a.Role = Role(f.mustBool())
	a.SenderSettleMode = SenderSettleMode(f.ubyte(uint8(SenderMixed)).Or(uint8(SenderMixed)))
	a.ReceiverSettleMode = ReceiverSettleMode(f.ubyte(uint8(ReceiverSecond)).V)
	a.Source = readSource(f)
	a.Target = readTarget(f)
	a.Unsettled = f.mapping()
	a.IncompleteUnsettled = f.bool()
	a.InitialDeliveryCount = f.uint().V
	if a.Role == RoleReceiver {
		a.InitialDeliveryCount = 0 // ignored, AMQP 2.7.3
	}
	a.MaxMessageSize = f.ulong()
	a.OfferedCapabilities = f.symbols()
	a.DesiredCapabilities = f.symbols()
	a.Properties = f.mapping()
}

// Append writes the performative behind b. Settlement modes are written also where they
// are what an absent one means, because clients compare them with what they asked for.
func (a Attach) Append(b []byte) []byte {
	l := openComposite(b, CodeAttach)
	l.text(fmtString8, a.Name)
	l.uint(a.Handle)
	l.bool(bool(a.Role))
	l.ubyte(uint8(a.SenderSettleMode))
	l.ubyte(uint8(a.ReceiverSettleMode))
	if a.Source == nil {
		l.skip()
	} else {
		l.put()
		l.b = a.Source.Append(l.b)
	}
	if a.Target == nil {
		l.skip()
	} else {
		l.put()
		l.b = a.Target.Append(l.b)
	}
	l.value(a.Unsettled)
	l.flag(a.IncompleteUnsettled)
	if a.Role == RoleSender {
		l.uint(a.InitialDeliveryCount)
	} else {
		l.skip()
	}
	if a.MaxMessageSize == 0 {
		l.skip()
	} else {
		l.put()
		l.b = AppendUlong(l.b, a.MaxMessageSize)
	}
	l.symbols(a.OfferedCapabilities)
	l.symbols(a.DesiredCapabilities)
	l.value(a.Properties)
	return l.whole()
}

// Detach takes a link off its session (AMQP 2.7.7).
type Detach struct {
	Handle uint32
	Closed bool
	Error  *Error // nil for none
}

func readDetach(d *Detach, f *fields) {
	d.Handle = f.mustUint()
	d.Closed = f.bool()
	d.Error = readError(f)
}

// Append writes the performative behind b.
func (d Detach) Append(b []byte) []byte {
	l := openComposite(b, CodeDetach)
	l.uint(d.Handle)
	l.flag(d.Closed)
	l.error(d.Error)
	return l.whole()
}
