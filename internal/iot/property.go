package iot

// Property is one property of a message. A Null one has a name and no value (a bag
// may say so); its Value is empty.
type Property struct {
	Name  string
	Value string
	Null  bool
}

// Properties are the properties of a message in the order they came, each name
// once: a later value takes the place of an earlier one.
type Properties []Property

// Get gives the value of a property; ok is false if it is not there. Null reads as "".
func (ps Properties) Get(name string) (value string, ok bool) {
	for i := range ps {
		if ps[i].Name == name {
			return ps[i].Value, true
		}
	}
	return "", false
}

// Set replaces the property of p's name, or appends it.
func (ps *Properties) Set(p Property) {
	for i := range *ps {
		if (*ps)[i].Name == p.Name {
			(*ps)[i] = p
			return
		}
	}
	*ps = append(*ps, p)
}

// The system properties of a message, named as the readers of the event endpoint
// know them (device-mqtt-http 3, amqp, routing-events 4).
const (
	MessageID       = "message-id"
	CorrelationID   = "correlation-id"
	UserID          = "user-id"
	To              = "to"
	ContentType     = "content-type"
	ContentEncoding = "content-encoding"
	ExpiryTime      = "absolute-expiry-time"
	CreationTime    = "iothub-creation-time-utc"
	Ack             = "iothub-ack"
	OperationName   = "iothub-operation"
	OutputName      = "iothub-outputname"
	InterfaceID     = "iothub-interface-id"
	ComponentName   = "dt-subject"
	MessageSchema   = "iothub-message-schema"
	DiagnosticID    = "Diagnostic-Id"
	DiagnosticTrace = "Correlation-Context"
)

// The system properties that the hub alone writes.
const (
	ConnectionDeviceID     = "iothub-connection-device-id"
	ConnectionModuleID     = "iothub-connection-module-id"
	ConnectionAuthMethod   = "iothub-connection-auth-method"
	ConnectionGenerationID = "iothub-connection-auth-generation-id"
	EnqueuedTime           = "iothub-enqueuedtime"
	MessageSource          = "iothub-message-source"
	DataSchema             = "dt-dataschema"
)

// The application properties that the hub adds for what the transport saw.
const (
	retainProperty = "mqtt-retain"
	willProperty   = "iothub-MessageType"
)
