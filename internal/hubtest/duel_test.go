package hubtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// marker begins the body of every message of ours, so that no garbage can be taken for one.
const marker = "\x00berth:"

// message is one telemetry message that a client sent.
type message struct {
	body  string
	conn  *conn
	link  *link // nil over MQTT
	id    iot.Identity
	needs bool // an acknowledgement
	acked bool
	sure  bool // it must be in the log
	late  bool // it was sent when its session was known to be over
}

// letter is one message to a device.
type letter struct {
	id       string
	to       iot.Identity
	may      map[iot.FeedbackStatus]bool // outcomes that somebody asked for while he had it
	must     iot.FeedbackStatus          // the outcome that must be known at the next rest, if any
	by       *conn                       // who asked for it
	bySpell  *spell
	released int
}

// duel is two clients, the hub that they share, and what must hold.
type duel struct {
	*whole

	first              uint64 // number of its connections
	current            [2]*conn
	conns              []*conn
	messages           []*message
	byBody             map[string]*message
	letters            []*letter
	byID               map[string]*letter
	loose              map[iot.Identity]bool // somebody takes messages without a word, or garbage may have
	barred             map[string]bool       // devices
	everBarred         map[string]bool
	stamp              int // counts bodies
	slowNext           [2]bool
	broken, everBroken bool // the disk
	hurried            bool // the last step was in a rush
	failed             bool
}

func newDuel(w *whole) *duel {
	return &duel{
		whole: w, first: connections.Load() + 1, byBody: map[string]*message{}, byID: map[string]*letter{},
		loose: map[iot.Identity]bool{}, barred: map[string]bool{}, everBarred: map[string]bool{},
	}
}

// fault reports what must not be.
func (d *duel) fault(format string, args ...any) {
	d.t.Helper()
	d.failed = true
	d.t.Errorf(format, args...)
}

// play plays a script, and then sees to it that everything ends.
func (d *duel) play(steps []step) {
	for i, s := range steps {
		d.step(s)
		d.hurried = s.rush
		if s.rush {
			for _, c := range d.conns {
				c.doubt()
			}
		}
		if !s.rush {
			d.rest()
			if s.do == doGarbage || s.do == doOdd || s.do == doCut || s.do == doHalf || s.do == doStall {
				d.disturbed(1 - s.who)
			}
		}
		if d.failed {
			d.t.Logf("after step %d, %s", i, s)
			return
		}
	}
	d.hurried = false
	d.rest()
	for _, c := range d.conns {
		c.probe()
	}
	d.rest()
}

// step does one step.
func (d *duel) step(s step) {
	c := d.current[s.who]
	switch s.do {
	case doMQTT:
		d.enter(s.who, device.MQTT).connectMQTT(s.arg)
		return
	case doAMQP:
		d.enter(s.who, device.AMQP).connectAMQP(s.arg)
		return
	case doCommand:
		d.command(identityOf(s.arg))
		return
	case doWait:
		d.wait([]time.Duration{0, time.Second, 6 * time.Second, 11 * time.Second, 31 * time.Second, 61 * time.Second, 100 * time.Second, 10 * time.Minute}[s.arg&7])
		return
	case doFail:
		d.failDisk()
		return
	case doBar:
		d.bar(identityOf(s.arg).Device)
		return
	case doSlow:
		if c == nil || s.arg&1 == 1 {
			d.slowNext[s.who] = !d.slowNext[s.who]
			return
		}
	case doGarbage:
		if c == nil { // from somebody who has said nothing yet
			c = d.enter(s.who, []device.Transport{device.MQTT, device.AMQP}[s.arg>>7])
		}
	default:
	}
	if c != nil {
		c.do(s)
	}
}

// enter begins a new connection of a client. The old one goes on without him.
func (d *duel) enter(who int, transport device.Transport) *conn {
	c := newConn(d, who, transport)
	d.current[who] = c
	if d.slowNext[who] {
		d.slowNext[who] = false
		c.slow = d.gates.toggle(c.no)
	}
	if d.broken {
		c.excuse("the disk fails")
	}
	d.conns = append(d.conns, c)
	return c
}

func identityOf(arg uint8) iot.Identity { return identities[[4]int{0, 1, 2, 0}[arg&3]] }

// command sends a message to an identity.
func (d *duel) command(to iot.Identity) {
	d.stamp++
	l := &letter{id: fmt.Sprintf("%s%d", marker[1:], d.stamp), to: to, may: map[iot.FeedbackStatus]bool{}}
	m := iot.CloudMessage{MessageID: l.id, Ack: iot.AckFull, Body: []byte(l.id)}
	if err := d.queues.Send(context.Background(), to, &m); err != nil {
		if !d.barred[to.Device] && d.waiting(to) < iot.MaxPendingMessages {
			d.fault("a message to %s was refused: %v", to, err)
		}
		return
	}
	d.letters = append(d.letters, l)
	d.byID[l.id] = l
}

// waiting counts the messages to an identity that have not ended.
func (d *duel) waiting(to iot.Identity) (n int) {
	for _, l := range d.letters {
		if l.to == to && len(d.witness.ends(l.id)) == 0 {
			n++
		}
	}
	return n
}

