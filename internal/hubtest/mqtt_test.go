package hubtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/mqttwire"
)

// mqttSide is what a client over MQTT knows.
type mqttSide struct {
	identity iot.Identity // of the CONNECT
	bad      bool         // the CONNECT must be refused
	good     bool         // the CONNECT must be accepted
	accepted bool
	spell    *spell
	packet   uint16
	unacked  []*message // in the order sent
	requests int        // SUBSCRIBE and UNSUBSCRIBE that wait for their answer
}

var (
	disconnect = mqttwire.Disconnect{}.Append(nil)
	pingreq    = mqttwire.Pingreq{}.Append(nil)
)

// The bits of a connect's argument, behind two for the identity: how it proves itself, and
// what else it says. Those of AMQP are others.
const (
	credGood    = 0 << 2
	credPolicy  = 1 << 2
	credBad     = 2 << 2
	credExpired = 3 << 2
	credentials = 3 << 2

	mqttClean = 1 << 4
	mqttWill  = 1 << 5
	mqttAlien = 1 << 6 // the client id is another's

	amqpSASL    = 1 << 4
	amqpSettled = 1 << 5 // what the inbox sends is settled
	amqpInbox   = 1 << 6
	amqpNoLogin = 1 << 7
)

// auditor is the argument of a connect that reads an identity's messages.
func auditor(id iot.Identity) uint8 {
	return uint8(placeOf(id)) | mqttClean
}

// token is a token for an identity.
func token(id iot.Identity, how uint8) string {
	path, key, expiry := hubHost+"/"+pathOf(id), deviceKey, time.Now().Add(time.Hour)
	switch how & credentials {
	case credPolicy:
		return iot.SignSAS(hubHost, "device", policyKey, expiry)
	case credBad:
		key = wrongKey
	case credExpired:
		expiry = time.Now().Add(-time.Hour)
	}
	return iot.SignSAS(path, "", key, expiry)
}

// pathOf is where the resources of an identity are, in tokens, topics and addresses.
func pathOf(id iot.Identity) string {
	if id.IsModule() {
		return "devices/" + id.Device + "/modules/" + id.Module
	}
	return "devices/" + id.Device
}

func (c *conn) connectMQTT(arg uint8) {
	c.identity = identityOf(arg)
	how := arg & credentials
	c.bad = how == credBad || how == credExpired || arg&mqttAlien != 0 || c.d.barred[c.identity.Device]
	c.good = !c.bad && !c.d.hurried
	username := hubHost + "/" + c.identity.String() + "/?api-version=2021-04-12"
	p := mqttwire.Connect{
		Clean: arg&mqttClean != 0, KeepAlive: 60, ClientID: c.identity.String(), Username: &username, Password: []byte(token(c.identity, arg)),
	}
	if arg&mqttAlien != 0 {
		p.ClientID = "dev3"
	}
	if arg&mqttWill != 0 {
		p.Will = &mqttwire.Will{Topic: pathOf(c.identity) + "/messages/events/", Payload: fmt.Appendf(nil, "will %d", c.no), QoS: 1}
	}
	c.put(p.Append(nil))
}

// next is a packet identifier.
func (c *conn) next() uint16 {
	c.packet++
	return c.packet
}

func (c *conn) publishMQTT(b []byte, needs bool) []byte {
	m := c.d.sent(c, c.identity, nil, needs, c.lateIn(c.spell))
	p := mqttwire.Publish{Topic: []byte(pathOf(c.identity) + "/messages/events/"), Payload: []byte(m.body)}
	if needs {
		p.QoS, p.ID = 1, c.next()
		c.unacked = append(c.unacked, m)
	}
	return p.Append(b)
}

// filter gives one of the filters of the identity, and whether messages come by it.
func (c *conn) filter(arg uint8) (filter string, mail bool) {
	switch arg & 3 {
	case 1:
		return "$iothub/methods/POST/#", false
	case 2:
		return "$iothub/twin/res/#", false
	case 3:
		return "#", true
	}
	return pathOf(c.identity) + "/messages/devicebound/#", true
}

func (c *conn) listenMQTT(arg uint8) {
	filter, mail := c.filter(arg)
	qos := arg >> 4 & 1
	if mail && qos == 0 {
		c.d.loose[c.identity] = true
	}
	c.requests++
	c.put(mqttwire.Subscribe{ID: c.next(), Filters: []mqttwire.Filter{{Topic: []byte(filter), QoS: qos}}}.Append(nil))
}

func (c *conn) unlistenMQTT(arg uint8) {
	filter, _ := c.filter(arg)
	for _, o := range c.letters {
		o.lapsed = true
	}
	c.requests++
	c.put(mqttwire.Unsubscribe{ID: c.next(), Topics: [][]byte{[]byte(filter)}}.Append(nil))
}

