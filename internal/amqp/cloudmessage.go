package amqp

import (
	"strconv"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/iot"
)

func itoa(n int) string { return strconv.Itoa(n) }

// appendCloudMessage encodes a cloud-to-device message as a device receives it (amqp 4).
func appendCloudMessage(b []byte, id iot.Identity, m *iot.LockedMessage) []byte {
	b = amqpwire.Header{DeliveryCount: uint32(m.DeliveryCount)}.Append(b)
	b = amqpwire.AppendSection(b, amqpwire.CodeMessageAnnotations)
	b, at := amqpwire.OpenMap(b)
	b = amqpwire.AppendSymbol(b, "x-opt-lock-token")
	b = amqpwire.AppendString(b, m.Lock.String())
	b = amqpwire.AppendSymbol(b, "x-opt-sequence-number")
	b = amqpwire.AppendUlong(b, m.Sequence)
	b = amqpwire.AppendSymbol(b, iot.EnqueuedTime)
	b = amqpwire.AppendTimestamp(b, m.Enqueued.UnixMilli())
	b = amqpwire.AppendSymbol(b, "iothub-deliverycount")
	b = amqpwire.AppendUbyte(b, m.DeliveryCount)
	b = amqpwire.CloseMap(b, at, 4)
	b = cloudProperties(id, m).Append(b)
	b = appendCloudApplication(b, m)
	return amqpwire.AppendData(b, m.Body)
}

// cloudProperties are the standard's properties of a message.
func cloudProperties(id iot.Identity, m *iot.LockedMessage) *amqpwire.Properties {
	p := &amqpwire.Properties{To: []byte("/" + identityPath(id) + "/messages/devicebound")}
	if m.MessageID != "" {
		p.MessageID = amqpwire.String(m.MessageID)
	}
	if m.CorrelationID != "" {
		p.CorrelationID = amqpwire.String(m.CorrelationID)
	}
	bytesOf := func(s string) []byte {
		if s == "" {
			return nil
		}
		return []byte(s)
	}
	p.UserID = bytesOf(m.UserID)
	p.ContentType, p.ContentEncoding = bytesOf(m.ContentType), bytesOf(m.ContentEncoding)
	p.AbsoluteExpiryTime, p.CreationTime = timestamp(m.Expiry), timestamp(m.Created)
	return p
}

func timestamp(t time.Time) amqpwire.Opt[int64] {
	if t.IsZero() {
		return amqpwire.Opt[int64]{}
	}
	return amqpwire.Some(t.UnixMilli())
}

// appendCloudApplication writes the application properties, all of them strings: C fails
// a message with any other (amqp 4).
func appendCloudApplication(b []byte, m *iot.LockedMessage) []byte {
	if len(m.Application) == 0 && m.Ack == iot.AckUnset {
		return b
	}
	b = amqpwire.AppendSection(b, amqpwire.CodeApplicationProperties)
	b, at := amqpwire.OpenMap(b)
	pairs := 0
	for _, p := range m.Application {
		b = amqpwire.AppendString(b, p.Name)
		b = amqpwire.AppendString(b, p.Value)
		pairs++
	}
	if m.Ack != iot.AckUnset {
		b = amqpwire.AppendString(b, iot.Ack)
		b = amqpwire.AppendString(b, m.Ack.String())
		pairs++
	}
	return amqpwire.CloseMap(b, at, pairs)
}
