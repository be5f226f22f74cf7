package amqp

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/park"
)

// errEnded is what a turn returns when the conversation is over.
var errEnded = errors.New("amqp: the conversation is over")

// conn is the conversation with one peer. It is a park.Conversation.
type conn struct {
	// fixed

	server  *Server
	ctx     context.Context //nolint:containedctx // of the jobs alone: Closed cancels it, and waits for them
	cancel  context.CancelFunc
	facts   *device.Conn
	certs   []*x509.Certificate
	trusted func()
	log     *slog.Logger

	// owned by whoever has the turn

	machine       *endpoint.Conn
	now           time.Time
	tracking      tracker
	host          string // the name the client dialled
	open          amqpwire.Open
	claims        claims
	ends          time.Time // when the next claim ends
	idleAt        time.Time // when a connection without a claim is closed; zero: it has one
	proven        bool
	users         map[iot.Identity]*user
	parted        []*user                  // those whose farewell is not over, the oldest first
	partings      map[*endpoint.Link]*user // the links that were detached with them
	full          []*user                  // those with messages that the log has not taken
	runs          []*user                  // those with messages gathered in this turn
	replies       int                      // replies that wait for credit
	queueing      int                      // messages to devices that wait behind another
	queueingBytes int                      // of messages to devices that are under way
	strange       int                      // what of its links and sessions is in Server.strange
	sole          sole
	scratch       []byte // where a message is encoded
	choked        bool   // the last turn had no room for all that was to be sent
	stopping      bool
	bye           device.Goodbye
	byPeer        bool // the peer closed, with whatever words

	// shared

	mailbox
}

var _ park.Conversation = (*conn)(nil)

func newConn(ctx context.Context, s *Server, wake func(), facts *device.Conn, certs []*x509.Certificate, trusted func()) *conn {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &conn{
		server: s, ctx: ctx, cancel: cancel, facts: facts, certs: certs, trusted: trusted,
		log:      s.log.With(slog.Uint64("conn", facts.ID), slog.String("remote", facts.Remote.String())),
		machine:  endpoint.New(endpoint.Config{ContainerID: s.containerID, Mechanisms: mechanisms()}),
		tracking: tracker{base: randomBase()},
		host:     s.cfg.Hosts.First(),
		partings: make(map[*endpoint.Link]*user),
	}
	if s.cfg.Hosts.Has(facts.TLS.ServerName) {
		c.host = facts.TLS.ServerName
	}
	c.wake = wake
	return c
}

// Turn implements park.Conversation.
func (c *conn) Turn(t *park.Turn) error {
	c.now = t.Now
	c.machine.Start(t.Now, t.Out)
	if c.idleAt.IsZero() && len(c.claims) == 0 && !c.proven {
		c.idleAt = t.Now.Add(claimWithin)
	}
	if t.Stopping && !c.stopping {
		c.stopping = true
		c.stop()
	}
	c.resend()
	c.collectMail()
	c.refill()
	if len(c.full) == 0 {
		c.step(t)
	}
	c.flushRuns()
	c.expire()
	c.overdue()
	c.machineEvents(t)
	c.countStrange()
	c.choked = c.machine.Full()
	t.More = t.More || c.choked
	t.Paused = len(c.full) > 0 || t.Stopping && !c.machine.Over()
	var deadline time.Time
	t.Out, deadline = c.machine.Finish()
	t.Deadline = earliest(deadline, c.ends, c.idleAt, c.waits())
	if c.machine.Over() {
		return errEnded
	}
	return nil
}

// earliest is the first of the times that are not zero.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// step handles the input.
func (c *conn) step(t *park.Turn) {
	for len(c.full) == 0 {
		ev, n := c.machine.Step(t.In[t.Used:])
		t.Used += n
		switch ev.Kind {
		case endpoint.Idle, endpoint.Held:
			return
		case endpoint.More:
			t.More = true
			return
		default:
			c.handle(&ev)
		}
	}
}

// machineEvents handles what our own calls caused, without reading on.
func (c *conn) machineEvents(t *park.Turn) {
	if len(c.full) > 0 {
		return // told in the turn that goes on
	}
	for {
		ev, n := c.machine.Step(nil)
		t.Used += n
		if ev.Kind <= endpoint.More {
			t.More = t.More || ev.Kind == endpoint.More
			return
		}
		c.handle(&ev)
	}
}

// handle handles one event.
func (c *conn) handle(ev *endpoint.Event) {
	switch ev.Kind {
	case endpoint.OnSASL:
		c.login(ev)
	case endpoint.OnOpen:
		c.opened(ev.Open)
	case endpoint.OnAttach:
		c.attach(ev.Link, ev.Attach)
	case endpoint.OnTransfer:
		c.facts.Traffic.PacketsIn.Add(1)
		if n, ok := ev.Link.Data.(node); ok {
			n.transfer(c, ev.Link, ev.Delivery)
		}
	case endpoint.OnDisposition:
		if n, ok := ev.Link.Data.(node); ok {
			n.disposition(c, ev.Link, ev)
		}
	case endpoint.OnFlow:
		c.flow(ev)
	case endpoint.OnDetach:
		if n, ok := ev.Link.Data.(node); ok {
			n.detached(c, ev.Link)
		}
	case endpoint.OnAnswer:
		c.answered(ev.Link)
	case endpoint.OnClose:
		c.closing(ev)
	case endpoint.OnBegin, endpoint.OnEnd, endpoint.Idle, endpoint.Held, endpoint.More:
	}
}

