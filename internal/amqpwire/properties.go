package amqpwire

import "math"

// Header is the section of that name (AMQP 3.2.1).
type Header struct {
	Durable       bool
	Priority      Opt[uint8]  // 4 if absent
	TTL           Opt[uint32] // milliseconds
	FirstAcquirer bool
	DeliveryCount uint32
}

// DecodeHeader reads a header section; the zero Header if b is empty.
func DecodeHeader(b []byte) (Header, error) {
	var in fields
	if err := in.enterSection(b, CodeHeader); err != nil {
		return Header{}, err
	}
	h := Header{
		Durable:       in.bool(),
		Priority:      in.ubyte(math.MaxUint8),
		TTL:           in.uint(),
		FirstAcquirer: in.bool(),
		DeliveryCount: in.uint().V,
	}
	if err := in.end(); err != nil {
		return Header{}, err
	}
	return h, nil
}

// Append writes the section behind b; nothing if every field is absent.
func (h Header) Append(b []byte) []byte {
	if h == (Header{}) {
		return b
	}
	l := openComposite(b, CodeHeader)
	l.flag(h.Durable)
	if h.Priority.Set {
		l.ubyte(h.Priority.V)
	} else {
		l.skip()
	}
	l.optUint(h.TTL)
	l.flag(h.FirstAcquirer)
	l.uintBut(h.DeliveryCount, 0)
	return l.close()
}

// Properties is the section of that name (AMQP 3.2.4). Every field is borrowed; nil,
// null and absent are one.
type Properties struct {
	MessageID          Value // null, ulong, uuid, binary or string
	UserID             []byte
	To                 []byte
	Subject            []byte
	ReplyTo            []byte
	CorrelationID      Value      // null, ulong, uuid, binary or string
	ContentType        []byte     // a symbol
	ContentEncoding    []byte     // a symbol
	AbsoluteExpiryTime Opt[int64] // milliseconds since 1970
	CreationTime       Opt[int64] // milliseconds since 1970
	GroupID            []byte
	GroupSequence      Opt[uint32]
	ReplyToGroupID     []byte
}

// DecodeProperties reads a properties section; the zero Properties if b is empty. It
// allocates nothing.
func DecodeProperties(b []byte) (Properties, error) {
	var in fields
	if err := in.enterSection(b, CodeProperties); err != nil {
		return Properties{}, err
	}
	p := Properties{
		MessageID:          in.messageID(),
		UserID:             in.variable(KindBinary),
		To:                 in.variable(KindString),
		Subject:            in.variable(KindString),
		ReplyTo:            in.variable(KindString),
		CorrelationID:      in.messageID(),
		ContentType:        in.variable(KindSymbol),
		ContentEncoding:    in.variable(KindSymbol),
		AbsoluteExpiryTime: in.timestamp(),
		CreationTime:       in.timestamp(),
		GroupID:            in.variable(KindString),
		GroupSequence:      in.uint(),
		ReplyToGroupID:     in.variable(KindString),
	}
	if err := in.end(); err != nil {
		return Properties{}, err
	}
	return p, nil
}

// messageID takes an identifier of any of the four types (AMQP 3.2.11 to 3.2.14).
func (f *fields) messageID() Value {
	v := f.value()
	switch v.kind {
	case KindNull, KindUlong, KindUUID, KindBinary, KindString:
		return v
	default:
		f.fail(errFieldType)
		return Value{}
	}
}

// Append writes the section behind b; nothing if every field is absent.
func (p *Properties) Append(b []byte) []byte {
	at := len(b)
	l := openComposite(b, CodeProperties)
	l.value(p.MessageID)
	l.bytes(fmtBinary8, p.UserID)
	l.bytes(fmtString8, p.To)
	l.bytes(fmtString8, p.Subject)
	l.bytes(fmtString8, p.ReplyTo)
	l.value(p.CorrelationID)
	l.bytes(fmtSymbol8, p.ContentType)
	l.bytes(fmtSymbol8, p.ContentEncoding)
	l.timestamp(p.AbsoluteExpiryTime)
	l.timestamp(p.CreationTime)
	l.bytes(fmtString8, p.GroupID)
	l.optUint(p.GroupSequence)
	l.bytes(fmtString8, p.ReplyToGroupID)
	if l.count == 0 {
		return b[:at]
	}
	return l.close()
}
