package hubtest_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// amqpSide is what a client over AMQP knows. It uses one session, on channel 0.
type amqpSide struct {
	main      iot.Identity // who it connects as
	links     map[uint32]*link
	byTheirs  map[uint32]*link
	names     int
	transfers map[uint32]*message // that wait for their outcome, by delivery id
	outgoing  uint32              // transfers sent, and the next delivery id
	incoming  uint32              // the next transfer of the hub's
	begun     bool                // the hub has answered our begin
	ended     bool                // our session is over
	second    uint16              // further sessions, by channel
	cbs       bool
	requested uint64
	puts      map[uint64]put // tokens by request
	granted   map[iot.Identity]bool
	gone      map[iot.Identity]bool // those that the hub may end: their links were detached, or their device barred
}

// put is a token that was put.
type put struct {
	id  iot.Identity
	how uint8
}

// link is one link of a client.
type link struct {
	handle   uint32
	name     string
	id       iot.Identity
	place    uint8 // what it is to, below
	device   bool  // it is a device's
	sends    bool  // the client sends on it
	ought    bool  // it must be accepted
	never    bool  // it must not
	answered bool
	accepted bool
	leaving  bool // we have detached it
	gone     bool // the hub has
	received uint32
	spell    *spell
}

// The places of links.
const (
	toTelemetry uint8 = iota
	toInbox
	toMethods
	toTwin
	toCBS
)

func (l *link) lives() bool     { return l.accepted && !l.leaving && !l.gone }
func (l *link) telemetry() bool { return l.place == toTelemetry && l.lives() }

// list gives the links in the order of their handles.
func (c *conn) list() []*link {
	return slices.SortedFunc(maps.Values(c.links), func(a, b *link) int { return int(a.handle) - int(b.handle) })
}

func frame(b []byte, p amqpwire.Performative) []byte { return amqpwire.AppendFrame(b, 0, p) }

// connectAMQP opens, logs in, and attaches a link for telemetry.
func (c *conn) connectAMQP(arg uint8) {
	c.main = identityOf(arg)
	var b []byte
	if arg&amqpSASL != 0 {
		b = amqpwire.AppendProto(b, amqpwire.ProtoSASL)
		b = amqpwire.AppendSASL(b, amqpwire.SASLInit{Mechanism: "ANONYMOUS"})
	}
	b = amqpwire.AppendProto(b, amqpwire.ProtoAMQP)
	b = frame(b, amqpwire.Open{ContainerID: fmt.Sprintf("c%d", c.no), Hostname: hubHost, MaxFrameSize: 65536, ChannelMax: 10})
	b = frame(b, amqpwire.Begin{IncomingWindow: 1 << 20, OutgoingWindow: 1 << 20, HandleMax: 1000})
	if arg&amqpNoLogin == 0 {
		b = c.appendPut(b, c.main, arg)
	}
	c.put(b)
	c.d.settle()
	c.attach(c.main, toTelemetry)
	if arg&amqpInbox != 0 {
		settled := uint8(0)
		if arg&amqpSettled != 0 {
			settled = attachSettled
		}
		c.attach(c.main, toInbox|settled)
	}
}

// newLink makes a link.
func (c *conn) newLink(place uint8, id iot.Identity) *link {
	c.names++
	l := &link{handle: uint32(len(c.links)), name: fmt.Sprintf("link %d", c.names), place: place, id: id, device: place != toCBS}
	c.links[l.handle] = l
	return l
}

// putToken puts a token for an identity.
func (c *conn) putToken(id iot.Identity, how uint8) { c.put(c.appendPut(nil, id, how<<2)) }