// resend lets every link send on what the last turn had no room for.
func (c *conn) resend() {
	if !c.choked {
		return
	}
	for s := range c.machine.Sessions() {
		for l := range s.Links() {
			if n, ok := l.Data.(node); ok {
				n.flow(c, l)
			}
		}
	}
}

// flow tells the link of a flow, or if it was of the session, each of its links.
func (c *conn) flow(ev *endpoint.Event) {
	if ev.Link != nil {
		if n, ok := ev.Link.Data.(node); ok {
			n.flow(c, ev.Link)
		}
		return
	}
	for l := range ev.Session.Links() {
		if n, ok := l.Data.(node); ok {
			n.flow(c, l)
		}
	}
}

// opened answers an open. Any host name may be dialled: whether a token is good for it is
// judged with the token.
func (c *conn) opened(o *amqpwire.Open) {
	c.open = *o
	if c.server.cfg.Hosts.Has(o.Hostname) {
		c.host = o.Hostname
	}
	c.machine.Open(c.wishes(o))
	c.beSole()
}

// trust notes that the peer has proved something.
func (c *conn) trust() {
	c.idleAt = time.Time{}
	if c.proven {
		return
	}
	c.proven = true
	c.machine.Trust()
	if c.trusted != nil {
		c.trusted()
	}
	if c.open.ContainerID != "" || c.sole.asked { // else the open is to come
		c.beSole()
	}
}

// expire ends what rested on claims that have ended (amqp 2).
func (c *conn) expire() {
	if !c.ends.IsZero() && !c.now.Before(c.ends) {
		c.ends = c.claims.expire(c.now, c.unproven)
		c.expireUsers()
		if len(c.claims) == 0 && len(c.users) == 0 {
			c.idleAt = c.now
		}
	}
	if !c.idleAt.IsZero() && !c.now.Before(c.idleAt) {
		c.idleAt = time.Time{}
		c.bye = device.Goodbye{Kind: device.GoodbyeProtocol, Detail: "no valid token within " + claimWithin.String()}
		c.machine.Close(c.condition(fault.New(fault.IotHubUnauthorized, "amqp.claim",
			"the connection has no valid token; one is due within %s of the open, and before the last one expires", claimWithin)))
	}
}

// collectMail handles what other goroutines have left.
func (c *conn) collectMail() {
	awake, done := c.collect()
	for _, then := range done {
		then()
	}
	for _, s := range awake {
		s.woken(c)
	}
}

// off has work done beside the owner; what it gives back is called by the owner.
func (c *conn) off(work func() func()) error { return c.do(work) }

// stop says goodbye, because the hub is stopping.
func (c *conn) stop() {
	c.bye = device.Goodbye{Kind: device.GoodbyeShutdown, Detail: "the hub is stopping"}
	c.machine.Close(&amqpwire.Error{Condition: amqpwire.CondConnectionForced, Description: "the hub is stopping"})
}

// closing notes why the connection is over.
func (c *conn) closing(ev *endpoint.Event) {
	c.byPeer = c.byPeer || ev.ByPeer
	switch {
	case c.bye.Kind != 0:
	case ev.ByPeer:
		c.bye = device.Goodbye{Kind: device.GoodbyeClean, Detail: "close"}
	case ev.Error != nil:
		c.bye = device.Goodbye{Kind: device.GoodbyeProtocol, Detail: ev.Error.Description}
	}
}

// dropLinks tells the links of their end that nobody has told, as the peer has not: what they
// hold of others', a place among readers or messages of a queue, is given back.
func (c *conn) dropLinks() {
	for {
		ev, _ := c.machine.Step(nil)
		if ev.Kind <= endpoint.More {
			break
		}
		if ev.Kind == endpoint.OnDetach {
			c.handle(&ev)
		}
	}
	for s := range c.machine.Sessions() {
		for l := range s.Links() {
			if n, ok := l.Data.(node); ok {
				n.detached(c, l)
			}
		}
	}
}

// Closed implements park.Conversation.
func (c *conn) Closed(now time.Time, why error) {
	c.now = now
	if c.bye.Kind == 0 {
		c.bye = park.Goodbye(why, "a frame", "close")
	}
	c.closeUsers()
	c.closeParted(why)
	for _, then := range c.close(c.cancel) {
		then()
	}
	c.closeUsers() // those that were opening
	c.dropLinks()
	if c.sole.entered {
		c.server.soles.leave(c)
	}
	c.server.strange.Add(-int64(c.strange))
	for i := range c.claims {
		c.unproven(&c.claims[i])
	}
	if !c.proven && c.trusted != nil {
		c.trusted() // its place among strangers is free
	}
	c.log.Debug("connection ended", slog.String("op", "amqp.close"), slog.String("err", c.bye.Detail))
}
