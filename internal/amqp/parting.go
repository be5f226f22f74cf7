package amqp

import (
	"errors"
	"syscall"
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/park"
)

// parting is the end of a user whose session has ended by itself: it was displaced,
// disabled, deleted. Its links are detached, the connection and its other users stay. Who
// answers the detaches was alive (architecture 5).
type parting struct {
	displaced bool
	began     time.Time
	until     time.Time
	heard     uint64 // what had come on the connection when it began, in bytes
}

// displacedText is what real clients are told, and retry (amqp 6).
const displacedText = "Another AMQP Client has opened a Receive Link"

// part ends a user whose session has ended by itself.
func (u *user) part(err error) {
	c := u.conn
	u.ended = true
	code := fault.Of(err)
	u.farewell = &parting{
		displaced: code == fault.LinkCreationConflict || code == fault.ConnectionForcefullyClosedOnNewConnection,
		began:     c.now, until: c.now.Add(endpoint.AnswerWithin), heard: c.facts.Traffic.BytesIn.Load(),
	}
	e := c.condition(err)
	if u.farewell.displaced {
		e.Condition = amqpwire.CondInternalError
		e.Description = displacedText + ". " + e.Description
	}
	sessions := make(map[*endpoint.Session]struct{})
	links, told := u.links, 0
	u.links = nil
	for _, l := range links {
		if !l.Live() {
			continue
		}
		sessions[l.Session()] = struct{}{}
		c.partings[l] = u
		told++
		l.Detach(e)
	}
	u.session.Close(device.Goodbye{Kind: device.GoodbyeEnded})
	for _, at := range u.waiting {
		at.link.Refuse(e)
	}
	u.waiting = nil
	for s := range sessions {
		if c.carriesNobody(s) {
			s.Wind(e)
		}
	}
	c.forget(u)
	delete(c.users, u.id)
	c.parted = append(c.parted, u)
	if told == 0 { // it has no link to answer for
		u.seen(device.Afterlife{Kind: device.AfterlifeSilent, Cut: true})
	}
	if len(c.users) == 0 && c.carriesOnlyUsers() {
		c.bye = device.Goodbye{Kind: device.GoodbyeEnded, Detail: fault.Detail(err)}
		c.machine.Wind(e)
	}
}

// carriesNobody reports whether a session has no link of a user, or of a back-end, left.
func (c *conn) carriesNobody(s *endpoint.Session) bool {
	for l := range s.Links() {
		if r, ok := l.Data.(addressed); ok && r.place() == placeCBS {
			continue
		}
		return false
	}
	return true
}

// carriesOnlyUsers reports whether nothing but $cbs is left on the connection.
func (c *conn) carriesOnlyUsers() bool {
	for s := range c.machine.Sessions() {
		if !c.carriesNobody(s) {
			return false
		}
	}
	return true
}

// answered notes that the peer answered a detach of ours. The first answer of a user
// tells that it is alive.
func (c *conn) answered(l *endpoint.Link) {
	if u := c.partings[l]; u != nil {
		u.seen(device.Afterlife{Kind: device.AfterlifeAlive})
	}
}

// seen tells what was seen of a displaced peer, once.
func (u *user) seen(life device.Afterlife) {
	c, p := u.conn, u.farewell
	if p == nil {
		return
	}
	u.farewell = nil
	c.unpart(u)
	if !p.displaced {
		return
	}
	life.After, life.Bytes = c.now.Sub(p.began), int(c.facts.Traffic.BytesIn.Load()-p.heard)
	life.Kept = len(c.users) > 0 || !c.carriesOnlyUsers()
	if c.facts.Kernel != nil {
		life.TCP = c.facts.Kernel()
	}
	u.session.Afterlife(life)
}

// unpart takes a user out of those whose answer is waited for.
func (c *conn) unpart(u *user) {
	for i, o := range c.parted {
		if o == u {
			c.parted = append(c.parted[:i], c.parted[i+1:]...)
			break
		}
	}
	for l, o := range c.partings {
		if o == u {
			delete(c.partings, l)
		}
	}
}

// waits is when the first answer is waited for no more.
func (c *conn) waits() time.Time {
	if len(c.parted) == 0 {
		return time.Time{}
	}
	return c.parted[0].farewell.until
}

// overdue tells of the peers that did not answer.
func (c *conn) overdue() {
	for len(c.parted) > 0 && !c.now.Before(c.parted[0].farewell.until) {
		c.parted[0].seen(device.Afterlife{Kind: device.AfterlifeSilent})
	}
}

// closeParted tells of those who had not answered when the connection was over: why says
// how the socket ended, whatever had been decided before.
func (c *conn) closeParted(why error) {
	for len(c.parted) > 0 {
		life := device.Afterlife{Kind: lostKind(why)}
		if c.byPeer {
			life.Kind = device.AfterlifeAlive
		}
		if life.Kind == device.AfterlifeSilent {
			life.Cut = c.now.Before(c.parted[0].farewell.until)
		}
		c.parted[0].seen(life)
	}
}

// lostKind is what the end of the socket says of a peer that has not answered.
func lostKind(why error) device.AfterlifeKind {
	switch {
	case errors.Is(why, syscall.ECONNRESET), errors.Is(why, syscall.EPIPE):
		return device.AfterlifeReset
	case errors.Is(why, park.ErrPeerClosed):
		return device.AfterlifeClosed
	}
	return device.AfterlifeSilent
}
