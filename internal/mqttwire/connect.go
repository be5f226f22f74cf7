package mqttwire

import "encoding/binary"

// Connect is a CONNECT of protocol level 4.
type Connect struct {
	Clean     bool   // CleanSession
	KeepAlive uint16 // seconds, 0 for none
	ClientID  string
	Will      *Will
	Username  *string // nil if there is none
	Password  []byte  // nil if there is none, empty if it is; borrowed
}

// Will is the message that a CONNECT leaves with the server.
type Will struct {
	Topic   string
	Payload []byte // borrowed
	QoS     byte
	Retain  bool
}

// The CONNECT flags (MQTT 3.1.2.3).
const (
	flagReserved   = 1 << 0
	flagClean      = 1 << 1
	flagWill       = 1 << 2
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUsername   = 1 << 7
)

// level is the protocol level of MQTT 3.1.1.
const level = 4

// Connect reads the body of a CONNECT. A version other than 3.1.1 is a *VersionError.
func (f Frame) Connect() (Connect, error) {
	c := cursor{b: f.Body}
	name, version := c.data(), c.byte()
	if c.err != nil {
		return Connect{}, c.err
	}
	switch {
	case string(name) == "MQIsdp", string(name) == "MQTT" && version != level:
		return Connect{}, &VersionError{Name: string(name), Level: version}
	case string(name) != "MQTT":
		return Connect{}, errProtocolName
	}
	flags := c.byte()
	if err := checkConnectFlags(flags); err != nil && c.err == nil {
		return Connect{}, err
	}
	v := Connect{Clean: flags&flagClean != 0, KeepAlive: c.uint16()}
	v.ClientID = string(c.text())
	if flags&flagWill != 0 {
		v.Will = c.will(flags)
	}
	if flags&flagUsername != 0 {
		name := string(c.text())
		v.Username = &name
	}
	if flags&flagPassword != 0 {
		v.Password = c.data()
	}
	if err := c.end(); err != nil {
		return Connect{}, err
	}
	return v, nil
}

func checkConnectFlags(flags byte) error {
	switch {
	case flags&flagReserved != 0:
		return errConnectFlags // MQTT-3.1.2-3
	case flags&flagWill == 0 && flags&0b0011_1000 != 0:
		return errWillFlags // MQTT-3.1.2-13, MQTT-3.1.2-15
	case flags&0b0001_1000 == 0b0001_1000:
		return errWillQoS // MQTT-3.1.2-14
	case flags&flagUsername == 0 && flags&flagPassword != 0:
		return errPasswordAlone // MQTT-3.1.2-22
	}
	return nil
}

func (c *cursor) will(flags byte) *Will {
	topic := c.text()
	w := &Will{Topic: string(topic), Payload: c.data(), QoS: flags >> 3 & 3, Retain: flags&flagWillRetain != 0}
	switch {
	case c.err != nil:
	case len(topic) == 0:
		c.fail(errTopicEmpty)
	case hasWildcard(topic):
		c.fail(errWillWild)
	}
	return w
}

// Append writes the packet behind b.
func (v Connect) Append(b []byte) []byte {
	n := 6 + 1 + 1 + 2 + 2 + min(len(v.ClientID), 0xffff)
	var flags byte
	if v.Clean {
		flags |= flagClean
	}
	if v.Will != nil {
		flags |= flagWill | v.Will.QoS&3<<3
		if v.Will.Retain {
			flags |= flagWillRetain
		}
		n += 2 + min(len(v.Will.Topic), 0xffff) + 2 + min(len(v.Will.Payload), 0xffff)
	}
	if v.Username != nil {
		flags |= flagUsername
		n += 2 + min(len(*v.Username), 0xffff)
	}
	if v.Password != nil {
		flags |= flagPassword
		n += 2 + min(len(v.Password), 0xffff)
	}
	b = appendHeader(b, TypeConnect, 0, n)
	b = appendData(b, "MQTT")
	b = append(b, level, flags)
	b = binary.BigEndian.AppendUint16(b, v.KeepAlive)
	b = appendData(b, v.ClientID)
	if v.Will != nil {
		b = appendData(b, v.Will.Topic)
		b = appendData(b, v.Will.Payload)
	}
	if v.Username != nil {
		b = appendData(b, *v.Username)
	}
	if v.Password != nil {
		b = appendData(b, v.Password)
	}
	return b
}
