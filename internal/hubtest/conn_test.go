package hubtest_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// conn is a connection as its client sees it.
type conn struct {
	*wire

	d         *duel
	who       int
	transport device.Transport
	began     time.Time
	spoke     time.Time // when a whole step was last sent

	excuses string // why the hub may end it; empty: it may not, but for a newcomer
	polite  bool   // its last word was a goodbye, while it held what it held
	garbled bool   // it sent bytes that nobody knows the meaning of
	held    []byte // kept back by doHold
	hold    int    // how much of the next step goes out at once; negative: all
	slow    bool   // its calls into the hub are held up
	chunk   int    // of what is sent in pieces; 0: all at once
	over    bool   // the hub has ended it
	in      []byte // not yet understood
	pings   int    // that wait for their answer
	letters []*delivery

	mqttSide
	amqpSide
}

// delivery is one coming of a message to a device.
type delivery struct {
	letter  *letter
	id      uint32 // packet identifier, or delivery id
	link    *link  // nil over MQTT
	when    time.Time
	settled bool
	lapsed  bool // the client gave it up with the subscription
	spell   *spell
}

func newConn(d *duel, who int, transport device.Transport) *conn {
	c := &conn{wire: d.dial(transport), d: d, who: who, transport: transport, began: time.Now(), spoke: time.Now(), hold: -1}
	c.links, c.byTheirs, c.transfers = map[uint32]*link{}, map[uint32]*link{}, map[uint32]*message{}
	c.gone, c.granted, c.puts = map[iot.Identity]bool{}, map[iot.Identity]bool{}, map[uint64]put{}
	return c
}

func (c *conn) String() string {
	return fmt.Sprintf("connection %d (%c, %s)", c.no, "AB"[c.who], c.transport)
}

// excuse notes that the hub may end the connection.
func (c *conn) excuse(why string) {
	if c.excuses == "" {
		c.excuses = why
	}
}

// excuseDevice notes that the hub may end what the connection is of a device.
func (c *conn) excuseDevice(dev string) {
	if c.transport == device.MQTT && c.identity.Device == dev {
		c.excuse("the device was disabled")
	}
	for _, id := range identities {
		if id.Device == dev {
			c.gone[id] = true
		}
	}
	if c.identity.Device == dev && !c.accepted {
		c.bad, c.good = false, false // whether it was before or behind its CONNECT, nobody knows
	}
	for _, l := range c.links {
		if l.id.Device == dev && !l.answered {
			l.never, l.ought = false, false
		}
	}
}

// doubt notes that others may be faster than what waits for an answer.
func (c *conn) doubt() {
	c.good = false
	for _, l := range c.links {
		l.ought = false
	}
}

// put sends the bytes of a step, in the manner that the script has chosen.
func (c *conn) put(b []byte) {
	if len(c.held) > 0 {
		b = append(c.held, b...)
		c.held = nil
	}
	if c.hold >= 0 {
		n := min(c.hold, len(b))
		c.held, b, c.hold = bytes.Clone(b[n:]), b[:n], -1
	}
	for i := 0; c.chunk > 0 && len(b) > c.chunk && i < 32; i++ {
		c.send(b[:c.chunk])
		b = b[c.chunk:]
		synctest.Wait()
	}
	c.send(b)
	if len(c.held) == 0 {
		c.spoke = time.Now()
	}
}

