package amqp

import (
	"context"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/event"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Commands are the cloud-to-device messages. Errors are fault.Error.
type Commands interface {
	// Send queues a message for a device or module; it is on stable storage when it
	// returns. m is borrowed until then.
	Send(ctx context.Context, id iot.Identity, m *iot.CloudMessage) error
}

// commands is the node behind a link on which a back-end sends messages to devices. Those
// for one device are queued one after the other, so that they keep the order of the link;
// those for different devices at once.
type commands struct {
	sink

	lines map[iot.Identity][]command // who has a message under way, and what waits behind it
}

// command is a message on its way to a queue.
type command struct {
	id   uint32 // of its delivery
	size int    // bytes, as it was encoded
	m    iot.CloudMessage
}

// attachCommands takes a link to /messages/devicebound.
func (c *conn) attachCommands(at *attachment) *amqpwire.Error {
	if err := c.serves(at); err != nil {
		return err
	}
	if !at.sends {
		return c.refusal(amqpwire.CondNotAllowed, fault.InvalidOperation, "a back-end sends to %s; devices receive from their own address", quoted(at.written))
	}
	at.accept(&commands{lines: make(map[iot.Identity][]command)}, endpoint.Terms{MaxMessageSize: maxCommand})
	at.link.Allow(commandCredit)
	return nil
}

func (*commands) detached(*conn, *endpoint.Link) {}

// transfer queues one message, or has it wait for those before it.
func (n *commands) transfer(c *conn, l *endpoint.Link, d *endpoint.Delivery) {
	to, m, err := readCommand(d.Payload)
	line, busy := n.lines[to]
	next := command{d.ID, len(d.Payload), m}
	switch {
	case err != nil:
		c.settleCommand(l, d.ID, err)
	case c.queueingBytes+next.size > maxQueueing: // of several links, or of messages that are settled already
		c.settleCommand(l, d.ID, fault.New(fault.ThrottleBacklogLimitExceeded, "amqp.command", "%d bytes of messages of the connection are waiting already", c.queueingBytes))
	case !busy:
		n.lines[to] = nil
		c.queueingBytes += next.size
		n.queue(c, l, to, next)
	case c.queueing == maxWaitingJobs: // only of messages that are settled already: they use up no credit
		c.settleCommand(l, d.ID, fault.New(fault.ThrottleBacklogLimitExceeded, "amqp.command", "%d messages of the connection are waiting already", c.queueing))
	default:
		n.lines[to] = append(line, next)
		c.queueingBytes += next.size
		c.queueing++
	}
}

// queue queues a message, settles it when it is on stable storage, and goes on with the
// next for the same device.
func (n *commands) queue(c *conn, l *endpoint.Link, to iot.Identity, next command) {
	err := c.off(func() func() {
		err := asFault(c.server.cfg.Commands.Send(c.ctx, to, &next.m), "amqp.command")
		return func() { n.queued(c, l, to, &next, err) }
	})
	if err != nil {
		n.queued(c, l, to, &next, err)
	}
}

// queued settles a message, and goes on with the next for the same device.
func (n *commands) queued(c *conn, l *endpoint.Link, to iot.Identity, done *command, err error) {
	c.settleCommand(l, done.id, err)
	c.queueingBytes -= done.size
	line := n.lines[to]
	if len(line) == 0 {
		delete(n.lines, to)
		return
	}
	n.lines[to] = line[1:]
	c.queueing--
	n.queue(c, l, to, line[0])
}

// settleCommand tells the back-end what became of a message.
func (c *conn) settleCommand(l *endpoint.Link, id uint32, err error) {
	if err != nil {
		l.Settle(id, amqpwire.Rejected{Error: c.commandCondition(err)})
		return
	}
	l.Settle(id, amqpwire.Accepted{})
}

// commandCondition is why a message was not queued, in the words that service SDKs know
// (amqp 5).
func (c *conn) commandCondition(err error) *amqpwire.Error {
	e := c.condition(err)
	switch fault.Of(err) {
	case fault.DeviceMaximumQueueDepthExceeded:
		e.Condition = amqpwire.CondResourceLimitExceeded
	case fault.MessageTooLarge:
		e.Condition = amqpwire.CondMessageSizeExceeded
	case fault.DeviceNotFound, fault.ModuleNotFound:
		e.Condition = amqpwire.CondNotFound
	default:
	}
	return e
}

// readCommand reads a message to a device. What it gives borrows from nobody.
func readCommand(encoded []byte) (to iot.Identity, m iot.CloudMessage, err error) {
	const op = "amqp.command"
	sections, err := amqpwire.ScanMessage(encoded)
	if err != nil {
		return to, m, fault.Wrap(err, fault.IotHubFormatError, op, "the message cannot be read: %s", err.Error())
	}
	p, err := amqpwire.DecodeProperties(sections.Properties)
	if err != nil {
		return to, m, fault.Wrap(err, fault.IotHubFormatError, op, "the message's properties cannot be read: %s", err.Error())
	}
	a := parseAddress(string(p.To))
	if a.place != placeInbox {
		return to, m, fault.New(fault.ArgumentInvalid, op, "the property to is %s; it must be /devices/{id}/messages/devicebound", quoted(string(p.To)))
	}
	h, err := amqpwire.DecodeHeader(sections.Header)
	if err != nil {
		return to, m, fault.Wrap(err, fault.IotHubFormatError, op, "the message's header cannot be read: %s", err.Error())
	}
	m = iot.CloudMessage{
		MessageID: event.Text(p.MessageID), CorrelationID: event.Text(p.CorrelationID), UserID: string(p.UserID), To: string(p.To),
		ContentType: string(p.ContentType), ContentEncoding: string(p.ContentEncoding),
		Expiry: instant(p.AbsoluteExpiryTime), Created: instant(p.CreationTime),
	}
	if m.Expiry.IsZero() && h.TTL.Set {
		m.Expiry = time.Now().Add(time.Duration(h.TTL.V) * time.Millisecond).UTC()
	}
	if err := readApplication(&m, sections.ApplicationProperties); err != nil {
		return to, m, err
	}
	m.Body, err = commandBody(&sections)
	return a.identity, m, err
}

// instant is a timestamp; zero if it is absent, or before 1970: libraries send their zero
// time there for none (Go's is in 1754 with go-amqp, .NET's in year 1).
func instant(ms amqpwire.Opt[int64]) time.Time {
	if !ms.Set || ms.V < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms.V).UTC()
}

