package device

import "time"

// AfterlifeKind is what a displaced connection did once its write side was shut.
type AfterlifeKind uint8

// The afterlives of a connection.
const (
	AfterlifeSilent AfterlifeKind = iota + 1 // nothing came in the time allowed: half-open
	AfterlifeAlive                           // TLS-authenticated bytes or a close_notify came
	AfterlifeClosed                          // the peer ended the stream without a word of TLS
	AfterlifeReset                           // the peer's kernel knew no such connection: the process was gone
)

// String gives the name used in conflict records: "silent", "alive", "closed",
// "reset".
func (k AfterlifeKind) String() string {
	switch k {
	case AfterlifeSilent:
		return "silent"
	case AfterlifeAlive:
		return "alive"
	case AfterlifeClosed:
		return "closed"
	case AfterlifeReset:
		return "reset"
	}
	return "unknown"
}

// Afterlife is what the probe of a displaced connection saw.
type Afterlife struct {
	Kind  AfterlifeKind
	After time.Duration // from the shut write side to the first sign, or to giving up
	Bytes int           // plain bytes that came after it
	// Farewell: the bytes were the protocol's own goodbye (MQTT DISCONNECT, AMQP close).
	Farewell bool
	// Cut: the probe was ended early to make room for another.
	Cut bool
	// TCP is the kernel's view when the probe ended.
	TCP TCP
}

// TCP is the kernel's view of a connection (Linux TCP_INFO). The zero TCP is
// unknown.
type TCP struct {
	State        uint8 // as in RFC 9293: 1 established, 4 FIN-WAIT-1, 5 FIN-WAIT-2, 7 closed, 8 CLOSE-WAIT …, Linux numbering
	RTT          time.Duration
	Unacked      uint32 // segments sent and not acknowledged
	Retransmits  uint8  // time-outs in a row without an answer
	LastDataRecv time.Duration
	LastAckRecv  time.Duration
}

// Known reports whether the kernel was asked and answered.
func (t TCP) Known() bool { return t.State != 0 }
