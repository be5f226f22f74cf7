package event

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/iot"
)

// Parse gives an event's properties, in whatever encoding they came, and its body as
// one run of bytes. Beside an error the Message still has the hub's properties.
func Parse(e iot.Event) (iot.Message, error) {
	if e.Raw.Source != iot.SourceAMQP {
		return iot.ParseEvent(e)
	}
	var p parsed
	sections, err := amqpwire.ScanMessage(e.Raw.Props)
	if err == nil {
		err = p.read(&sections)
	}
	m := iot.NewMessage(e, p.system, p.application)
	if e.Raw.Flags&iot.RawSections != 0 {
		m.Body = content(e.Raw.Body)
	}
	if err != nil {
		return m, fmt.Errorf("AMQP sections of event %d in partition %d: %w", e.Sequence, e.Partition, err)
	}
	return m, nil
}

// parsed is what the sections of a message say.
type parsed struct {
	system, application iot.Properties
}

// read reads what stands before a body.
func (p *parsed) read(m *amqpwire.Message) error {
	properties, err := amqpwire.DecodeProperties(m.Properties)
	if err != nil {
		return err
	}
	p.standard(&properties)
	annotations, err := amqpwire.DecodeAnnotations(m.MessageAnnotations)
	if err != nil {
		return err
	}
	for _, name := range annotated() {
		if v := annotations.Get(name); !v.IsNull() {
			p.system = append(p.system, iot.Property{Name: name, Value: Text(v)})
		}
	}
	application, err := amqpwire.DecodeApplicationProperties(m.ApplicationProperties)
	if err != nil {
		return err
	}
	p.application = make(iot.Properties, 0, application.Len())
	for name, v := range latest(application) {
		property := iot.Property{Name: name, Value: Text(v), Null: v.IsNull()}
		if systemName(name) {
			p.system = append(p.system, property)
		} else {
			p.application = append(p.application, property)
		}
	}
	return nil
}

// latest gives the pairs of a map of application properties, each key once: a later
// value takes the place of an earlier one.
func latest(m amqpwire.Value) iter.Seq2[string, amqpwire.Value] {
	return func(yield func(string, amqpwire.Value) bool) {
		at := make(map[string]int, m.Len())
		names, values := make([]string, 0, m.Len()), make([]amqpwire.Value, 0, m.Len())
		for k, v := range m.Pairs() {
			name, _ := k.AsText()
			if i, ok := at[name]; ok {
				values[i] = v
				continue
			}
			at[name] = len(names)
			names, values = append(names, name), append(values, v)
		}
		for i, name := range names {
			if !yield(name, values[i]) {
				return
			}
		}
	}
}

// standard reads the section of the standard's own properties.
func (p *parsed) standard(s *amqpwire.Properties) {
	text := func(name string, value []byte) {
		if value != nil {
			p.system = append(p.system, iot.Property{Name: name, Value: strings.ToValidUTF8(string(value), "\uFFFD")})
		}
	}
	id := func(name string, v amqpwire.Value) {
		if !v.IsNull() {
			p.system = append(p.system, iot.Property{Name: name, Value: Text(v)})
		}
	}
	moment := func(name string, ms amqpwire.Opt[int64]) {
		if ms.Set {
			p.system = append(p.system, iot.Property{Name: name, Value: momentText(ms.V)})
		}
	}
	id(iot.MessageID, s.MessageID)
	text(iot.UserID, s.UserID)
	text(iot.To, s.To)
	text("subject", s.Subject)
	text("reply-to", s.ReplyTo)
	id(iot.CorrelationID, s.CorrelationID)
	text(iot.ContentType, s.ContentType)
	text(iot.ContentEncoding, s.ContentEncoding)
	moment(iot.ExpiryTime, s.AbsoluteExpiryTime)
	moment("creation-time", s.CreationTime)
	text("group-id", s.GroupID)
	if s.GroupSequence.Set {
		id("group-sequence", amqpwire.Uint(s.GroupSequence.V))
	}
	text("reply-to-group-id", s.ReplyToGroupID)
}

// annotated are the system properties that a sender writes as message annotations
// (amqp 4). Any other annotation is dropped: it would be the hub's to say.
func annotated() [4]string {
	return [...]string{iot.InterfaceID, iot.ComponentName, iot.DiagnosticID, iot.DiagnosticTrace}
}

// systemName reports whether an application property means a system property (amqp 4).
func systemName(name string) bool {
	switch name {
	case iot.CreationTime, iot.Ack, iot.OperationName, iot.OutputName, iot.MessageSchema:
		return true
	}
	return false
}

// content gives the body of a message that is not one data section: several data
// sections as one, the text or bytes of a value. Of anything else it gives the sections
// as they are encoded.
func content(sections []byte) []byte {
	m, err := amqpwire.ScanMessage(sections)
	if err != nil {
		return sections
	}
	switch m.BodyCode {
	case amqpwire.CodeData:
		var all []byte
		for data := range m.Data() {
			all = append(all, data...)
		}
		return all
	case amqpwire.CodeValue:
		v := m.Value()
		switch v.Kind() {
		case amqpwire.KindNull:
			return nil
		case amqpwire.KindString, amqpwire.KindSymbol, amqpwire.KindBinary:
			return v.Raw()
		default:
		}
	default:
	}
	return sections
}

// momentText is a timestamp as other transports write it; far from our time, where no
// calendar reaches, the number.
func momentText(ms int64) string {
	if t := time.UnixMilli(ms).UTC(); t.Year() >= 0 && t.Year() <= 9999 {
		return iot.TimeOf(t).String()
	}
	return Text(amqpwire.Long(ms))
}
