package mqtt

import (
	"log/slog"
	"math"
	"slices"
	"strings"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

// outgoing is a message that was published to the client at QoS 1 and that it has not
// acknowledged.
type outgoing struct {
	id       uint16 // packet identifier
	sequence uint64
	lock     iot.LockToken
}

// room is what the client can take now: no messages unless it is subscribed to some, and
// none while the hub stops.
func (m *machine) room(t *park.Turn) device.Room {
	r := device.Room{Bytes: max(outRoom-len(t.Out), 0)}
	if m.mail.open() && !t.Stopping && !m.mute() {
		r.Messages = max(maxUnacknowledged-len(m.outgoing), 0)
	}
	return r
}

// mute reports whether no topic can be written that names the identity: MQTT keeps '+'
// and '#' for filters (MQTT-3.3.2-2). Its messages wait for another transport.
func (m *machine) mute() bool {
	return strings.ContainsAny(m.own.Device, "+#") || strings.ContainsAny(m.own.Module, "+#")
}

// take takes what the hub has for the client, as much as there is room for. There are
// never more results than open requests and settlements, so this ends.
func (m *machine) take(t *park.Turn, s *scratch) error {
	m.hungry = false
	for {
		room := m.room(t)
		got := m.session.Take(s.deliveries[:], room)
		messages := 0
		for _, d := range got {
			if d.Message != nil {
				messages++
				m.send(t, s, d.Message)
				continue
			}
			if err := m.deliver(t, d); err != nil {
				return err
			}
		}
		clear(got)
		left := outRoom - len(t.Out)
		if len(got) == takeAtOnce && left > 0 { // there may be more
			continue
		}
		if messages > 0 && left < iot.MaxCloudMessage { // there may be one that did not fit
			m.hungry, t.More = true, true
		}
		return nil // where the client had no room: the result of the next PUBACK wakes
	}
}

// send publishes a message. At QoS 0 it is completed with that; at QoS 1 by its PUBACK.
func (m *machine) send(t *park.Turn, s *scratch, msg *iot.LockedMessage) {
	p := mqttwire.Publish{Payload: msg.Body, QoS: m.mail.qos()}
	if i := slices.IndexFunc(m.outgoing, func(o outgoing) bool { return o.sequence == msg.Sequence }); i >= 0 {
		// Its lock had ended, and it came again while the client still has it to acknowledge:
		// on one connection nothing is sent twice, and the PUBACK is for the new lock.
		m.outgoing[i].lock = msg.Lock
		return
	}
	if s.published = m.own.appendTopic(s.published[:0], &msg.CloudMessage); len(s.published) > math.MaxUint16 {
		m.log.Warn("a message's properties do not fit into an MQTT topic; it is rejected on the device's behalf",
			slog.String("op", "mqtt.send"), slog.String("device", m.own.Device), slog.String("module", m.own.Module))
		m.settle(msg.Lock, device.Reject)
		return
	}
	p.Topic = s.published
	if p.QoS > 0 {
		p.ID = m.identifier(msg.Number)
		p.Dup = msg.Again && m.resumed // MQTT-3.3.1-1
		m.outgoing = append(m.outgoing, outgoing{p.ID, msg.Sequence, msg.Lock})
	}
	t.Out = p.Append(t.Out)
	m.sent(1)
	if p.QoS == 0 {
		m.settle(msg.Lock, device.Complete)
	}
}

// identifier gives a packet identifier that is free: the message's own number, which it
// had on every connection, so that one that is sent again has the same (MQTT-4.4.0-1).
func (m *machine) identifier(number uint16) uint16 {
	for number == 0 || slices.ContainsFunc(m.outgoing, func(o outgoing) bool { return o.id == number }) {
		number++
	}
	return number
}

// acknowledged completes the message that a PUBACK is for. One for a message whose lock
// has ended is ignored by the hub, and so is one for nothing that was sent.
func (m *machine) acknowledged(id uint16) {
	i := slices.IndexFunc(m.outgoing, func(o outgoing) bool { return o.id == id })
	if i < 0 {
		return
	}
	m.settle(m.outgoing[i].lock, device.Complete)
	if m.outgoing = slices.Delete(m.outgoing, i, i+1); len(m.outgoing) == 0 {
		m.outgoing = nil // an idle connection does not keep what a burst needed
	}
}

// settle tells the hub what became of a message. Nobody waits for the result: if the
// outcome cannot be stored, the message comes again once its lock has ended.
func (m *machine) settle(lock iot.LockToken, outcome device.Outcome) {
	m.tag++
	_ = m.session.Do(device.Op{Tag: m.tag, What: device.Settle{Lock: lock, Outcome: outcome}})
}
