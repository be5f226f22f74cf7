package mqtt

import (
	"fmt"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

// request is an operation whose result the client waits for.
type request struct {
	tag   uint64
	kind  requestKind
	id    uint16 // packet identifier of a SUBSCRIBE or UNSUBSCRIBE
	codes []byte // of the SUBACK
	rid   string // of a twin request
}

type requestKind uint8

const (
	toSubscribe requestKind = iota
	toUnsubscribe
	toTwin
)

// subscribe handles a SUBSCRIBE: granted is the lesser of requested and 1, and a filter
// the identity may not use closes the connection, because most clients overlook 0x80
// (device-mqtt-http 8).
func (m *machine) subscribe(t *park.Turn, f mqttwire.Frame) error {
	p, err := f.Subscribe()
	switch {
	case err != nil:
		return m.broken("%s", err.Error())
	case len(p.Filters) > maxFilters:
		return m.broken("SUBSCRIBE with %d filters, at most %d", len(p.Filters), maxFilters)
	case len(m.requests) >= maxRequests:
		t.Paused = true
		return nil
	}
	r := request{kind: toSubscribe, id: p.ID, codes: make([]byte, len(p.Filters))}
	subs := make([]device.Subscription, len(p.Filters))
	responses, mail := m.responses, m.mail
	for i, f := range p.Filters {
		to, ok := m.own.stream(f.Topic)
		if !ok {
			return m.broken("SUBSCRIBE to a filter that the hub does not support: %s", quoted(f.Topic))
		}
		r.codes[i] = min(f.QoS, 1)
		subs[i] = device.Subscription{To: to, Filter: string(f.Topic), QoS: r.codes[i]}
		responses = responses || to == device.TwinResponses
		if to.Messages() {
			mail = mail.with(m.own.mail(f.Topic), r.codes[i])
		}
	}
	if err := m.do(r, device.Subscribe{Subs: subs}); err != nil {
		return m.refused("SUBSCRIBE refused", err)
	}
	m.responses, m.mail = responses, mail // messages may come before the SUBACK (MQTT 3.8.4)
	return nil
}

// unsubscribe handles an UNSUBSCRIBE; unknown filters are no error.
func (m *machine) unsubscribe(t *park.Turn, f mqttwire.Frame) error {
	p, err := f.Unsubscribe()
	switch {
	case err != nil:
		return m.broken("%s", err.Error())
	case len(p.Topics) > maxFilters:
		return m.broken("UNSUBSCRIBE with %d filters, at most %d", len(p.Topics), maxFilters)
	case len(m.requests) >= maxRequests:
		t.Paused = true
		return nil
	}
	var filters []string
	responses, mail := m.responses, m.mail
	for _, topic := range p.Topics {
		to, ok := m.own.stream(topic)
		if !ok {
			continue // nobody can have it
		}
		filters = append(filters, string(topic))
		responses = responses && to != device.TwinResponses
		mail = mail.without(m.own.mail(topic))
	}
	if err := m.do(request{kind: toUnsubscribe, id: p.ID}, device.Unsubscribe{Filters: filters}); err != nil {
		return m.refused("UNSUBSCRIBE refused", err)
	}
	m.responses, m.mail = responses, mail // MQTT-3.10.4-2
	return nil
}

// askTwin starts a twin operation. A hub that refuses at once is answered for like one
// that refuses later.
func (m *machine) askTwin(t *park.Turn, what meaning, rid string, payload []byte) {
	var op device.Operation = device.TwinRead{}
	if what == twinReport {
		op = device.TwinReport{Patch: payload}
	}
	if err := m.do(request{kind: toTwin, rid: rid}, op); err != nil {
		m.answerTwin(t, rid, err)
	}
}

// do starts an operation and remembers what waits for it.
func (m *machine) do(r request, what device.Operation) error {
	m.tag++
	r.tag = m.tag
	if err := m.session.Do(device.Op{Tag: r.tag, What: what}); err != nil {
		return err
	}
	m.requests = append(m.requests, r)
	return nil
}

// deliver passes one result on. A result nobody waits for is dropped.
func (m *machine) deliver(t *park.Turn, d device.Delivery) error {
	r, ok := m.finish(d.Tag)
	if !ok {
		return nil
	}
	switch r.kind {
	case toSubscribe:
		if d.Err != nil {
			return m.refused("SUBSCRIBE refused", d.Err)
		}
		t.Out = mqttwire.Suback{ID: r.id, Codes: r.codes}.Append(t.Out)
		m.sent(1)
	case toUnsubscribe:
		if d.Err != nil {
			return m.refused("UNSUBSCRIBE refused", d.Err)
		}
		t.Out = mqttwire.Unsuback{ID: r.id}.Append(t.Out)
		m.sent(1)
	case toTwin:
		m.answerTwin(t, r.rid, d.Err)
	}
	return nil
}

// finish takes a request out.
func (m *machine) finish(tag uint64) (request, bool) {
	for i, r := range m.requests {
		if r.tag == tag {
			m.requests = append(m.requests[:i], m.requests[i+1:]...)
			if len(m.requests) == 0 {
				m.requests = nil
			}
			return r, true
		}
	}
	return request{}, false
}

// answerTwin publishes the answer to a twin request, at QoS 0, if the client listens for
// answers. A Delivery carries no document, so a success is 204 No Content.
func (m *machine) answerTwin(t *park.Turn, rid string, err error) {
	if !m.responses {
		return
	}
	status, body := 204, []byte(nil)
	if err != nil {
		status = fault.Of(err).Status()
		body = newErrorBody(err, m.tracking.next(t.Now), t.Now)
	}
	t.Out = mqttwire.Publish{Topic: fmt.Appendf(nil, "$iothub/twin/res/%03d/?$rid=%s", status, rid), Payload: body}.Append(t.Out)
	m.sent(1)
}
