package mqttwire

import "encoding/binary"

// Subscribe asks for subscriptions.
type Subscribe struct {
	ID      uint16
	Filters []Filter // 1 to MaxFilters
}

// Filter is one topic filter of a SUBSCRIBE.
type Filter struct {
	Topic []byte // borrowed
	QoS   byte   // as requested: 0, 1 or 2
}

// Suback answers a SUBSCRIBE, one code for each of its filters in order.
type Suback struct {
	ID    uint16
	Codes []byte // 0, 1, 2 granted; 0x80 failure; borrowed
}

// SubackFailure is the return code of a filter that is not granted.
const SubackFailure = 0x80

// Unsubscribe takes subscriptions back.
type Unsubscribe struct {
	ID     uint16
	Topics [][]byte // 1 to MaxFilters; borrowed
}

// Subscribe reads the body of a SUBSCRIBE.
func (f Frame) Subscribe() (Subscribe, error) {
	c := cursor{b: f.Body}
	v := Subscribe{ID: c.id()}
	for c.err == nil && len(c.b) > 0 {
		topic := c.filter(len(v.Filters))
		qos := c.byte()
		if qos > 2 {
			c.fail(errRequestedQoS) // MQTT-3-8.3-4
		}
		v.Filters = append(v.Filters, Filter{topic, qos})
	}
	if err := c.end(); err != nil {
		return Subscribe{}, err
	}
	if len(v.Filters) == 0 {
		return Subscribe{}, errNoFilters // MQTT-3.8.3-3
	}
	return v, nil
}

// filter reads one topic filter when there are n already.
func (c *cursor) filter(n int) []byte {
	if n == MaxFilters {
		c.fail(errManyFilters)
		return nil
	}
	topic := c.text()
	if c.err == nil {
		c.err = checkFilter(topic)
	}
	return topic
}

// Unsubscribe reads the body of an UNSUBSCRIBE.
func (f Frame) Unsubscribe() (Unsubscribe, error) {
	c := cursor{b: f.Body}
	v := Unsubscribe{ID: c.id()}
	for c.err == nil && len(c.b) > 0 {
		v.Topics = append(v.Topics, c.filter(len(v.Topics)))
	}
	if err := c.end(); err != nil {
		return Unsubscribe{}, err
	}
	if len(v.Topics) == 0 {
		return Unsubscribe{}, errNoTopics // MQTT-3.10.3-2
	}
	return v, nil
}

func (f Frame) suback() (Suback, error) {
	c := cursor{b: f.Body}
	v := Suback{ID: c.id()}
	v.Codes = c.take(len(c.b))
	if c.err != nil {
		return Suback{}, c.err
	}
	if len(v.Codes) == 0 {
		return Suback{}, errNoCodes
	}
	for _, code := range v.Codes {
		if code > 2 && code != SubackFailure {
			return Suback{}, errSubackCode // MQTT-3.9.3-2
		}
	}
	return v, nil
}

// Append writes the packet behind b.
func (v Subscribe) Append(b []byte) []byte {
	n := 2
	for _, f := range v.Filters {
		n += 3 + min(len(f.Topic), 0xffff)
	}
	b = appendHeader(b, TypeSubscribe, 0b0010, n)
	b = binary.BigEndian.AppendUint16(b, v.ID)
	for _, f := range v.Filters {
		b = append(appendData(b, f.Topic), f.QoS)
	}
	return b
}

// Append writes the packet behind b.
func (v Suback) Append(b []byte) []byte {
	b = appendHeader(b, TypeSuback, 0, 2+len(v.Codes))
	b = binary.BigEndian.AppendUint16(b, v.ID)
	return append(b, v.Codes...)
}

// Append writes the packet behind b.
func (v Unsubscribe) Append(b []byte) []byte {
	n := 2
	for _, t := range v.Topics {
		n += 2 + min(len(t), 0xffff)
	}
	b = appendHeader(b, TypeUnsubscribe, 0b0010, n)
	b = binary.BigEndian.AppendUint16(b, v.ID)
	for _, t := range v.Topics {
		b = appendData(b, t)
	}
	return b
}
