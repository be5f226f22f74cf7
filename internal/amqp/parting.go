package amqp

import (
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// parting is the end of a user whose session has ended by itself: it was displaced,
// disabled, deleted. Its links are detached, the connection and its other users stay. Who
// answers the detaches was alive (architecture 5).
type parting struct {
	displaced bool
	began     time.Time
	until     time.Time
	unheard   int // detaches that the peer has not answered
	answered  bool
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
		began:     c.now, until: c.now.Add(endpoint.AnswerWithin),
	}
	e := c.condition(err)
	if u.farewell.displaced {
		e.Condition = amqpwire.CondInternalError
		e.Description = displacedText + ". " + e.Description
	}
	sessions := make(map[*endpoint.Session]struct{})
	links := u.links
	u.links = nil
	for _, l := range links {
		if !l.Live() {
			continue
		}
		sessions[l.Session()] = struct{}{}
		c.partings[l] = u
		u.farewell.unheard++
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
	if u.farewell.unheard == 0 {
		u.seen(device.AfterlifeClosed)
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

// answered notes that the peer answered a detach of ours.
func (c *conn) answered(l *endpoint.Link) {
	u := c.partings[l]
	if u == nil {
		return
	}
	delete(c.partings, l)
	u.farewell.answered = true
	if u.farewell.unheard--; u.farewell.unheard == 0 {
		u.seen(device.AfterlifeAlive)
	}
}

// seen tells what was seen of a displaced peer, once.
func (u *user) seen(kind device.AfterlifeKind) {
	c, p := u.conn, u.farewell
	if p == nil {
		return
	}
	u.farewell = nil
	c.unpart(u)
	if !p.displaced {
		return
	}
	life := device.Afterlife{Kind: kind, After: c.now.Sub(p.began)}
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
		u := c.parted[0]
		kind := device.AfterlifeSilent
		if u.farewell.answered {
			kind = device.AfterlifeAlive
		}
		u.seen(kind)
	}
}

// closeParted tells of those who had not answered when the connection was over.
func (c *conn) closeParted() {
	for len(c.parted) > 0 {
		u := c.parted[0]
		kind := lostKind(c.bye)
		if u.farewell.answered {
			kind = device.AfterlifeAlive
		}
		u.seen(kind)
	}
}

// lostKind is what the end of the connection says of a peer that has not answered.
func lostKind(why device.Goodbye) device.AfterlifeKind {
	switch why.Kind {
	case device.GoodbyeClean, device.GoodbyeEnded:
		return device.AfterlifeAlive
	case device.GoodbyeLost:
		if why.Detail == resetDetail {
			return device.AfterlifeReset
		}
		return device.AfterlifeClosed
	default:
	}
	return device.AfterlifeSilent
}
