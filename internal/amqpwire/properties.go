package amqpwire

// Header is the section of that name (AMQP 3.2.1).
type Header struct {
	Durable       bool
	Priority      Opt[uint8]  // 4 if absent
	TTL           Opt[uint32] // milliseconds
	FirstAcquirer bool
	DeliveryCount uint32
}

// Properties is the section of that name (AMQP 3.2.4). Every field is borrowed; nil,
// null and absent are one.
type Properties struct {
	MessageID          Value // null, ulong, uuid, binary or string
	UserID             []byte
	To                 []byte
	Subject            []byte
	ReplyTo            []byte
	CorrelationID      Value  // null, ulong, uuid, binary or string
	ContentType        []byte // a symbol
	ContentEncoding    []byte // a symbol
	AbsoluteExpiryTime Opt[int64]
	CreationTime       Opt[int64]
	GroupID            []byte
	GroupSequence      Opt[uint32]
	ReplyToGroupID     []byte
}