// do does a step that needs a connection.
func (c *conn) do(s step) {
	mqtt := c.transport == device.MQTT
	switch s.do {
	case doCut:
		c.excuse("it was cut")
		c.cut()
	case doHalf:
		c.excuse("the client ended its side")
		c.halfClose()
	case doGarbage:
		c.garbage(s.data)
	case doHold:
		c.hold = int(s.arg & 0x3f)
	case doTrickle:
		c.chunk = int(s.arg & 7)
	case doStall:
		on := !c.isStalled()
		if on {
			c.excuse("it does not read")
		}
		c.stall(on)
	case doSlow:
		c.slow = c.d.gates.toggle(c.no)
	case doPublish:
		c.publish(s.arg)
	case doPing:
		c.ping()
	case doListen:
		if mqtt {
			c.listenMQTT(s.arg)
		} else {
			c.attach(c.main, s.arg|1)
		}
	case doUnlisten:
		if mqtt {
			c.unlistenMQTT(s.arg)
		} else {
			c.detach(s.arg)
		}
	case doAck:
		c.settleLetters(s.arg)
	case doBye:
		c.polite = c.excuses == "" && c.greeted() && !c.blind() && !c.over && !s.rush && !c.d.hurried && c.hold < 0 && len(c.held) == 0
		c.excuse("it said goodbye")
		if mqtt {
			c.put(disconnect)
		} else {
			c.bye()
		}
	case doOdd:
		if mqtt {
			c.oddMQTT(s.arg)
		} else {
			c.oddAMQP(s.arg)
		}
	case doToken:
		if !mqtt {
			c.putToken(identityOf(s.arg), s.arg>>2)
		}
	case doAttach:
		if !mqtt {
			c.attach(identityOf(s.arg), s.arg>>2)
		}
	default:
	}
}

// garbage sends bytes of which nobody knows what they mean, only that they are no message of ours.
func (c *conn) garbage(b []byte) {
	c.excuse("it sent garbage")
	c.garbled = true
	for _, id := range identities {
		c.d.loose[id] = c.d.loose[id] || c.mayBe(id)
	}
	c.put(bytes.ReplaceAll(b, []byte(marker[:2]), []byte("no")))
}

// mayBe reports whether the client has shown that it is an identity, or may do so yet.
func (c *conn) mayBe(id iot.Identity) bool {
	return c.transport == device.AMQP || c.identity == id
}

// ping asks for an answer.
func (c *conn) ping() {
	if c.transport == device.MQTT {
		c.put(pingreq)
	} else if !c.echo() {
		return
	}
	c.pings++
}

// probe asks a client for which the hub must be there for an answer.
func (c *conn) probe() {
	if c.excuses == "" && !c.slow && len(c.held) == 0 && c.hold < 0 && c.greeted() {
		c.ping()
		c.publish(1)
	}
}

// collect takes what the hub has sent, and reports whether it was answered.
func (c *conn) collect() (spoke bool) {
	if c.isStalled() {
		return false
	}
	b, end := c.receive()
	c.in = append(c.in, b...)
	if c.transport == device.MQTT {
		c.collectMQTT()
	} else {
		spoke = c.collectAMQP()
	}
	c.over = c.over || end
	return spoke && !end
}

// greeted reports whether the hub has accepted the client as somebody.
func (c *conn) greeted() bool {
	if c.transport == device.MQTT {
		return c.accepted
	}
	return slices.ContainsFunc(c.list(), func(l *link) bool { return l.accepted && l.telemetry() })
}

// holds gives the identities that the client knows to hold.
func (c *conn) holds() []iot.Identity {
	switch {
	case c.over, c.blind():
		return nil
	case c.transport == device.MQTT && c.accepted:
		return []iot.Identity{c.identity}
	}
	var ids []iot.Identity
	for _, l := range c.list() {
		if l.lives() && l.device && !slices.Contains(ids, l.id) {
			ids = append(ids, l.id)
		}
	}
	return ids
}

// blind reports whether the client cannot know what became of what it sent, or the hub not
// have come to it.
func (c *conn) blind() bool { return c.slow || c.isStalled() }

// check checks what must hold of the connection when the hub has come to rest.
func (c *conn) check() {
	if c.transport == device.MQTT {
		c.checkMQTT()
	}
	for _, id := range identities {
		c.checkIdentity(id)
	}
	if c.transport == device.AMQP {
		c.checkLinks()
	}
	if c.excuses != "" || c.over || len(c.held) > 0 || !c.greeted() || c.blind() {
		return
	}
	if c.pings > 0 {
		c.d.fault("%s waits for the answers to %d pings", c, c.pings)
	}
}

