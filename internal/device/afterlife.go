package device

import "time"

// AfterlifeKind is what a displaced client did once the hub had told it that it was
// displaced: by shutting the write side of its connection (MQTT), or by detaching its
// links, while the connection may live on for other identities (AMQP).
type AfterlifeKind uint8

// The afterlives of a displaced client.
const (
	AfterlifeSilent AfterlifeKind = iota + 1 // nothing came in the time allowed: half-open; AMQP: no detach in answer
	AfterlifeAlive                           // TLS-authenticated bytes or a close_notify came; AMQP: the detach in answer
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

// Afterlife is what was seen of a displaced client.
type Afterlife struct {
	Kind  AfterlifeKind
	After time.Duration // from the shut write side or the detach to the sign, or to giving up
	Bytes int           // plain bytes that came after it, on the whole connection
	// Farewell: the bytes were the protocol's own goodbye (MQTT DISCONNECT, AMQP close). On
	// AMQP that may as well be how the client takes the detach.
	Farewell bool
	// Kept: the connection outlived this, because it speaks for other identities (AMQP).
	Kept bool
	// Cut: the watch was ended early to make room for another.
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
