package device

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Transport names the protocol and carrier of a connection as the resource log does.
type Transport string

// The transports of a connection.
const (
	MQTT   Transport = "Mqtt"
	MQTTWS Transport = "MqttWs"
	AMQP   Transport = "Amqp"
	AMQPWS Transport = "AmqpWs"
	HTTPS  Transport = "Https"
)

// Conn is the facts of one connection that cannot be had later. The transport
// fills it in before Open; afterwards only Traffic changes.
type Conn struct {
	// fixed

	ID        uint64 // unique within one run of the hub
	Transport Transport
	Listener  string // the listener's address, as bound
	Remote    netip.AddrPort
	Local     netip.AddrPort
	Accepted  time.Time // when the socket was accepted
	TLS       TLS
	// Kernel asks the kernel about the socket; nil, or the zero TCP, where it cannot be
	// asked. It may be called from any goroutine, also after the socket was closed.
	Kernel func() TCP

	// shared

	Traffic Traffic
}

// TLS is what the handshake told of the client.
type TLS struct {
	Version     uint16 // 0x0303, 0x0304
	CipherSuite uint16
	ServerName  string // SNI, the name the client dialled
	ALPN        string
	HelloHash   uint64 // hash of the ClientHello's shape: versions, suites, curves, schemes, protocols
	Resumed     bool
	Lineage     uint64 // random id carried inside session tickets; one process reconnecting keeps it; 0 unknown
	Handshake   time.Duration
}

// Traffic counts what passed on a connection. One goroutine at a time writes;
// any may read.
type Traffic struct {
	BytesIn, BytesOut     atomic.Uint64 // after TLS
	PacketsIn, PacketsOut atomic.Uint64
	LastIn, LastOut       atomic.Int64 // Unix nanoseconds; 0 never
}

// In records n bytes received at now.
func (t *Traffic) In(now time.Time, n int) {
	t.BytesIn.Add(uint64(n))
	t.LastIn.Store(now.UnixNano())
}

// Out records n bytes sent at now.
func (t *Traffic) Out(now time.Time, n int) {
	t.BytesOut.Add(uint64(n))
	t.LastOut.Store(now.UnixNano())
}