func (c *conn) appendPut(b []byte, id iot.Identity, how uint8) []byte {
	if c.ended {
		c.excuse("it goes on in a session that is over")
	}
	if !c.cbs {
		c.cbs = true
		in, out := c.newLink(toCBS, iot.Identity{}), c.newLink(toCBS, iot.Identity{})
		in.sends = true
		b = frame(b, amqpwire.Attach{Name: in.name, Handle: in.handle, Role: amqpwire.RoleSender, Source: &amqpwire.Source{}, Target: &amqpwire.Node{Address: "$cbs"}})
		b = frame(b, amqpwire.Attach{Name: out.name, Handle: out.handle, Role: amqpwire.RoleReceiver, Source: &amqpwire.Source{Address: "$cbs"}, Target: &amqpwire.Node{Address: "replies"}})
		b = frame(b, c.credit(out, 100))
	}
	var cbs *link
	for _, l := range c.list() {
		if l.place == toCBS && l.sends {
			cbs = l
		}
	}
	if cbs.leaving || cbs.gone {
		c.excuse("it sends on a link that is gone")
	}
	c.requested++
	n := c.requested
	c.puts[n] = put{id, how & credentials}
	properties := amqpwire.Properties{MessageID: amqpwire.Ulong(n), ReplyTo: []byte("replies")}
	message := properties.Append(nil)
	message = amqpwire.AppendSection(message, amqpwire.CodeApplicationProperties)
	message = amqpwire.Map(amqpwire.String("operation"), amqpwire.String("put-token")).Append(message)
	message = amqpwire.AppendSection(message, amqpwire.CodeValue)
	message = amqpwire.AppendString(message, token(id, how))
	return c.appendTransfer(b, cbs, message, true)
}

// credit is a flow that lets the hub send on a link.
func (c *conn) credit(l *link, n uint32) amqpwire.Flow {
	f := c.window()
	f.Handle, f.DeliveryCount, f.LinkCredit = amqpwire.Some(l.handle), amqpwire.Some(l.received), amqpwire.Some(n)
	return f
}

// window is a flow of the session.
func (c *conn) window() amqpwire.Flow {
	f := amqpwire.Flow{IncomingWindow: 1 << 20, NextOutgoingID: c.outgoing, OutgoingWindow: 1 << 20}
	if c.begun {
		f.NextIncomingID = amqpwire.Some(c.incoming)
	}
	return f
}

func (c *conn) appendTransfer(b []byte, l *link, payload []byte, settled bool) []byte {
	id := c.outgoing
	c.outgoing++
	return frame(b, amqpwire.Transfer{
		Handle: l.handle, DeliveryID: amqpwire.Some(id), Tag: []byte{byte(id >> 8), byte(id)}, MessageFormat: amqpwire.Some(uint32(0)),
		Settled: amqpwire.Some(settled), Payload: payload,
	})
}

// The bits of an attach, behind two for the place.
const (
	attachSettled  = 1 << 2
	attachNoCredit = 1 << 3
)

// attach attaches a link of an identity.
func (c *conn) attach(id iot.Identity, arg uint8) {
	if c.ended || c.unopened() {
		c.excuse("it attaches where there is no session")
	}
	l := c.newLink(arg&3, id)
	known := c.granted[id]
	l.ought = known && !c.d.hurried && !c.d.barred[id.Device]
	l.never = c.certain() && !known || c.d.barred[id.Device]
	a := amqpwire.Attach{Name: l.name, Handle: l.handle, Source: &amqpwire.Source{}, Target: &amqpwire.Node{}}
	address := "/" + pathOf(id) + [4]string{"/messages/events", "/messages/devicebound", "/methods/devicebound", "/twin"}[l.place]
	if l.sends = l.place == toTelemetry || l.place == toTwin; l.sends {
		a.Role, a.Target = amqpwire.RoleSender, &amqpwire.Node{Address: address}
	} else {
		a.Role, a.Source.Address = amqpwire.RoleReceiver, address
		if arg&attachSettled != 0 {
			a.SenderSettleMode = amqpwire.SenderSettled
			c.d.loose[id] = true
		}
	}
	if id.IsModule() && l.place == toInbox {
		a.Source.Address = "/" + pathOf(id) + "/messages/events"
	}
	b := frame(nil, a)
	if !l.sends && arg&attachNoCredit == 0 {
		b = frame(b, c.credit(l, 100))
	}
	c.put(b)
}

// unopened reports whether the client has not even opened.
func (c *conn) unopened() bool { return c.main == (iot.Identity{}) }

// certain reports whether the client knows the answers to all its tokens.
func (c *conn) certain() bool { return len(c.puts) == 0 && !c.garbled }

