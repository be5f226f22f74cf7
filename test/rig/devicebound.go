package rig

import (
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"time"
)

// SendTo queues a cloud-to-device message and fails the test unless the hub took it.
// header is pairs of name and value.
func (h *Hub) SendTo(id Identity, body string, header ...string) {
	h.tb.Helper()
	to := id.Path() + "/messages/deviceBound"
	h.Request(http.MethodPost, "/messages/deviceBound", body, append(header, "iothub-to", to)...).Want(h.tb, http.StatusNoContent)
}

// Pending is how many cloud-to-device messages wait for an identity or are in its hands.
func (h *Hub) Pending(id Identity) int {
	h.tb.Helper()
	return h.Get(id).CloudToDeviceMessageCount
}

// DeviceboundTopic is what an identity subscribes to for its messages.
func (id Identity) DeviceboundTopic() string {
	return strings.TrimSuffix(id.EventsTopic(), "events/") + "devicebound/#"
}

// Message is a cloud-to-device message as it came over MQTT.
type Message struct {
	Topic string
	ID    uint16 // 0 with QoS 0
	Dup   bool
	Body  string
}

// Receive waits for the next cloud-to-device message.
func (l *Link) Receive() Message {
	l.tb.Helper()
	return ParseMessage(l.Read(Publish))
}

// TryReceive gives the next message, or false when none came within the time given or
// the connection has ended.
func (l *Link) TryReceive(within time.Duration) (Message, bool) {
	l.tb.Helper()
	p, err := l.TryRead(within)
	if err != nil {
		return Message{}, false
	}
	if p.Type != Publish {
		l.tb.Fatalf("got a packet of type %d (%x), want a message", p.Type, p.Body)
	}
	return ParseMessage(p), true
}

// ParseMessage reads a PUBLISH; of one that is cut short it gives what is there.
func ParseMessage(p Packet) Message {
	n := 0
	if len(p.Body) >= 2 {
		n = min(2+int(binary.BigEndian.Uint16(p.Body)), len(p.Body))
	}
	m := Message{Topic: string(p.Body[min(2, n):n]), Dup: p.Flags&8 != 0}
	if p.Flags&6 != 0 && len(p.Body) >= n+2 {
		m.ID = binary.BigEndian.Uint16(p.Body[n:])
		n += 2
	}
	m.Body = string(p.Body[n:])
	return m
}

// Acknowledge sends the PUBACK of a message.
func (l *Link) Acknowledge(m Message) {
	l.tb.Helper()
	l.Send(AckBytes(m.ID))
}

// AckBytes is a PUBACK packet.
func AckBytes(id uint16) []byte {
	return Frame(PubAck<<4, binary.BigEndian.AppendUint16(nil, id))
}

// Listen is a new connection of an identity that resumes its session, or else
// subscribes to its messages.
func (h *Hub) Listen(tb testing.TB, id Identity) *Link {
	tb.Helper()
	l := h.Dial(tb)
	if !l.Enter(id.Hello()) {
		l.Subscribe(1, id.DeviceboundTopic())
	}
	return l
}