// oddMQTT breaks the protocol, or goes to its borders.
func (c *conn) oddMQTT(arg uint8) {
	publish := func(topic string, qos byte) []byte {
		p := mqttwire.Publish{Topic: []byte(topic), Payload: []byte("odd"), QoS: qos}
		if qos > 0 {
			p.ID = c.next()
		}
		return p.Append(nil)
	}
	var b []byte
	switch arg % 12 {
	case 0: // an acknowledgement for nothing
		c.put(mqttwire.Puback{ID: 7777}.Append(nil))
		return
	case 1:
		c.put(publish("$iothub/twin/GET/?$rid=1", 0))
		return
	case 2:
		c.put(publish("$iothub/methods/res/200/?$rid=1", 0))
		return
	case 3:
		c.requests++
		c.put(mqttwire.Unsubscribe{ID: c.next(), Topics: [][]byte{[]byte("no/filter")}}.Append(nil))
		return
	case 4: // a second CONNECT, as somebody else
		id := identityOf(arg >> 4)
		username := hubHost + "/" + id.String() + "/"
		b = mqttwire.Connect{ClientID: id.String(), Username: &username, Password: []byte(token(id, credGood))}.Append(nil)
	case 5:
		b = publish(pathOf(c.identity)+"/messages/events/", 2)
	case 6: // as somebody else
		b = publish(pathOf(identities[(placeOf(c.identity)+1)%len(identities)])+"/messages/events/", 1)
	case 7:
		b = mqttwire.Subscribe{ID: c.next(), Filters: []mqttwire.Filter{{Topic: []byte("devices/+/messages/devicebound/#"), QoS: 1}}}.Append(nil)
	case 8: // longer than any packet may be
		b = []byte{0x30, 0xff, 0xff, 0xff, 0x7f}
	case 9: // a length of five bytes
		b = []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}
	case 10: // a packet of the hub's
		b = mqttwire.Connack{}.Append(nil)
	case 11: // a SUBSCRIBE for nothing
		b = []byte{0x82, 2, 0, 1}
	}
	c.excuse("it broke the protocol")
	c.put(b)
}

// placeOf is the place of an identity.
func placeOf(id iot.Identity) int {
	return slices.Index(identities, id)
}

// collectMQTT reads what the hub has sent.
func (c *conn) collectMQTT() {
	for {
		p, n, err := mqttwire.Decode(c.in, 1<<20)
		if errors.Is(err, mqttwire.ErrShort) {
			return
		}
		if err != nil {
			if !c.garbled { // a CONNECT of another version is answered in that version
				c.d.fault("%s was sent what is no MQTT: %v", c, err)
			}
			c.in = nil
			return
		}
		c.heardMQTT(p)
		c.in = c.in[n:]
	}
}

func (c *conn) heardMQTT(p mqttwire.Packet) {
	switch p := p.(type) {
	case mqttwire.Connack:
		if p.Code != mqttwire.Accepted {
			return
		}
		c.accepted = true
		c.spell, _ = c.d.witness.ofConn(c.identity, c.no)
	case mqttwire.Puback:
		c.heardPuback(p.ID)
	case mqttwire.Suback, mqttwire.Unsuback:
		c.requests--
	case mqttwire.Pingresp:
		c.pings = max(c.pings-1, 0)
	case mqttwire.Publish:
		if !bytes.Contains(p.Topic, []byte("/messages/devicebound/")) {
			return
		}
		if !bytes.HasPrefix(p.Topic, []byte(pathOf(c.identity)+"/messages/devicebound/")) {
			c.d.fault("%s was sent a message for %q", c, p.Topic)
		}
		o := &delivery{letter: c.d.arrived(c, c.identity, string(p.Payload)), id: uint32(p.ID), when: time.Now(), spell: c.spell}
		o.settled = p.QoS == 0
		if o.settled && o.letter != nil {
			o.letter.may[iot.FeedbackSuccess] = true
		}
		c.letters = append(c.letters, o)
	default:
	}
}

// heardPuback notes a PUBACK: they come in the order of the messages (MQTT-4.6.0-2).
func (c *conn) heardPuback(id uint16) {
	if len(c.unacked) == 0 {
		if !c.garbled {
			c.d.fault("%s was sent a PUBACK for %d, and waits for none", c, id)
		}
		return
	}
	c.acknowledged(c.unacked[0])
	c.unacked = c.unacked[1:]
}

// checkMQTT checks what is MQTT's own when the hub has come to rest.
func (c *conn) checkMQTT() {
	if c.accepted && c.bad && !c.garbled {
		c.d.fault("%s was let in as %s without a good credential", c, c.identity)
	}
	whole := len(c.held) == 0 && c.hold < 0 && !c.blind()
	if c.excuses != "" || !whole {
		return
	}
	switch {
	case c.bad && !c.over:
		c.d.fault("%s was refused, and is still connected", c)
	case c.good && !c.accepted:
		c.d.fault("%s was not let in as %s", c, c.identity)
	case c.accepted && !c.over && c.requests > 0:
		c.d.fault("%s waits for %d answers", c, c.requests)
	}
}
