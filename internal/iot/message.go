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

// ParseEvent parses the properties of an event and adds what the hub knows of it:
// who sent it and how that was proved, when it was enqueued, its source, and the
// will and retain marks. What a client said of any of these is dropped. An error
// means that the encoding is not known; the Message still has the hub's properties.
func ParseEvent(e Event) (Message, error) {
	system := propSet{list: make(Properties, 0, indexFrom)}
	var application propSet
	var err error
	switch e.Raw.Source {
	case SourceBag:
		parseBag(string(e.Raw.Props), &system, &application)
	case SourceHeaders:
		parseHeaders(string(e.Raw.Props), &system, &application)
	default:
		err = fmt.Errorf("property encoding %d is not known", e.Raw.Source)
	}
	if e.Raw.Flags&RawRetain != 0 {
		application.set(Property{Name: retainProperty, Value: "true"})
	}
	if e.Raw.Flags&RawWill != 0 {
		application.set(Property{Name: willProperty, Value: "Will"})
	}
	m := Message{System: system.list, Application: application.list, Body: e.Raw.Body}
	m.stamp(e)
	return m, err
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