// detach detaches a link: bits 0 to 3 choose it, the highest says that it is not closed.
func (c *conn) detach(arg uint8) {
	var live []*link
	for _, l := range c.list() {
		if !l.leaving && !l.gone {
			live = append(live, l)
		}
	}
	if len(live) == 0 {
		return
	}
	l := live[int(arg&15)%len(live)]
	l.leaving = true
	for _, o := range c.letters {
		o.lapsed = o.lapsed || o.link == l
	}
	if l.device {
		c.gone[l.id] = true
	} else {
		c.cbs = false
		for _, o := range live {
			if o.place == toCBS && o != l {
				c.excuse("it half left $cbs")
			}
		}
	}
	c.put(frame(nil, amqpwire.Detach{Handle: l.handle, Closed: arg&0x80 == 0}))
}

// transfer sends a message on one of the links for telemetry.
func (c *conn) transfer(b []byte, needs bool, which uint8) []byte {
	var live, dead []*link
	for _, l := range c.list() {
		switch {
		case l.telemetry():
			live = append(live, l)
		case l.place == toTelemetry:
			dead = append(dead, l)
		}
	}
	var l *link
	switch {
	case len(live) > 0:
		l = live[int(which)%len(live)]
	case len(dead) > 0:
		l = dead[len(dead)-1]
		c.excuse("it sends on a link that is not there")
	default:
		return b
	}
	m := c.d.sent(c, l.id, l, needs, c.lateIn(l.spell))
	if needs {
		c.transfers[c.outgoing] = m
	}
	return c.appendTransfer(b, l, amqpwire.AppendData(nil, []byte(m.body)), !needs)
}

// disposition settles a delivery in one of four ways.
func (c *conn) disposition(b []byte, o *delivery, how uint8) []byte {
	var state amqpwire.State = amqpwire.Accepted{}
	switch how {
	case 0:
		c.judged(o, iot.FeedbackSuccess)
	case 1:
		state = amqpwire.Released{}
		o.letter.released++
	case 2:
		state = amqpwire.Rejected{}
		c.judged(o, iot.FeedbackRejected)
	case 3:
		state = amqpwire.Modified{DeliveryFailed: true}
		o.letter.released++
	}
	return frame(b, amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: o.id, Last: o.id, Settled: true, State: state})
}

func (c *conn) bye() { c.put(frame(nil, amqpwire.Close{})) }

// echo asks for a flow.
func (c *conn) echo() bool {
	if !c.begun || c.ended {
		return false
	}
	f := c.window()
	f.Echo = true
	c.put(frame(nil, f))
	return true
}

// oddAMQP breaks the protocol, or goes to its borders.
func (c *conn) oddAMQP(arg uint8) {
	var b []byte
	unknown := uint32(900)
	switch arg % 16 {
	case 0: // it keeps the connection alive
		c.put([]byte{0, 0, 0, 8, 2, 0, 0, 0})
		return
	case 1: // a second session
		c.put(amqpwire.AppendFrame(nil, uint16(1+arg>>4), amqpwire.Begin{IncomingWindow: 10, OutgoingWindow: 10, HandleMax: 10}))
		if c.second&(1<<(arg>>4)) != 0 {
			c.excuse("it begins twice")
		}
		c.second |= 1 << (arg >> 4)
		return
	case 2: // an address that nobody has
		b = frame(b, amqpwire.Attach{Name: "odd", Handle: unknown, Role: amqpwire.RoleSender, Source: &amqpwire.Source{}, Target: &amqpwire.Node{Address: "nowhere"}})
	case 3: // transactions
		b = frame(b, amqpwire.Attach{Name: "odd", Handle: unknown, Role: amqpwire.RoleSender, Source: &amqpwire.Source{}, Target: &amqpwire.Coordinator{}})
	case 4:
		b = frame(b, amqpwire.Open{ContainerID: "again", Hostname: hubHost})
	case 5:
		c.ended = true
		b = frame(b, amqpwire.End{})
	case 6: // a handle in use
		for _, l := range c.list() {
			if l.lives() {
				unknown = l.handle
			}
		}
		b = frame(b, amqpwire.Attach{Name: "odd", Handle: unknown, Role: amqpwire.RoleSender, Source: &amqpwire.Source{}, Target: &amqpwire.Node{Address: "$cbs"}})
	case 7:
		b = frame(b, amqpwire.Transfer{Handle: unknown, DeliveryID: amqpwire.Some(c.outgoing), Tag: []byte("x"), Payload: []byte("x")})
	case 8:
		b = frame(b, amqpwire.Detach{Handle: unknown, Closed: true})
	case 9: // all deliveries there can be
		for _, id := range identities {
			c.d.loose[id] = true
		}
		b = frame(b, amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: 0, Last: 1<<32 - 1, Settled: true, State: amqpwire.Accepted{}})
	case 10:
		b = frame(b, amqpwire.Flow{Handle: amqpwire.Some(unknown), LinkCredit: amqpwire.Some(uint32(1<<32 - 1)), IncomingWindow: 0})
	case 11: // shorter than any frame
		b = []byte{0, 0, 0, 7, 2, 0, 0, 0}
	case 12: // longer than any frame may be
		b = []byte{0x7f, 0, 0, 0, 2, 0, 0, 0}
	case 13: // a channel without a session
		b = amqpwire.AppendFrame(b, 9, amqpwire.Detach{Handle: 0})
	case 14: // a message that does not end
		if l := c.firstTelemetry(); l != nil {
			b = frame(b, amqpwire.Transfer{Handle: l.handle, DeliveryID: amqpwire.Some(c.outgoing), Tag: []byte("x"), More: true, Payload: []byte("x")})
			c.outgoing++
		}
	case 15: // a session without a window, and the hub's own words
		b = frame(b, amqpwire.Close{Error: &amqpwire.Error{Condition: amqpwire.CondInternalError}})
	}
	c.excuse("it broke the protocol")
	c.put(b)
}

