package amqp

import (
	"slices"
	"sync"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// proofs are the connections on which a device's or module's own token was found good. A
// token claims nothing until a link is attached, so that one key could open any number of
// them: of those that are too many the oldest loses its token.
type proofs struct {
	mu sync.Mutex
	of map[iot.Identity][]*conn // the newest last
}

// enter notes a connection, and has the oldest told if there are too many.
func (p *proofs) enter(id iot.Identity, c *conn) {
	if old := p.seat(id, c); old != nil {
		old.ring(outnumbered{id})
	}
}

func (p *proofs) seat(id iot.Identity, c *conn) (old *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.of[id]
	if slices.Contains(list, c) {
		return nil // another token for the same
	}
	if p.of == nil {
		p.of = make(map[iot.Identity][]*conn)
	}
	if len(list) >= maxProofs {
		old = list[0]
		list = slices.Delete(list, 0, 1)
	}
	p.of[id] = append(list, c)
	return old
}

// leave forgets a connection, if it is still there.
func (p *proofs) leave(id iot.Identity, c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[id] = slices.DeleteFunc(p.of[id], func(o *conn) bool { return o == c }); len(p.of[id]) == 0 {
		delete(p.of, id)
	}
}

// unproven forgets the connection with the end of a claim.
func (c *conn) unproven(k *claim) {
	if k.identity != (iot.Identity{}) {
		c.server.proofs.leave(k.identity, c)
	}
}

// outnumbered tells a connection that there are enough newer ones with a token of the same
// identity.
type outnumbered struct{ id iot.Identity }

// woken takes the token away, and closes the connection if there was no other. Whoever holds
// the identity keeps both: there is one such connection.
func (o outnumbered) woken(c *conn) {
	if u := c.users[o.id]; u != nil && !u.ended {
		c.server.proofs.enter(o.id, c) // at the cost of the next
		return
	}
	c.claims = slices.DeleteFunc(c.claims, func(k claim) bool { return k.identity == o.id })
	if len(c.claims) > 0 || len(c.users) > 0 {
		return
	}
	e := c.condition(fault.New(fault.ThrottleBacklogLimitExceeded, "amqp.claim", "%d newer connections have a token of %s", maxProofs, quoted(identityPath(o.id))))
	c.bye = device.Goodbye{Kind: device.GoodbyeProtocol, Detail: e.Description}
	c.machine.Close(e)
}
