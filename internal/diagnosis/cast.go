package diagnosis

import (
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// people is who takes part in a story.
type people struct {
	clients []iot.ExplanationClient
	letters map[uint64]string
	key     func(*Party) uint64
	turns   bool // nothing tells them apart: they are shown as they alternate
}

// letter names one side of a displacement, "" if it is none of the clients.
func (c *people) letter(d *Displacement, p *Party) string {
	if !c.turns {
		return c.letters[c.key(p)]
	}
	if (d.Number%2 == 1) == (p == &d.Loser) {
		return "A"
	}
	return "B"
}

// cast tells the story's clients apart: by software and key always; by token only if
// clients keep theirs, because many make one for each connection; by address if an
// address came back, or while nothing says that one client moved. A verdict that knows
// one client has its connections shown.
func cast(h *History, j *Judgement) people {
	kept := h.keepers() > 1
	switch {
	case j.Verdict != iot.VerdictUndecided && j.Verdict.Cause() != 2:
		return ofConnections(h, func(p *Party) uint64 { return p.Conn ^ hashOf(p.Epoch) })
	case kept && (h.Returns[DimToken] > 0 || j.Verdict.Cause() == 2):
		return ofNodes(h.Tokens, (*Node).kept, (*Party).holding)
	case j.Verdict == iot.VerdictUndecided:
		return ofConnections(h, func(p *Party) uint64 { return p.setup(true) })
	}
	byAddress := h.Returns[DimAddress] > 0
	c := ofNodes(h.Nodes, func(*Node) bool { return true }, func(p *Party) uint64 { return p.setup(byAddress) })
	if len(c.clients) < 2 {
		return inTurns(h)
	}
	return c
}

// setup is what a reader tells clients apart by.
func (p *Party) setup(byAddress bool) uint64 {
	api := p.APIVersion
	if p.amqp() {
		api = "" // it stands on some links and not on others
	}
	key := hashOf(p.ClientType, api, p.Auth, p.Slot, p.Policy, p.Thumbprint, string(p.Transport), p.KeepAlive.String())
	if byAddress {
		key ^= p.value(DimAddress) * 37
	}
	return key
}

// ofNodes makes a cast of the clients of a table that are so.
func ofNodes(nodes []Node, so func(*Node) bool, key func(*Party) uint64) people {
	c := people{letters: map[uint64]string{}, key: key}
	nodes = slices.Clone(nodes)
	slices.SortStableFunc(nodes, func(a, b Node) int { return a.FirstSeen.Compare(b.FirstSeen) })
	for i := range nodes {
		if n := &nodes[i]; so(n) {
			c.see(&n.Party, n.FirstSeen, n.LastSeen, n.Won, n.Lost)
		}
	}
	return c
}

// ofConnections makes a cast of the most recent displacements.
func ofConnections(h *History, key func(*Party) uint64) people {
	c := people{letters: map[uint64]string{}, key: key}
	recent := h.recent()
	for i := max(len(recent)-maxNodes/2, 0); i < len(recent); i++ { // two connections each
		d := &recent[i]
		c.see(&d.Loser, d.Loser.Opened, d.At, 0, 1)
		c.see(&d.Winner, d.Winner.Opened, d.At, 1, 0)
	}
	return c
}

// inTurns makes a cast of two who cannot be told apart: whoever was displaced is taken
// for the one that displaces next.
func inTurns(h *History) people {
	d := &h.Kept[len(h.Kept)-1]
	even := h.Count / 2 // displacements that A won
	a, b := clientOf("A", &d.Loser), clientOf("B", &d.Winner)
	a.FirstSeen, a.LastSeen, a.Won, a.Lost = iot.MomentOf(h.Opened), iot.MomentOf(d.At), even, h.Count-even
	b.FirstSeen, b.LastSeen, b.Won, b.Lost = iot.MomentOf(h.Since), iot.MomentOf(d.At), h.Count-even, even
	return people{clients: []iot.ExplanationClient{a, b}, turns: true}
}

// clientOf is a party as one of an explanation's clients.
func clientOf(letter string, p *Party) iot.ExplanationClient {
	return iot.ExplanationClient{
		ID: letter, RemoteAddress: addressText(p), Transport: string(p.Transport), ClientType: p.ClientType, Credential: credentialText(p),
	}
}

// see adds what is known of a client.
func (c *people) see(p *Party, first, last time.Time, won, lost uint64) {
	key := c.key(p)
	letter, known := c.letters[key]
	if !known {
		if len(c.clients) >= maxNodes {
			return
		}
		letter = string(rune('A' + len(c.clients)))
		c.letters[key] = letter
		c.clients = append(c.clients, iot.ExplanationClient{FirstSeen: iot.MomentOf(first)})
	}
	v := &c.clients[letter[0]-'A']
	was := *v
	*v = clientOf(letter, p)
	v.FirstSeen, v.LastSeen, v.Won, v.Lost = was.FirstSeen, was.LastSeen, was.Won+won, was.Lost+lost
	if at := iot.MomentOf(last); at.After(v.LastSeen.Time) {
		v.LastSeen = at
	}
}
