package iot

import "time"

// MaxMessageSize is the largest device-to-cloud message in bytes: body plus
// properties (Azure: 256 KB).
const MaxMessageSize = 256 * 1024

// Source says how the property bytes of a Raw are encoded. The numbers are part
// of the on-disk format (docs/format.md).
type Source uint8

// The encodings of Raw.Props.
const (
	// SourceBag is an MQTT property bag: percent-encoded k=v pairs joined by '&',
	// as it stood in the topic, without leading '?' and trailing '/'.
	SourceBag Source = 1
	// SourceHeaders is HTTP headers: lines "lower-case-name: value\n".
	SourceHeaders Source = 2
	// SourceAMQP is the sections of an AMQP message that stood before the body, encoded
	// as they came.
	SourceAMQP Source = 3
)

// RawFlags mark what the transport saw beside the properties. The bits are part
// of the on-disk format.
type RawFlags uint8

// The flags of a Raw.
const (
	// RawRetain: the PUBLISH had RETAIN 1; readers see the application property
	// mqtt-retain=true.
	RawRetain RawFlags = 1 << iota
	// RawWill: the message is a connection's will; readers see the application
	// property iothub-MessageType=Will.
	RawWill
	// RawSections: an AMQP message whose body is something else than one data section;
	// Body then holds the sections of the body, encoded as they came.
	RawSections
)

// Raw is a device-to-cloud message as it came: nothing parsed into a map, every
// byte borrowed from the transport's buffer until the call that takes it returns.
type Raw struct {
	Source Source
	Flags  RawFlags
	Props  []byte // syntax checked by whoever made the Raw
	Body   []byte
}

// Size is what Azure counts against MaxMessageSize, from above: body plus the
// property bytes as received.
func (m Raw) Size() int { return len(m.Props) + len(m.Body) }

// Scope says whose key authenticated a connection. It is the "scope" of
// iothub-connection-auth-method.
type Scope uint8

// The scopes of an authentication.
const (
	ScopeDevice Scope = iota
	ScopeModule
	ScopeHub // a shared access policy's key
)

// String gives the name Azure writes: "device", "module", "hub".
func (s Scope) String() string { return [...]string{"device", "module", "hub"}[s%3] }

// AuthType says what kind of credential authenticated a connection. It is the
// "type" of iothub-connection-auth-method.
type AuthType uint8

// The kinds of credential.
const (
	AuthSAS             AuthType = iota // a token signed with a symmetric key
	AuthX509Thumbprint                  // a certificate whose thumbprint is registered
	AuthX509Certificate                 // a certificate signed by a registered CA
)

// String gives the name Azure writes in the resource log and in
// iothub-connection-auth-method: "sas" or "x509".
func (t AuthType) String() string {
	if t == AuthSAS {
		return "sas"
	}
	return "x509"
}

// Stamp is what the hub writes on every message of one session, because a device
// may not say it of itself: who sent it and how it proved that.
type Stamp struct {
	Identity   Identity
	Generation uint64 // the identity's generationId: 100 ns ticks since year 1
	Scope      Scope
	Auth       AuthType
	ModelID    string // becomes dt-dataschema; at most 255 bytes
}

// Event is one message as a reader of the telemetry log sees it.
type Event struct {
	Partition int
	Sequence  uint64    // dense within the partition, from 0
	Offset    uint64    // cumulative bytes in the partition
	Enqueued  time.Time // UTC, millisecond precision, never less than the event before
	Stamp     Stamp
	Raw       Raw // borrowed from a cached block: read only, valid without limit
}
