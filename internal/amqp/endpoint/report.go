package endpoint

import "github.com/berth-iot/berth/internal/amqpwire"

// report is an event that waits to be told. It costs the peer nothing to cause few of
// them: at most one waits for each link and session, and those of a session's links are
// made when they are told.
type report struct {
	kind    Kind
	byPeer  bool
	closed  bool
	session *Session
	link    *Link
	err     *amqpwire.Error
	attach  *amqpwire.Attach
}

// told gives the oldest event that waits.
func (c *Conn) told() (Event, bool) {
	for len(c.reports) > 0 {
		r := &c.reports[0]
		if r.kind == OnEnd && len(r.session.links) > 0 {
			l := r.session.links[len(r.session.links)-1]
			announced := l.phase == linkAsked || l.phase == linkUp
			r.session.drop(l)
			if announced {
				return Event{Kind: OnDetach, ByPeer: r.byPeer, Session: r.session, Link: l, Error: r.err}, true
			}
			continue
		}
		ev := Event{Kind: r.kind, ByPeer: r.byPeer, Closed: r.closed, Session: r.session, Link: r.link, Error: r.err, Attach: r.attach}
		*r = report{}
		c.reports = c.reports[1:]
		if len(c.reports) == 0 {
			c.reports = nil
		}
		if (ev.Kind == OnFlow || ev.Kind == OnAttach) && !ev.Link.live() {
			continue
		}
		return ev, true
	}
	return Event{}, false
}
