package amqp

import (
	"slices"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// user is one device or module on the connection: its session, from the first device link
// that it attaches to the last that it detaches.
type user struct {
	// fixed

	id   iot.Identity
	conn *conn

	// owned by whoever has the turn

	session device.Session // nil while it is being opened
	waiting []*attachment  // attaches to be answered once it is open
	links   []*endpoint.Link
	ended   bool
	opening bool

	run     run
	window  window
	acked   uint64 // what session.Durable said last
	tag     uint64
	inboxes int                    // links to the inbox, ever
	results map[uint64]func(error) // of operations under way, by their tag

	farewell *parting // nil until the session has ended by itself
}

// attachDevice takes a link of a device or module. The first one claims the identity.
func (c *conn) attachDevice(at *attachment) *amqpwire.Error {
	u := c.users[at.address.identity]
	switch {
	case u != nil && u.ended:
		return c.condition(u.session.Err())
	case u != nil && len(u.links)+len(u.waiting) >= maxLinks:
		return c.refusal(amqpwire.CondResourceLimitExceeded, fault.ThrottleBacklogLimitExceeded, "a device or module has at most %d links on a connection", maxLinks)
	case u != nil && u.session == nil:
		u.waiting = append(u.waiting, at)
		return nil
	case u != nil:
		return u.admit(at)
	case len(c.users) >= maxIdentities:
		return c.condition(fault.New(fault.ThrottleBacklogLimitExceeded, "amqp.attach", "a connection carries at most %d devices and modules", maxIdentities))
	}
	u = &user{id: at.address.identity, conn: c, waiting: []*attachment{at}, results: make(map[uint64]func(error))}
	hello, err := c.hello(u.id, at)
	if err != nil {
		return c.condition(err)
	}
	if c.users == nil {
		c.users = make(map[iot.Identity]*user)
	}
	c.users[u.id] = u
	u.opening = true
	err = c.off(func() func() {
		session, err := c.server.cfg.Core.Open(c.ctx, hello, func() { c.ring(u) })
		return func() { u.opened(session, asFault(err, "amqp.attach")) }
	})
	if err != nil {
		delete(c.users, u.id)
		return c.condition(err)
	}
	return nil
}

// hello is what the client says of itself, and the credential that speaks for an identity:
// its own token, a policy's, or the certificate of the TLS connection.
func (c *conn) hello(id iot.Identity, at *attachment) (device.Hello, error) {
	var cred device.Credential
	if token, ok := c.claims.prove(id); ok {
		cred.SAS = token
	} else if len(c.certs) > 0 {
		cred.Certificates = c.certs
	} else {
		return device.Hello{}, fault.New(fault.IotHubUnauthorizedAccess, "amqp.attach", "the connection has no valid token for %s", quoted(identityPath(id)))
	}
	text := func(name string, limit int) string {
		s, _ := at.asked.Properties.Get("com.microsoft:" + name).AsText()
		return s[:min(len(s), limit)]
	}
	clientType := text("client-version", maxClientText)
	if clientType == "" {
		s, _ := c.open.Properties.Get("com.microsoft:client-version").AsText()
		clientType = s[:min(len(s), maxClientText)]
	}
	return device.Hello{
		Identity: id, Host: c.host, Credential: cred, Conn: c.facts, Clean: true,
		Client: device.Client{
			ID:         strings.ToValidUTF8(c.open.ContainerID[:min(len(c.open.ContainerID), maxClientText)], "\uFFFD"),
			Type:       strings.ToValidUTF8(clientType, "\uFFFD"),
			APIVersion: strings.ToValidUTF8(text("api-version", maxClientText), "\uFFFD"),
			ModelID:    strings.ToValidUTF8(text("model-id", maxModelID), ""),
			KeepAlive:  time.Duration(c.open.IdleTimeOut) * time.Millisecond,
		},
	}, nil
}

// opened answers the attaches that have waited for the session.
func (u *user) opened(session device.Session, err error) {
	c := u.conn
	u.opening = false
	waiting := u.waiting
	u.waiting = nil
	if err != nil {
		delete(c.users, u.id)
		c.refuse("amqp.attach", err)
		for _, at := range waiting {
			at.link.Refuse(c.condition(err))
		}
		return
	}
	u.session = session
	c.trust()
	for _, at := range waiting {
		if !at.link.Live() {
			continue
		}
		if err := u.admit(at); err != nil {
			at.link.Refuse(err)
		}
	}
	u.leave()
	u.woken(c)
}

// admit accepts a link of a user whose session is open.
func (u *user) admit(at *attachment) *amqpwire.Error {
	c := u.conn
	switch at.address.place {
	case placeTelemetry:
		if at.sends {
			u.accept(at, &telemetry{user: u}, deviceCredit)
			return nil
		}
		if !u.id.IsModule() {
			return c.refusal(amqpwire.CondNotAllowed, fault.InvalidOperation, "a device sends to %s, and receives from …/messages/devicebound", quoted(at.written))
		}
		return u.attachInbox(at, device.ModuleEverything)
	case placeInbox:
		if at.sends {
			return c.refusal(amqpwire.CondNotAllowed, fault.InvalidOperation, "a device receives from %s, and sends to …/messages/events", quoted(at.written))
		}
		return u.attachInbox(at, device.CloudToDevice)
	case placeMethods, placeTwin:
		return u.attachChannel(at)
	default:
	}
	return c.refusal(amqpwire.CondNotFound, fault.AmqpAddressNotFound, "there is no %s here", quoted(at.written))
}

// accept accepts a link and gives it credit if the client sends.
func (u *user) accept(at *attachment, n node, credit uint32) {
	u.links = append(u.links, at.link)
	at.accept(n, endpoint.Terms{})
	if at.sends {
		at.link.Allow(credit)
	}
}

// detached takes a link out; with the last one the user says goodbye.
func (u *user) detached(l *endpoint.Link) {
	u.links = slices.DeleteFunc(u.links, func(o *endpoint.Link) bool { return o == l })
	u.leave()
}

// leave ends the session of a user without links.
func (u *user) leave() {
	if len(u.links) > 0 || len(u.waiting) > 0 || u.session == nil || u.farewell != nil || u.conn.bye.Kind != 0 {
		return
	}
	u.close(device.Goodbye{Kind: device.GoodbyeClean, Detail: "detach"})
}

// close ends the session on behalf of the client.
func (u *user) close(why device.Goodbye) {
	if u.session != nil && !u.ended {
		u.ended = true
		u.session.Close(why)
	}
	delete(u.conn.users, u.id)
	u.conn.forget(u)
}

// woken does what the session has to be done: acknowledgements, results, messages; or ends
// it here because it has ended there.
func (u *user) woken(*conn) {
	if u.session == nil || u.ended {
		return
	}
	u.acknowledge()
	if err := u.session.Err(); err != nil {
		u.part(err)
		return
	}
	u.take()
}

// closeUsers ends every session, because the connection is over.
func (c *conn) closeUsers() {
	for _, u := range c.users {
		if !u.opening { // its session is to come, and is closed then
			u.close(c.bye)
		}
	}
}

// expireUsers ends what rested on tokens that have ended: the links of a user that no claim
// and no certificate speaks for (amqp 2).
func (c *conn) expireUsers() {
	for id, u := range c.users {
		if u.session == nil || u.ended || len(c.certs) > 0 {
			continue
		}
		if _, ok := c.claims.prove(id); !ok {
			u.expired()
		}
	}
}

// expired detaches the links of a user whose token has ended.
func (u *user) expired() {
	err := fault.New(fault.IotHubUnauthorized, "amqp.expire", "the shared access token expired")
	u.ended = true
	u.session.Close(device.Goodbye{Kind: device.GoodbyeExpired, Detail: fault.Detail(err)})
	u.detachAll(err, amqpwire.CondUnauthorizedAccess)
	delete(u.conn.users, u.id)
	u.conn.forget(u)
}

// detachAll detaches the links of a user with an error.
func (u *user) detachAll(err error, condition string) {
	e := u.conn.condition(err)
	e.Condition = condition
	for _, l := range slices.Clone(u.links) {
		l.Detach(e)
	}
	u.links = nil
}

// renewUsers passes a new token on to the sessions that rest on the claim.
func (c *conn) renewUsers(k claim) {
	for id, u := range c.users {
		if u.session == nil || u.ended || !k.speaks(id, identityPath(id)) {
			continue
		}
		if token, ok := c.claims.prove(id); ok && token == k.token {
			u.do(device.Renew{Credential: device.Credential{SAS: token}}, func(error) {}) // a failure ends the session
		}
	}
}

// do starts an operation; done is called with its result.
func (u *user) do(what device.Operation, done func(error)) {
	u.tag++
	if err := u.session.Do(device.Op{Tag: u.tag, What: what}); err != nil {
		done(err)
		return
	}
	u.results[u.tag] = done
}
