package mqtt

import (
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// mailbox is which of the filters that cloud-to-device messages match a client is
// subscribed to, and at which QoS: for each filter one bit, and one more for QoS 1.
type mailbox uint8

// The filters that match the devicebound topic, as bits of a mailbox.
const (
	mailTopic    mailbox = 1 << iota // devices/D/messages/devicebound/#
	mailMessages                     // devices/D/messages/#
	mailModule                       // devices/D/modules/M/#
	mailAll                          // #
)

// mailQoS1 is how far the bit of a filter's QoS is above that of the filter.
const mailQoS1 = 4

// mail gives the bit of a filter, 0 if no messages match it.
func (o own) mail(filter []byte) mailbox {
	if string(filter) == "#" {
		return mailAll
	}
	rest, ok := o.below(filter)
	if !ok {
		return 0
	}
	switch string(rest) {
	case "messages/devicebound/#":
		return mailTopic
	case "messages/#":
		return mailMessages
	case "#":
		return mailModule
	}
	return 0
}

// with adds a subscription, or replaces the one of the same filter.
func (b mailbox) with(filter mailbox, qos uint8) mailbox {
	b = b.without(filter) | filter
	if qos > 0 {
		b |= filter << mailQoS1
	}
	return b
}

// without removes a subscription.
func (b mailbox) without(filter mailbox) mailbox { return b &^ (filter | filter<<mailQoS1) }

// open reports whether messages are subscribed to.
func (b mailbox) open() bool { return b != 0 }

// qos is at which QoS messages come: the greatest of the filters' (MQTT-3.3.5-1).
func (b mailbox) qos() byte {
	if b>>mailQoS1 != 0 {
		return 1
	}
	return 0
}

// mailOf is the mailbox of kept subscriptions.
func mailOf(o own, subs []device.Subscription) mailbox {
	var b mailbox
	for _, sub := range subs {
		if sub.To.Messages() {
			b = b.with(o.mail([]byte(sub.Filter)), sub.QoS)
		}
	}
	return b
}

// expiryLayout is .NET's round-trip form: seven digits, always; anything else ends a
// .NET client's connection (device-mqtt-http 4).
const expiryLayout = "2006-01-02T15:04:05.0000000Z"

// appendTopic appends the topic of a message with its property bag: what the sender said
// of it first, under %24, for Go and Java clients look for the first of these, and
// always with %24.to, because .NET drops a connection over an empty bag. Nothing but
// unreserved characters stands for itself (device-mqtt-http 4).
func (o own) appendTopic(b []byte, m *iot.CloudMessage) []byte {
	b = append(append(b, "devices/"...), o.Device...)
	if o.Module != "" {
		b = append(append(b, "/modules/"...), o.Module...)
	}
	b = append(b, "/messages/devicebound/"...)
	began := len(b)
	add := func(name, value string) {
		if len(b) > began {
			b = append(b, '&')
		}
		b = append(b, name...)
		b = append(b, '=')
		b = append(b, iot.Escape(value)...)
	}
	system := func(name, value string) {
		if value != "" {
			add(name, value)
		}
	}
	instant := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, t.UTC().Format(expiryLayout))
		}
	}
	system("%24.mid", m.MessageID)
	system("%24.cid", m.CorrelationID)
	system("%24.uid", m.UserID)
	add("%24.to", o.addressee(m))
	system("%24.ct", m.ContentType)
	system("%24.ce", m.ContentEncoding)
	instant("%24.exp", m.Expiry)
	instant("%24.ctime", m.Created)
	system(iot.Ack, m.Ack.String())
	for i := range m.Application {
		add(iot.Escape(m.Application[i].Name), m.Application[i].Value)
	}
	return b
}

// addressee is the address as the sender wrote it, or the identity's own.
func (o own) addressee(m *iot.CloudMessage) string {
	switch {
	case m.To != "":
		return m.To
	case o.Module != "":
		return "/devices/" + o.Device + "/modules/" + o.Module + "/messages/devicebound"
	}
	return "/devices/" + o.Device + "/messages/devicebound"
}
