package mqttwire

import (
	"bytes"
	"encoding/binary"
)

// Publish carries one message.
type Publish struct {
	Topic   []byte // borrowed
	Payload []byte // borrowed
	ID      uint16 // 0 exactly with QoS 0
	QoS     byte
	Dup     bool
	Retain  bool
}

// Publish reads the body of a PUBLISH. It allocates nothing: topic and payload are
// borrowed from the frame.
func (f Frame) Publish() (Publish, error) {
	p, _, err := f.PublishTo(nil)
	return p, err
}

// PublishTo is Publish for who has had a good topic before: again reports that this is the
// same one, which is not checked a second time.
func (f Frame) PublishTo(topic []byte) (p Publish, again bool, err error) {
	b := f.Body
	if len(b) < 2 {
		return Publish{}, false, errTruncated
	}
	end := 2 + (int(b[0])<<8 | int(b[1]))
	if end > len(b) {
		return Publish{}, false, errTruncated
	}
	p = Publish{
		Topic:  b[2:end:end],
		QoS:    f.Flags >> 1 & 3,
		Dup:    f.Flags&0b1000 != 0,
		Retain: f.Flags&0b0001 != 0,
	}
	if again = len(topic) > 0 && bytes.Equal(topic, p.Topic); !again {
		if err := checkTopic(p.Topic); err != nil {
			return Publish{}, false, err
		}
	}
	b = b[end:]
	if p.QoS > 0 {
		if len(b) < 2 {
			return Publish{}, false, errTruncated
		}
		if p.ID = binary.BigEndian.Uint16(b); p.ID == 0 {
			return Publish{}, false, errID // MQTT-2.3.1-1
		}
		b = b[2:]
	}
	p.Payload = b
	return p, again, nil
}

// checkTopic demands a topic name as MQTT 3.3.2.1 has it.
func checkTopic(topic []byte) error {
	if len(topic) == 0 {
		return errTopicEmpty // MQTT-4.7.3-1
	}
	if hasWildcard(topic) {
		return errTopicWild // MQTT-3.3.2-2
	}
	return checkText(topic)
}

// Append writes the packet behind b. The identifier is written with a QoS above 0 only.
func (p Publish) Append(b []byte) []byte {
	topic := min(len(p.Topic), 0xffff)
	n := 2 + topic + len(p.Payload)
	flags := p.QoS & 3 << 1
	if p.QoS > 0 {
		n += 2
	}
	if p.Dup {
		flags |= 0b1000
	}
	if p.Retain {
		flags |= 0b0001
	}
	b = appendHeader(b, TypePublish, flags, n)
	b = appendData(b, p.Topic)
	if p.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, p.ID)
	}
	return append(b, p.Payload...)
}