// firstTelemetry is the first link for telemetry, nil if there is none.
func (c *conn) firstTelemetry() *link {
	for _, l := range c.list() {
		if l.telemetry() {
			return l
		}
	}
	return nil
}

// collectAMQP reads what the hub has sent, and answers what wants an answer.
func (c *conn) collectAMQP() (spoke bool) {
	var answer []byte
	for {
		if len(c.in) >= 8 && string(c.in[:4]) == "AMQP" {
			c.in = c.in[8:]
			continue
		}
		f, n, err := amqpwire.Split(c.in, 1<<20)
		if errors.Is(err, amqpwire.ErrShort) {
			break
		}
		if err != nil {
			c.d.fault("%s was sent what is no frame: %v", c, err)
			c.in = nil
			break
		}
		if f.Type == amqpwire.FrameAMQP && len(f.Body) > 0 {
			p, err := f.Decode()
			if err != nil {
				c.d.fault("%s was sent what is no frame: %v", c, err)
			} else if _, closing := p.(amqpwire.Close); f.Channel == 0 || closing {
				answer = c.heardAMQP(answer, p)
			}
		}
		c.in = c.in[n:]
	}
	switch {
	case len(answer) == 0:
		return false
	case len(c.held) > 0: // not into the middle of a frame
		c.held = append(c.held, answer...)
		return false
	}
	c.send(answer)
	return true
}

func (c *conn) heardAMQP(answer []byte, p amqpwire.Performative) []byte {
	switch p := p.(type) {
	case amqpwire.Begin:
		c.begun, c.incoming = true, p.NextOutgoingID
	case amqpwire.Attach:
		c.heardAttach(&p)
	case amqpwire.Flow:
		c.pings = 0 // whatever link it is of, it tells the windows
	case amqpwire.Transfer:
		c.incoming++
		if l := c.byTheirs[p.Handle]; l != nil {
			l.received++
			c.heardTransfer(l, &p)
		}
	case amqpwire.Disposition:
		if p.Role == amqpwire.RoleReceiver {
			c.heardDisposition(&p)
		}
	case amqpwire.Detach:
		l := c.byTheirs[p.Handle]
		if l == nil || l.gone {
			break
		}
		delete(c.byTheirs, p.Handle)
		l.gone = true
		c.checkFarewell(l, p.Error)
		if !l.leaving {
			answer = frame(answer, amqpwire.Detach{Handle: l.handle, Closed: true})
		}
	case amqpwire.End:
		for _, l := range c.links {
			l.gone = true
		}
		if !c.ended {
			c.ended = true
			answer = frame(answer, amqpwire.End{})
		}
	case amqpwire.Close:
		for _, l := range c.links {
			l.gone = true
		}
		c.ended = true
		answer = frame(answer, amqpwire.Close{})
	default:
	}
	return answer
}