// wait lets time pass. Who has been silent for long may be ended for it.
func (d *duel) wait(long time.Duration) {
	d.settle()
	time.Sleep(long)
	for _, c := range d.conns {
		now := time.Now()
		switch {
		case now.Sub(c.spoke) > 50*time.Second, now.Sub(c.began) > 50*time.Minute:
			c.excuse("it was silent, or its token ends")
		case c.isStalled() && long > 0:
			c.excuse("it did not read")
		case !c.greeted() && now.Sub(c.began) > 15*time.Second:
			c.excuse("it has not shown who it is")
		}
	}
	if long > 0 {
		for _, l := range d.letters {
			l.must = "" // its lock may have ended
		}
	}
}

// bar disables a device, or enables it.
func (d *duel) bar(dev string) {
	d.barred[dev], d.everBarred[dev] = !d.barred[dev], true
	for _, c := range d.conns {
		c.excuseDevice(dev)
	}
	d.enable(dev, !d.barred[dev])
}

// failDisk makes the disk of the log fail, or work again. Who has something to store is
// ended for it, and nobody may be told that anything is stored that is not.
func (d *duel) failDisk() {
	d.broken, d.everBroken = !d.broken, true
	d.witness.deafen()
	d.fail(d.broken)
	for _, c := range d.conns {
		c.excuse("the disk failed")
	}
}

// settle waits until the hub has nothing left to do, and the clients have answered what it
// sent them.
func (d *duel) settle() {
	for range 100 {
		synctest.Wait()
		spoke := false
		for _, c := range d.conns {
			spoke = c.collect() || spoke
		}
		if !spoke {
			return
		}
	}
	d.fault("the hub and its clients do not come to rest")
}

// rest comes to rest and checks what must hold then.
func (d *duel) rest() {
	d.settle()
	for _, complaint := range d.witness.complaints() {
		d.fault("%s", complaint)
	}
	holders := map[iot.Identity]*conn{}
	for _, c := range d.conns {
		for _, id := range c.holds() {
			if o := holders[id]; o != nil {
				d.fault("%s and %s both hold %s", o, c, id)
			}
			holders[id] = c
		}
		c.check()
	}
	for _, id := range identities {
		if d.barred[id.Device] && d.witness.held(id) {
			d.fault("%s is held, and its device disabled", id)
		}
	}
	for _, l := range d.letters {
		ends := d.witness.ends(l.id)
		if len(ends) > 1 {
			d.fault("message %s ended %d times: %v", l.id, len(ends), ends)
		}
		if l.must != "" && l.by.steady(l.bySpell) && !d.loose[l.to] && (len(ends) != 1 || ends[0].Status != l.must) {
			d.fault("message %s was settled by its holder as %s, and its ends are %v", l.id, l.must, ends)
		}
		l.must = ""
		if len(ends) == 1 && !d.loose[l.to] && !l.may[ends[0].Status] && ends[0].Status != iot.FeedbackExpired &&
			(ends[0].Status != iot.FeedbackDeliveryCountExceeded || l.released < iot.DefaultMaxDeliveries) {
			d.fault("message %s ended as %s, which nobody asked for who had it", l.id, ends[0].Status)
		}
	}
}

// disturbed makes sure that the other client is neither ended nor delayed by what one did.
// No time passes until the answer is due.
func (d *duel) disturbed(who int) {
	if c := d.current[who]; c != nil {
		c.probe()
		d.rest()
	}
}

// sent notes a telemetry message.
func (d *duel) sent(c *conn, id iot.Identity, l *link, needs, late bool) *message {
	d.stamp++
	m := &message{body: fmt.Sprintf("%s%d", marker, d.stamp), conn: c, link: l, id: id, needs: needs, late: late}
	d.messages = append(d.messages, m)
	d.byBody[m.body] = m
	return m
}

// arrived notes a message to a device that came to a client.
func (d *duel) arrived(c *conn, as iot.Identity, body string) *letter {
	l := d.byID[body]
	switch {
	case l == nil:
		d.fault("%s was sent the message %q, which nobody sent", c, body)
	case l.to != as:
		d.fault("%s was sent the message %s as %s, which was for %s", c, body, as, l.to)
	}
	return l
}

// finish ends all connections, reads what is left, closes the hub, and checks all that must
// hold in the end.
func (d *duel) finish() {
	d.fail(false)
	for _, c := range d.conns {
		if c.slow {
			c.slow = d.gates.toggle(c.no)
		}
	}
	d.slowNext = [2]bool{}
	d.broken = false
	for _, c := range d.conns {
		if !c.isStalled() {
			c.cut()
		}
	}
	d.settle()
	for _, c := range d.conns {
		c.cut()
	}
	d.settle()
	for dev, barred := range d.barred {
		if barred {
			d.enable(dev, true)
		}
	}
	if !d.failed {
		d.checkLetters()
		d.checkLog()
		d.checkStories()
	}
	d.close()
	for _, complaint := range d.witness.complaints() {
		d.fault("%s", complaint)
	}
}