// checkIdentity compares what the client knows of itself as an identity with what the hub
// tells.
func (c *conn) checkIdentity(id iot.Identity) {
	s, lives := c.d.witness.ofConn(id, c.no)
	holds := slices.Contains(c.holds(), id)
	if holds && !lives {
		c.d.fault("%s takes itself for the holder of %s, and the hub knows nothing of it", c, id)
	}
	if s != nil && c.polite && (lives || s.end.Code != 0 && !c.gone[id] && s.end.By == nil) {
		c.d.fault("%s said goodbye as %s, and the hub did not hear it: it lives: %t", c, id, lives)
	}
	if s == nil || c.excuses != "" || c.gone[id] {
		return
	}
	if !lives && s.end.By == nil {
		c.d.fault("%s did nothing wrong, and lost %s to nobody: %d %s", c, id, s.end.Code, s.end.Reason)
	}
	if !lives && s.end.By != nil && s.end.By.Conn.ID == c.no {
		c.d.fault("%s displaced itself from %s", c, id)
	}
	if lives && !holds && !c.blind() && len(c.held) == 0 {
		c.d.fault("%s holds %s, and was told otherwise", c, id)
	}
	for _, m := range c.d.messages {
		if m.conn != c || m.id != id || m.late || !lives || len(c.held) > 0 || c.blind() || m.link != nil && !m.link.lives() {
			continue
		}
		m.sure = true
		if m.needs && !m.acked {
			c.d.fault("%s holds %s, and waits for the acknowledgement of %q", c, id, m.body)
		}
	}
}

// publish sends telemetry: bit 0 asks for an acknowledgement, the next two say how many.
func (c *conn) publish(arg uint8) {
	var b []byte
	for range []int{1, 2, 5, 20}[arg>>1&3] {
		if c.transport == device.MQTT {
			b = c.publishMQTT(b, arg&1 == 1)
		} else {
			b = c.transfer(b, arg&1 == 1, arg>>3)
		}
	}
	if len(b) > 0 {
		c.put(b)
	}
}

// lateIn reports whether a session is known to be over.
func (c *conn) lateIn(s *spell) bool {
	return s != nil && !c.d.hurried && c.d.witness.over(s)
}

// acknowledged notes an acknowledgement of the hub's.
func (c *conn) acknowledged(m *message) {
	if m.late {
		c.d.fault("the hub acknowledged %q to %s, whose session was over", m.body, c)
	}
	m.acked = true
}

// settleLetters settles messages that came: bits 0 and 1 say how (over MQTT there is one
// way), bits 2 and 3 which ones.
func (c *conn) settleLetters(arg uint8) {
	var open []*delivery
	for _, o := range c.letters {
		if !o.settled && o.letter != nil {
			open = append(open, o)
		}
	}
	switch {
	case len(open) == 0:
	case arg>>2&3 == 0:
		open = open[:1]
	case arg>>2&3 == 1:
		open = open[len(open)-1:]
	}
	var b []byte
	for _, o := range open {
		o.settled = true
		if c.transport == device.MQTT {
			b = append(b, 0x40, 2, byte(o.id>>8), byte(o.id))
			c.judged(o, iot.FeedbackSuccess)
			continue
		}
		b = c.disposition(b, o, arg&3)
	}
	if len(b) > 0 {
		c.put(b)
	}
}

// judged notes that the client has settled a message. It counts if the client still has it.
func (c *conn) judged(o *delivery, outcome iot.FeedbackStatus) {
	if c.lateIn(o.spell) {
		return
	}
	o.letter.may[outcome] = true
	live := !c.slow && o.spell != nil && !c.d.witness.over(o.spell) && !c.d.hurried
	if live && c.excuses == "" && len(c.held) == 0 && c.hold < 0 && !c.gone[o.letter.to] && o.fresh() {
		o.letter.must, o.letter.by, o.letter.bySpell = outcome, c, o.spell
	}
}

// steady reports whether the client still is who it was in a session, and has been heard.
func (c *conn) steady(s *spell) bool {
	return c.excuses == "" && !c.over && !c.blind() && len(c.held) == 0 && !c.d.witness.over(s)
}

// fresh reports whether the lock that came with a delivery is still there, as far as the
// client and time can tell.
func (o *delivery) fresh() bool { return !o.lapsed && time.Since(o.when) < iot.MessageLock/2 }
