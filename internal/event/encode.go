package event

import (
	"strconv"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/iot"
)

// The annotations of a reader's message that are of the log, as Event Hubs names them
// (amqp 4).
const (
	SequenceNumber = "x-opt-sequence-number" // long
	Offset         = "x-opt-offset"          // string, decimal
	Enqueued       = "x-opt-enqueued-time"   // timestamp
	PartitionKey   = "x-opt-partition-key"   // string: the device's id
)

// telemetrySource is the message source of what devices send.
const telemetrySource = "Telemetry"

// Encoder writes events as AMQP messages. It remembers what it wrote of the latest
// senders. One goroutine at a time uses it; the zero Encoder is ready.
type Encoder struct {
	stamps map[iot.Stamp]stamped
	last   iot.Stamp
	chunk  stamped
}

// stamped is the annotations that are the same in every message of one sender.
type stamped struct {
	pairs int
	bytes []byte
}

// Append writes an event behind b as the message that a reader of the Event
// Hubs-compatible endpoint gets (amqp 4): message annotations, properties, application
// properties, body. What of its properties cannot be read is left out.
func (x *Encoder) Append(b []byte, e *iot.Event) []byte {
	if e.Raw.Source == iot.SourceAMQP {
		if m, err := amqpwire.ScanMessage(e.Raw.Props); err == nil {
			return x.appendAMQP(b, e, &m)
		}
	}
	system, application, _ := e.Raw.Properties() // an encoding that is not known says nothing
	b = x.annotations(b, e, func(name string) (string, bool) { return system.Get(name) })
	b = appendProperties(b, system)
	b = appendApplication(b, system, application)
	return amqpwire.AppendData(b, e.Raw.Body)
}

// appendAMQP passes on a message that came by AMQP.
func (x *Encoder) appendAMQP(b []byte, e *iot.Event, m *amqpwire.Message) []byte {
	var theirs amqpwire.Value
	if len(m.MessageAnnotations) > 0 {
		theirs, _ = amqpwire.DecodeAnnotations(m.MessageAnnotations)
	}
	b = x.annotations(b, e, func(name string) (string, bool) {
		v := theirs.Get(name)
		return Text(v), !v.IsNull()
	})
	b = appendPlain(b, m.Properties)
	b = append(b, m.ApplicationProperties...)
	if e.Raw.Flags&iot.RawSections != 0 {
		return append(b, e.Raw.Body...)
	}
	return amqpwire.AppendData(b, e.Raw.Body)
}

// appendPlain passes a properties section on. Readers expect both ids to be strings.
func appendPlain(b, section []byte) []byte {
	p, err := amqpwire.DecodeProperties(section)
	if err != nil {
		return b
	}
	if isText(p.MessageID) && isText(p.CorrelationID) {
		return append(b, section...)
	}
	p.MessageID, p.CorrelationID = asText(p.MessageID), asText(p.CorrelationID)
	return p.Append(b)
}

func isText(v amqpwire.Value) bool { return v.IsNull() || v.Kind() == amqpwire.KindString }

func asText(v amqpwire.Value) amqpwire.Value {
	if isText(v) {
		return v
	}
	return amqpwire.String(Text(v))
}

// annotations writes the section that is the hub's, and in it what of the sender's own
// belongs there.
func (x *Encoder) annotations(b []byte, e *iot.Event, theirs func(string) (string, bool)) []byte {
	b = amqpwire.AppendSection(b, amqpwire.CodeMessageAnnotations)
	b, at := amqpwire.OpenMap(b)
	ms := e.Enqueued.UnixMilli()
	var digits [20]byte
	b = amqpwire.AppendSymbol(b, SequenceNumber)
	b = amqpwire.AppendLong(b, int64(e.Sequence))
	b = amqpwire.AppendSymbol(b, Offset)
	b = amqpwire.AppendString(b, strconv.AppendUint(digits[:0], e.Offset, 10))
	b = amqpwire.AppendSymbol(b, Enqueued)
	b = amqpwire.AppendTimestamp(b, ms)
	b = amqpwire.AppendSymbol(b, iot.EnqueuedTime)
	b = amqpwire.AppendTimestamp(b, ms)
	of := x.of(e.Stamp)
	b = append(b, of.bytes...)
	pairs := 4 + of.pairs
	for _, name := range annotated() {
		if text, ok := theirs(name); ok {
			b = amqpwire.AppendSymbol(b, name)
			b = amqpwire.AppendString(b, text)
			pairs++
		}
	}
	return amqpwire.CloseMap(b, at, pairs)
}

