package iot

import (
	"encoding/hex"
	"time"
)

// The limits of cloud-to-device messages (service-rest E, device-mqtt-http 4).
const (
	// MaxCloudMessage is the largest message in bytes, as CloudMessage.Size counts.
	MaxCloudMessage = 64 * 1024
	// MaxCloudMessageID is the longest message id in bytes.
	MaxCloudMessageID = 128
	// MaxCloudProperties is how many application properties one message may have.
	MaxCloudProperties = 256
	// MaxPendingMessages is how many messages may wait for one identity, those that a
	// device has and did not settle yet included.
	MaxPendingMessages = 50
	// DefaultMessageTTL is how long a message waits that names no expiry of its own.
	DefaultMessageTTL = time.Hour
	// MinMessageTTL and MaxMessageTTL bound the setting; the latter also what a message asks for.
	MinMessageTTL = time.Minute
	MaxMessageTTL = 48 * time.Hour
	// MessageLock is how long a device may keep a message unsettled. It is no setting.
	MessageLock = time.Minute
	// DefaultMaxDeliveries is after how many abandoned deliveries a message is given up;
	// MaxMaxDeliveries is the most that the setting allows.
	DefaultMaxDeliveries = 10
	MaxMaxDeliveries     = 100
)

// CloudMessage is a message from a back-end to one device or module, as it was sent.
// It is a value: whoever holds one only reads it.
type CloudMessage struct {
	MessageID       string
	CorrelationID   string
	UserID          string // bytes as sent: in AMQP it is binary
	To              string // the address as the sender wrote it, letter case kept
	ContentType     string
	ContentEncoding string
	Expiry          time.Time  // as asked for, UTC, at most 100 ns precise; zero: none, the hub's default holds
	Created         time.Time  // creation time as the sender gave it, likewise; zero: none
	Ack             AckMode    // AckUnset if the sender did not say
	Application     Properties // in the order sent, each name once; Null reads as ""
	Body            []byte
}

// Size is what counts against MaxCloudMessage: the body, the values of system
// properties, and names and values of application properties (amqp 4).
func (m *CloudMessage) Size() int {
	n := len(m.Body) + len(m.MessageID) + len(m.CorrelationID) + len(m.UserID) + len(m.To) + len(m.ContentType) +
		len(m.ContentEncoding) + len(m.Ack.String())
	if !m.Expiry.IsZero() {
		n += timeSize
	}
	if !m.Created.IsZero() {
		n += timeSize
	}
	for i := range m.Application {
		n += len(m.Application[i].Name) + len(m.Application[i].Value)
	}
	return n
}

// timeSize is what a time counts in a message's size: an AMQP timestamp's eight bytes.
const timeSize = 8

// LockedMessage is a message in the hands of one receiver, and what the hub says of it.
// Nobody else is given it until the receiver settles it or its lock ends.
type LockedMessage struct {
	CloudMessage

	Lock LockToken // settles it; AMQP's delivery tag
	// Sequence grows from message to message of an identity, and is the same for every
	// delivery of one.
	Sequence uint64
	// Number is from 1 on and no other pending message of the identity has it; it is the
	// same for every delivery of one message, so that it may serve as MQTT's packet identifier.
	// It is 0 for what is not for a device.
	Number        uint16
	DeliveryCount uint8     // how often it was abandoned
	Again         bool      // an earlier receiver was given it and did not settle it
	Enqueued      time.Time // UTC, milliseconds
}

// LockToken names one delivery of one message. It is never used twice.
type LockToken [16]byte

// String gives the token as a UUID is written.
func (t LockToken) String() string {
	var b [36]byte
	at := 0
	for i, c := range t {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b[at] = '-'
			at++
		}
		hex.Encode(b[at:], []byte{c})
		at += 2
	}
	return string(b[:])
}

// ParseLockToken reads what String gives.
func ParseLockToken(s string) (LockToken, bool) {
	var t LockToken
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return LockToken{}, false
	}
	if _, err := hex.Decode(t[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return LockToken{}, false
	}
	return t, true
}
