package endpoint

import "github.com/berth-iot/berth/internal/amqpwire"

// names finds a session's live links by name and role. Few are looked up by looking at
// each, so that a session with few links carries no map.
type names struct {
	all map[name]*Link // nil while there are few
}

type name struct {
	text string
	role amqpwire.Role
}

// named gives the live link of a name and role of ours, or nil.
func (s *Session) named(text string, role amqpwire.Role) *Link {
	if s.byName.all != nil {
		return s.byName.all[name{text, role}]
	}
	for _, l := range s.links {
		if l.role == role && l.name == text && l.live() {
			return l
		}
	}
	return nil
}

// add notes a link that is in its session's links.
func (t *names) add(l *Link) {
	links := l.session.links
	switch {
	case t.all != nil:
		t.all[name{l.name, l.role}] = l
	case len(links) > fewLinks:
		t.all = make(map[name]*Link, 2*fewLinks)
		for _, l := range links {
			if l.live() {
				t.all[name{l.name, l.role}] = l
			}
		}
	}
}

// remove forgets a link that is not live any more.
func (t *names) remove(l *Link) {
	if key := (name{l.name, l.role}); t.all[key] == l {
		delete(t.all, key)
	}
}