// of gives the annotations of a sender.
func (x *Encoder) of(s iot.Stamp) stamped {
	if x.chunk.bytes != nil && s == x.last {
		return x.chunk
	}
	of, ok := x.stamps[s]
	if !ok {
		of = stamp(s)
		if x.stamps == nil || len(x.stamps) >= maxStamps {
			x.stamps = make(map[iot.Stamp]stamped)
		}
		x.stamps[s] = of
	}
	x.last, x.chunk = s, of
	return of
}

// stamp encodes what the hub says of a sender.
func stamp(s iot.Stamp) stamped {
	var of stamped
	add := func(name, value string) {
		of.bytes = amqpwire.AppendSymbol(of.bytes, name)
		of.bytes = amqpwire.AppendString(of.bytes, value)
		of.pairs++
	}
	add(PartitionKey, s.Identity.Device)
	add(iot.ConnectionDeviceID, s.Identity.Device)
	if s.Identity.IsModule() {
		add(iot.ConnectionModuleID, s.Identity.Module)
	}
	add(iot.ConnectionAuthMethod, s.AuthMethod())
	add(iot.ConnectionGenerationID, strconv.FormatUint(s.Generation, 10))
	add(iot.MessageSource, telemetrySource)
	if s.ModelID != "" {
		add(iot.DataSchema, strings.ToValidUTF8(s.ModelID, "\uFFFD"))
	}
	return of
}

// appendProperties writes the section of the standard's properties.
func appendProperties(b []byte, system iot.Properties) []byte {
	var p amqpwire.Properties
	for i := range system {
		value := system[i].Value
		switch system[i].Name {
		case iot.MessageID:
			p.MessageID = amqpwire.String(value)
		case iot.CorrelationID:
			p.CorrelationID = amqpwire.String(value)
		case iot.UserID:
			p.UserID = []byte(value)
		case iot.To:
			p.To = []byte(value)
		case iot.ContentType:
			p.ContentType = symbol(value)
		case iot.ContentEncoding:
			p.ContentEncoding = symbol(value)
		case iot.ExpiryTime:
			p.AbsoluteExpiryTime = moment(value)
		}
	}
	return p.Append(b)
}

// symbol is the bytes of a text that is a symbol, nil of another (a symbol is ASCII).
func symbol(s string) []byte {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return nil
		}
	}
	return []byte(s)
}

// moment is a time that a sender wrote as text.
func moment(text string) amqpwire.Opt[int64] {
	var t iot.Time
	if t.UnmarshalText([]byte(text)) != nil || t.IsZero() {
		return amqpwire.Opt[int64]{}
	}
	return amqpwire.Some(t.Time.Truncate(time.Millisecond).UnixMilli())
}

// appendApplication writes the section of the application properties, among which are
// the system properties that have no other place (amqp 4).
func appendApplication(b []byte, system, application iot.Properties) []byte {
	start := len(b)
	b = amqpwire.AppendSection(b, amqpwire.CodeApplicationProperties)
	b, at := amqpwire.OpenMap(b)
	pairs := 0
	add := func(p *iot.Property) {
		b = amqpwire.AppendString(b, p.Name)
		if p.Null {
			b = amqpwire.AppendNull(b)
		} else {
			b = amqpwire.AppendString(b, p.Value)
		}
		pairs++
	}
	for i := range system {
		if !elsewhere(&system[i]) {
			add(&system[i])
		}
	}
	for i := range application {
		add(&application[i])
	}
	if pairs == 0 {
		return b[:start]
	}
	return amqpwire.CloseMap(b, at, pairs)
}

// elsewhere reports whether a system property has a place of its own in the message.
func elsewhere(p *iot.Property) bool {
	switch p.Name {
	case iot.MessageID, iot.CorrelationID, iot.UserID, iot.To:
		return true
	case iot.ContentType, iot.ContentEncoding:
		return symbol(p.Value) != nil
	case iot.ExpiryTime:
		return moment(p.Value).Set
	case iot.InterfaceID, iot.ComponentName, iot.DiagnosticID, iot.DiagnosticTrace:
		return true
	}
	return false
}
