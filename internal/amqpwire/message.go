package amqpwire

import "iter"

// Message is an encoded message cut into its sections, everything borrowed. A section
// stands here whole, with its descriptor; what is absent is nil.
type Message struct {
	Header                []byte
	DeliveryAnnotations   []byte
	MessageAnnotations    []byte
	Properties            []byte
	ApplicationProperties []byte
	Body                  []byte // all sections of the body
	Footer                []byte
	Bare                  []byte // properties, application-properties and body (AMQP 3.2)
	BodyCode              Code   // CodeData, CodeSequence, CodeValue; 0 if there is no body
	BodySections          int    // how many: at most 1 with CodeValue
}

// ScanMessage checks a whole message and cuts it into its sections. It allocates
// nothing. A message without a body is let pass, because devices send it.
func ScanMessage(b []byte) (Message, error) {
	var m Message
	var last Code
	bare, body, end := -1, -1, 0 // where bare message and body begin, and where both end
	for at := 0; at < len(b); {
		c, _, n, err := takeSection(b[at:])
		if err == nil {
			err = m.follows(last, c)
		}
		if err != nil {
			return Message{}, err
		}
		next := at + n
		if whole := m.section(c); whole != nil {
			*whole = b[at:next:next]
		} else {
			if body < 0 {
				body = at
			}
			m.BodyCode = c
			m.BodySections++
		}
		if c >= CodeProperties && c <= CodeValue {
			if bare < 0 {
				bare = at
			}
			end = next
		}
		last, at = c, next
	}
	if bare >= 0 {
		m.Bare = b[bare:end:end]
	}
	if body >= 0 {
		m.Body = b[body:end:end]
	}
	return m, nil
}

// section is where a section stands; nil for those of the body.
func (m *Message) section(c Code) *[]byte {
	switch c {
	case CodeHeader:
		return &m.Header
	case CodeDeliveryAnnotations:
		return &m.DeliveryAnnotations
	case CodeMessageAnnotations:
		return &m.MessageAnnotations
	case CodeProperties:
		return &m.Properties
	case CodeApplicationProperties:
		return &m.ApplicationProperties
	case CodeFooter:
		return &m.Footer
	default:
		return nil
	}
}

// follows checks the order of sections (AMQP 3.2). Only data and amqp-sequence may stand
// more than once, and a body is of one kind.
func (m *Message) follows(last, c Code) error {
	switch {
	case c == last && (c == CodeData || c == CodeSequence):
		return nil
	case c <= last:
		return errSectionOrder
	case m.BodySections > 0 && c != CodeFooter:
		return errSectionOrder
	}
	return nil
}

// Data gives the contents of the body's data sections in order, borrowed; nothing if
// the body is of another kind.
func (m *Message) Data() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if m.BodyCode != CodeData {
			return
		}
		for b := m.Body; len(b) > 0; {
			var v Value
			if v, b = takeBody(b); !yield(v.raw) {
				return
			}
		}
	}
}

// Sequences gives the lists of the body's amqp-sequence sections in order, borrowed;
// nothing if the body is of another kind.
func (m *Message) Sequences() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if m.BodyCode != CodeSequence {
			return
		}
		for b := m.Body; len(b) > 0; {
			var v Value
			if v, b = takeBody(b); !yield(v) {
				return
			}
		}
	}
}

// Value gives the body's amqp-value, borrowed; null if there is none.
func (m *Message) Value() Value {
	if m.BodyCode != CodeValue {
		return Value{}
	}
	v, _ := takeBody(m.Body)
	return v
}

// takeBody takes the value of one section, which was checked.
func takeBody(b []byte) (v Value, rest []byte) {
	n := 1 + span(b[1:])
	v, l := parse(b[n:])
	return v, b[n+l:]
}
