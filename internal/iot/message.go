package iot

import (
	"fmt"
	"strconv"
	"strings"
)

// enqueuedLayout is how the enqueue time is written: UTC, millisecond precision.
const enqueuedLayout = "2006-01-02T15:04:05.000Z"

// telemetrySource is the message source of what devices send.
const telemetrySource = "Telemetry"

// Message is an Event with its properties parsed, for readers. It means the same
// whatever transport the message came by.
type Message struct {
	System      Properties // what the sender said of the message, then what the hub stamped
	Application Properties
	Body        []byte // as the Event's
}

// Properties parses what the sender said of a message in a bag or in headers; the
// marks of the transport are among the application's. An error means that the
// encoding is another one.
func (m Raw) Properties() (system, application Properties, err error) {
	sys := propSet{list: make(Properties, 0, indexFrom)}
	var app propSet
	switch m.Source {
	case SourceBag:
		parseBag(string(m.Props), &sys, &app)
	case SourceHeaders:
		parseHeaders(string(m.Props), &sys, &app)
	case SourceAMQP:
		fallthrough
	default:
		err = fmt.Errorf("property encoding %d is not known here", m.Source)
	}
	if m.Flags&RawRetain != 0 {
		app.set(Property{Name: retainProperty, Value: "true"})
	}
	if m.Flags&RawWill != 0 {
		app.set(Property{Name: willProperty, Value: "Will"})
	}
	return sys.list, app.list, err
}

// ParseEvent parses an event whose properties are a bag or headers; package event
// parses every encoding. Beside an error the Message still has the hub's properties.
func ParseEvent(e Event) (Message, error) {
	system, application, err := e.Raw.Properties()
	return NewMessage(e, system, application), err
}

// NewMessage completes what the sender said of an event with what the hub knows of
// it: who sent it and how that was proved, when it was enqueued, and its source.
func NewMessage(e Event, system, application Properties) Message {
	m := Message{System: system, Application: application, Body: e.Raw.Body}
	m.stamp(e)
	return m
}

// stamp appends the properties that the hub alone writes, in Azure's order.
func (m *Message) stamp(e Event) {
	add := func(name, value string) { m.System = append(m.System, Property{Name: name, Value: value}) }
	add(ConnectionDeviceID, e.Stamp.Identity.Device)
	if e.Stamp.Identity.IsModule() {
		add(ConnectionModuleID, e.Stamp.Identity.Module)
	}
	add(ConnectionAuthMethod, e.Stamp.AuthMethod())
	add(ConnectionGenerationID, strconv.FormatUint(e.Stamp.Generation, 10))
	add(EnqueuedTime, e.Enqueued.UTC().Format(enqueuedLayout))
	add(MessageSource, telemetrySource)
	if e.Stamp.ModelID != "" {
		add(DataSchema, strings.ToValidUTF8(e.Stamp.ModelID, "\uFFFD"))
	}
}

// AuthMethod is the text of iothub-connection-auth-method, and of authType in the
// resource log.
func (s Stamp) AuthMethod() string {
	return `{"scope":"` + s.Scope.String() + `","type":"` + s.Auth.String() +
		`","issuer":"iothub","acceptingIpFilterRule":null}`
}
