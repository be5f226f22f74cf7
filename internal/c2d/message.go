package c2d

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

const opSend = "c2d.send"

// check says what is wrong with a message that a back-end wants to send at now.
func check(m *iot.CloudMessage, now time.Time) error {
	size := m.Size()
	switch {
	case size > iot.MaxCloudMessage:
		return fault.New(fault.MessageTooLarge, opSend, "the message has %d bytes, at most %d are possible", size, iot.MaxCloudMessage)
	case len(m.MessageID) > iot.MaxCloudMessageID:
		return fault.New(fault.ArgumentInvalid, opSend, "the message id has more than %d bytes", iot.MaxCloudMessageID)
	case len(m.Application) > iot.MaxCloudProperties:
		return fault.New(fault.ArgumentInvalid, opSend, "the message has more than %d application properties", iot.MaxCloudProperties)
	case m.Ack > iot.AckFull:
		return fault.New(fault.ArgumentInvalid, opSend, "iothub-ack is not one of none, positive, negative, full")
	case !writable(m.Created) || !writable(m.Expiry):
		return fault.New(fault.ArgumentInvalid, opSend, "a time of the message is not between the years 1 and 9999")
	case m.Expiry.After(now.Add(iot.MaxMessageTTL + expirySlack)):
		return fault.New(fault.InvalidMessageExpiryTime, opSend, "the message would expire at %s; at most %d hours from now are possible",
			iot.TimeOf(m.Expiry), int(iot.MaxMessageTTL.Hours()))
	}
	seen := make(map[string]struct{}, len(m.Application))
	for i := range m.Application {
		name := m.Application[i].Name
		if _, twice := seen[name]; twice || name == "" {
			return fault.New(fault.ArgumentInvalid, opSend, "an application property has no name, or its name stands twice")
		}
		seen[name] = struct{}{}
	}
	return nil
}

// writable reports whether a time can be written as text that others can read.
func writable(t time.Time) bool { return t.IsZero() || t.Year() >= 1 && t.Year() <= 9999 }

// The message record, version 1, numbers as uvarints, texts as a length and as many bytes:
//
//	version    1 byte, 1
//	ack        1 byte, iothub-ack
//	expiry     100 ns ticks from year 1, 0 for none
//	created    likewise
//	message id, correlation id, user id, to, content type, content encoding   six texts
//	count      of application properties, then name and value of each
//	body       the rest
const messageVersion = 1

// unstored is what a failure of the store means to a caller.
const unstored = "the message could not be read or stored"

func encodeMessage(m *iot.CloudMessage) []byte {
	b := make([]byte, 0, m.Size()+32+6*len(m.Application))
	b = append(b, messageVersion, byte(m.Ack))
	b = binary.AppendUvarint(b, ticks(m.Expiry))
	b = binary.AppendUvarint(b, ticks(m.Created))
	for _, s := range [...]string{m.MessageID, m.CorrelationID, m.UserID, m.To, m.ContentType, m.ContentEncoding} {
		b = store.AppendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Application)))
	for i := range m.Application {
		b = store.AppendText(b, m.Application[i].Name)
		b = store.AppendText(b, m.Application[i].Value)
	}
	return append(b, m.Body...)
}

// decodeMessage reads a message record; the body is a part of b. Errors as decodeQueue.
func decodeMessage(b []byte) (iot.CloudMessage, error) {
	d := store.NewDecoder(b)
	if len(b) > maxRecord {
		d.Fail()
	}
	if v := d.Byte(); d.Ok() && v != messageVersion {
		return iot.CloudMessage{}, fmt.Errorf("%w: message of version %d", store.ErrFormat, v)
	}
	m := iot.CloudMessage{Ack: iot.AckMode(d.Byte()), Expiry: timeOf(d.Uvarint()), Created: timeOf(d.Uvarint())}
	for _, s := range [...]*string{&m.MessageID, &m.CorrelationID, &m.UserID, &m.To, &m.ContentType, &m.ContentEncoding} {
		*s = d.Text()
	}
	n := d.AtMost(iot.MaxCloudProperties)
	if m.Ack > iot.AckFull || n > uint64(d.Len()) {
		d.Fail()
	}
	if d.Ok() && n > 0 {
		m.Application = make(iot.Properties, n)
		for i := range m.Application {
			m.Application[i] = iot.Property{Name: d.Text(), Value: d.Text()}
		}
	}
	m.Body = d.Rest()
	if !d.Ok() {
		return iot.CloudMessage{}, fmt.Errorf("%w: message of %d bytes", store.ErrCorrupt, len(b))
	}
	return m, nil
}

// ticks is iot.Ticks, with 0 for no time.
func ticks(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return iot.Ticks(t)
}

func timeOf(ticks uint64) time.Time {
	if ticks == 0 {
		return time.Time{}
	}
	return iot.TicksTime(ticks)
}