// readApplication reads the application properties: strings stay, any other value becomes
// its text; iothub-ack says of what the sender wants to hear.
func readApplication(m *iot.CloudMessage, section []byte) error {
	const op = "amqp.command"
	application, err := amqpwire.DecodeApplicationProperties(section)
	if err != nil {
		return fault.Wrap(err, fault.IotHubFormatError, op, "the application properties cannot be read: %s", err.Error())
	}
	if application.Len() > iot.MaxCloudProperties {
		return fault.New(fault.ArgumentInvalid, op, "the message has %d application properties, at most %d are allowed", application.Len(), iot.MaxCloudProperties)
	}
	for k, v := range application.Pairs() {
		name, _ := k.AsText()
		if strings.EqualFold(name, iot.Ack) {
			if m.Ack, err = iot.ParseAck(event.Text(v)); err != nil {
				return fault.Wrap(err, fault.ArgumentInvalid, op, "%s", err.Error())
			}
			continue
		}
		m.Application.Set(iot.Property{Name: name, Value: event.Text(v)})
	}
	return nil
}

// commandBody gives the bytes of a body: its data sections joined, or a value that is text
// or binary.
func commandBody(m *amqpwire.Message) ([]byte, error) {
	switch m.BodyCode {
	case 0:
		return nil, nil
	case amqpwire.CodeData:
		var all []byte
		for data := range m.Data() {
			all = append(all, data...)
		}
		return all, nil
	case amqpwire.CodeValue:
		switch v := m.Value(); v.Kind() {
		case amqpwire.KindNull:
			return nil, nil
		case amqpwire.KindString, amqpwire.KindSymbol, amqpwire.KindBinary:
			return append([]byte(nil), v.Raw()...), nil
		default:
		}
	default:
	}
	return nil, fault.New(fault.ArgumentInvalid, "amqp.command", "the body is neither data nor a string or binary value")
}