// checkFarewell makes sure that who was displaced is told so, in the words that clients
// retry after.
func (c *conn) checkFarewell(l *link, e *amqpwire.Error) {
	if l.spell == nil || l.leaving || c.excuses != "" || !c.d.witness.displaced(l.spell) {
		return
	}
	if e == nil {
		c.d.fault("%s lost %s without a word", c, l.name)
	} else if code, _ := e.Info.Get("com.microsoft:error-code").AsInt(); code != int64(fault.LinkCreationConflict) || e.Condition != amqpwire.CondInternalError {
		c.d.fault("%s lost %s to another client, and was told %d %s", c, l.name, code, e.Condition)
	}
}

func (c *conn) heardAttach(p *amqpwire.Attach) {
	for _, l := range c.list() {
		if l.name != p.Name || l.answered {
			continue
		}
		l.answered = true
		c.byTheirs[p.Handle] = l
		l.accepted = l.sends && p.Target != nil || !l.sends && p.Source != nil
		if l.device {
			l.spell, _ = c.d.witness.ofConn(l.id, c.no)
		}
	}
}

func (c *conn) heardTransfer(l *link, p *amqpwire.Transfer) {
	m, err := amqpwire.ScanMessage(p.Payload)
	if err != nil {
		c.d.fault("%s was sent what is no message: %v", c, err)
		return
	}
	switch l.place {
	case toCBS:
		c.heardReply(&m)
	case toInbox:
		var body []byte
		for data := range m.Data() {
			body = append(body, data...)
		}
		o := &delivery{letter: c.d.arrived(c, l.id, string(body)), id: p.DeliveryID.V, link: l, when: time.Now(), spell: l.spell, settled: p.Settled.V}
		if o.settled && o.letter != nil {
			o.letter.may[iot.FeedbackSuccess] = true
		}
		c.letters = append(c.letters, o)
	}
}

// heardReply reads what became of a token.
func (c *conn) heardReply(m *amqpwire.Message) {
	properties, err := amqpwire.DecodeProperties(m.Properties)
	if err != nil {
		c.d.fault("%s was sent an answer without properties: %v", c, err)
		return
	}
	application, err := amqpwire.DecodeApplicationProperties(m.ApplicationProperties)
	if err != nil {
		c.d.fault("%s was sent an answer without a status: %v", c, err)
		return
	}
	n, _ := properties.CorrelationID.AsUint()
	put, known := c.puts[n]
	status, _ := application.Get("status-code").AsInt()
	if !known {
		return
	}
	delete(c.puts, n)
	good := put.how == credPolicy || put.how == credGood && !c.d.barred[put.id.Device]
	switch {
	case status == 200 && put.how >= credBad:
		c.d.fault("%s put a token for %s that is not good, and it was taken", c, put.id)
	case status == 200:
		c.granted[put.id] = true
		for _, id := range identities {
			c.granted[id] = c.granted[id] || put.how == credPolicy
		}
	case good && !c.d.everBarred[put.id.Device]:
		c.d.fault("%s put a good token for %s, and was answered %d", c, put.id, status)
	}
}

func (c *conn) heardDisposition(p *amqpwire.Disposition) {
	for id := range c.transfers {
		if id < p.First || id > p.Last {
			continue
		}
		m := c.transfers[id]
		delete(c.transfers, id)
		if _, ok := p.State.(amqpwire.Accepted); ok {
			c.acknowledged(m)
		}
	}
}

// checkLinks checks what is AMQP's own when the hub has come to rest.
func (c *conn) checkLinks() {
	for _, l := range c.list() {
		if l.never && l.accepted && !c.garbled {
			c.d.fault("%s attached %s as %s without a good token", c, l.name, l.id)
		}
		if c.excuses != "" || c.over || c.ended || len(c.held) > 0 || c.hold >= 0 || c.blind() || l.leaving {
			continue
		}
		switch {
		case !l.answered:
			c.d.fault("%s waits for the answer to the attach of %s", c, l.name)
		case l.ought && !l.accepted && !c.gone[l.id]:
			c.d.fault("%s was refused %s as %s", c, l.name, l.id)
		}
	}
}