// checkLetters reads what still waits for each identity: what was sent is there exactly if
// it has not ended.
func (d *duel) checkLetters() {
	for _, id := range identities {
		c := d.enter(0, device.MQTT)
		c.connectMQTT(auditor(id))
		d.settle()
		c.listenMQTT(0x10)
		d.settle()
		left := map[string]bool{}
		for _, o := range c.letters {
			if o.letter != nil {
				left[o.letter.id] = true
			}
		}
		for _, l := range d.letters {
			if ended := len(d.witness.ends(l.id)) > 0; l.to == id && ended == left[l.id] {
				d.fault("message %s to %s has ended: %t, and waits: %t", l.id, id, ended, left[l.id])
			}
		}
		c.cut()
		d.settle()
	}
}

// checkLog compares the log with what was sent, acknowledged and told of sessions.
func (d *duel) checkLog() {
	where := map[string]int{}
	for id, bodies := range d.stored() {
		d.checkOrder(id, bodies)
		for i, body := range bodies {
			if !strings.HasPrefix(body, marker) && !strings.HasPrefix(body, "will ") {
				if !slices.ContainsFunc(d.conns, func(c *conn) bool { return c.garbled }) {
					d.fault("the log holds %q of %s, which nobody sent", body, id)
				}
				continue
			}
			if _, twice := where[body]; twice {
				d.fault("the log holds %q twice", body)
			}
			where[body] = i
			switch m := d.byBody[body]; {
			case m == nil:
			case m.id != id:
				d.fault("the log holds %q as %s, which %s sent as %s", body, id, m.conn, m.id)
			case m.late:
				d.fault("the log holds %q, which %s sent when its session was over", body, m.conn)
			}
		}
	}
	missing := map[any]string{} // by connection or link: the first message that is not there
	at := map[*conn]map[iot.Identity]int{}
	for _, m := range d.messages {
		i, there := where[m.body]
		if (m.acked || m.sure) && !there {
			d.fault("the log lacks %q of %s, acknowledged: %t", m.body, m.conn, m.acked)
		}
		var stream any = m.conn
		if m.link != nil {
			stream = m.link
		}
		if !there {
			if missing[stream] == "" {
				missing[stream] = m.body
			}
			continue
		}
		if first := missing[stream]; first != "" && !m.conn.garbled {
			d.fault("the log holds %q of %s, but not %q, which it sent before", m.body, m.conn, first)
		}
		if at[m.conn] == nil {
			at[m.conn] = map[iot.Identity]int{}
		}
		if before, ok := at[m.conn][m.id]; ok && before > i {
			d.fault("the log holds %q of %s before what it sent earlier", m.body, m.conn)
		}
		at[m.conn][m.id] = i
	}
	d.checkWills(where)
}

// checkOrder makes sure that what the sessions of an identity sent stands in the order of
// the sessions: nothing of an earlier one behind anything of a later one.
func (d *duel) checkOrder(id iot.Identity, bodies []string) {
	spells := d.witness.spells[id]
	next := 0
	for _, body := range bodies {
		var no uint64
		if m := d.byBody[body]; m != nil {
			no = m.conn.no
		} else if _, err := fmt.Sscanf(body, "will %d", &no); err != nil {
			continue
		}
		for next < len(spells) && spells[next].party.Conn.ID != no {
			next++
		}
		if next == len(spells) {
			d.fault("the log of %s holds %q of connection %d behind messages of a later session", id, body, no)
			return
		}
	}
}

// checkWills makes sure that a will is there exactly if the hub tells that it was sent, and
// that it was sent unless its client said goodbye.
func (d *duel) checkWills(where map[string]int) {
	for id, spells := range d.witness.spells {
		for _, s := range spells {
			no := s.party.Conn.ID
			if s.end == nil {
				d.fault("connection %d still holds %s, and is gone", no, id)
				continue
			}
			i := slices.IndexFunc(d.conns, func(c *conn) bool { return c.no == no })
			if due := d.conns[i].will && s.end.Code != 0; due != s.end.Will && !d.everBroken {
				d.fault("the will of connection %d, which ended with code %d, was due: %t, and sent: %t", no, s.end.Code, due, s.end.Will)
			}
			if _, there := where[fmt.Sprintf("will %d", no)]; there != s.end.Will && !d.everBroken {
				d.fault("the will of connection %d was sent: %t, and is in the log: %t", no, s.end.Will, there)
			}
		}
	}
}

// checkStories makes sure that who was displaced is explained.
func (d *duel) checkStories() {
	for id, spells := range d.witness.spells {
		displaced := slices.ContainsFunc(spells, func(s *spell) bool { return s.end != nil && s.end.By != nil })
		e, err := d.diagnosis.Explain(context.Background(), id, time.Time{})
		if err != nil {
			d.fault("explain %s: %v", id, err)
		} else if (e.Verdict != iot.VerdictNone) != displaced {
			d.fault("%s was displaced: %t, and its story is %s", id, displaced, e.Verdict)
		}
	}
}
