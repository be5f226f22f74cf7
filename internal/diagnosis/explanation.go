package diagnosis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// explain is a story, judged, as it crosses to others.
func explain(id iot.Identity, h *History, j *Judgement, now time.Time) iot.Explanation {
	if j.Verdict == iot.VerdictNone {
		return iot.NoConflict(id, now)
	}
	who := cast(h, j)
	gate := gateOf(j.Verdict)
	e := iot.Explanation{
		DeviceID: id.Device, GeneratedAt: iot.MomentOf(now), Verdict: j.Verdict, Cause: causeOf(j.Verdict),
		Confidence: rounded(j.Confidence), Summary: summary(h, j), Missing: j.Missing,
		RunnerUp: &iot.RunnerUp{Verdict: j.RunnerUp, Confidence: rounded(j.Second), WouldFlipIf: gateOf(j.RunnerUp).Flip},
		Evidence: make([]iot.Evidence, 0, len(j.Ledger)), Clients: who.clients, Conflicts: make([]iot.Conflict, 0, len(h.Kept)),
		Lost:   iot.ExplanationLoss{C2DReleased: h.Released, PublishesUnacknowledged: h.Unacked},
		Advice: iot.Advice{Next: gate.Next, Fix: gate.Fix},
	}
	if id.IsModule() {
		e.ModuleID = &id.Module
	}
	for _, ev := range j.Ledger {
		e.Evidence = append(e.Evidence, iot.Evidence{
			Signal: string(ev.Rule.Signal), Strength: ev.Rule.Strength, For: orNone(ev.Rule.For), Against: orNone(ev.Rule.Against),
			Observed: ev.Observed, At: iot.MomentOf(ev.At),
		})
	}
	for i := range h.Kept {
		e.Conflicts = append(e.Conflicts, conflictOf(&h.Kept[i], who))
	}
	return e
}

func orNone(v []iot.Verdict) []iot.Verdict {
	if v == nil {
		return []iot.Verdict{}
	}
	return v
}

func causeOf(v iot.Verdict) *int {
	if c := v.Cause(); c != 0 {
		return &c
	}
	return nil
}

// rounded is a confidence with two digits, never more than 0.99: a judgement is not a
// proof.
func rounded(c float64) float64 { return min(math.Round(c*100)/100, 0.99) }

func conflictOf(d *Displacement, who people) iot.Conflict {
	c := iot.Conflict{
		At: iot.MomentOf(d.At), Code: int(d.Code), Reason: d.Reason, Unacked: d.Unacked, Released: d.Released,
		Loser: peerOf(&d.Loser, who.letter(&d.Loser)), Winner: peerOf(&d.Winner, who.letter(&d.Winner)),
		Afterlife: "pending",
	}
	if a := d.Afterlife; a != nil {
		ms := a.After.Milliseconds()
		c.Afterlife, c.AfterlifeMS, c.Farewell, c.Unobserved = a.Kind.String(), &ms, a.Farewell, a.Unobserved || a.Cut && a.Kind == device.AfterlifeSilent
	}
	return c
}

// people is who takes part in a story.
type people struct {
	clients []iot.ExplanationClient
	letters map[uint64]string
	key     func(*Party) uint64
}

func (c people) letter(p *Party) string { return c.letters[c.key(p)] }

// cast tells the story's clients apart: by software, configuration and key always; by
// token only if a displaced token came back, because one client may use a new one for
// each connection; by address only while nothing says that one client moved.
func cast(h *History, j *Judgement) people {
	byToken := h.Returns[DimToken] > 0 || j.Verdict == twoClients || j.Verdict == openedTwice
	byAddress := j.Verdict == iot.VerdictUndecided && !byToken
	c := people{letters: map[uint64]string{}, key: func(p *Party) uint64 { return clientKey(p, byToken, byAddress) }}
	if j.Verdict != twoClients && j.Verdict != openedTwice && j.Verdict != iot.VerdictUndecided {
		c.key = func(p *Party) uint64 { return p.Conn ^ hashOf(p.Epoch) } // one client: show its connections
		return c.ofConnections(h)
	}
	nodes := slices.Clone(h.Nodes)
	if byAddress { // nodes do not tell addresses apart, displacements do
		return c.ofConnections(h)
	}
	slices.SortStableFunc(nodes, func(a, b Node) int { return a.FirstSeen.Compare(b.FirstSeen) })
	for i := range nodes {
		n := &nodes[i]
		c.see(&n.Party, n.FirstSeen, n.LastSeen, n.Won, n.Lost)
	}
	return c
}

// ofConnections fills the cast from the most recent displacements.
func (c people) ofConnections(h *History) people {
	for i := max(len(h.Kept)-maxNodes/2, 0); i < len(h.Kept); i++ { // two connections each
		d := &h.Kept[i]
		c.see(&d.Loser, d.Loser.Opened, d.At, 0, 1)
		c.see(&d.Winner, d.Winner.Opened, d.At, 1, 0)
	}
	return c
}

// clientKey is a party's fingerprint for the reader of an explanation.
func clientKey(p *Party, byToken, byAddress bool) uint64 {
	key := hashOf(p.ClientType, p.APIVersion, p.Auth, p.Slot, p.Policy, p.Thumbprint, string(p.Transport), p.KeepAlive.String())
	if byToken {
		key ^= p.Token*31 + p.Run
	}
	if byAddress {
		key ^= p.value(DimAddress) * 37
	}
	return key
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
		c.clients = append(c.clients, iot.ExplanationClient{ID: letter, FirstSeen: iot.MomentOf(first)})
	}
	i := slices.IndexFunc(c.clients, func(v iot.ExplanationClient) bool { return v.ID == letter })
	v := &c.clients[i]
	v.RemoteAddress, v.Transport, v.ClientType, v.Credential = addressText(p), string(p.Transport), p.ClientType, credentialText(p)
	v.Won, v.Lost = v.Won+won, v.Lost+lost
	if at := iot.MomentOf(last); at.After(v.LastSeen.Time) {
		v.LastSeen = at
	}
}

// summary is the story in one sentence, and what may have caused it in another.
func summary(h *History, j *Judgement) string {
	d := h.focus()
	if d == nil {
		return ""
	}
	var s string
	where := cmp.Or(addressText(&d.Winner), "an unknown address")
	old := cmp.Or(addressText(&d.Loser), "an unknown address")
	again := ""
	if h.Count > 1 {
		again = fmt.Sprintf("; %d displacements in %s", h.Count, span(h.Last.Sub(h.Since)))
	}
	switch j.Verdict {
	case twoClients:
		s = fmt.Sprintf("Two or more clients use this identity and displace each other%s: the latest was %s, which displaced %s.", again, where, old)
	case openedTwice:
		s = fmt.Sprintf("One program at %s holds more than one connection for this identity, and they displace each other%s.", where, again)
	case halfOpen:
		s = fmt.Sprintf("The client came back from %s while its older connection from %s was dead but not yet noticed%s.", where, old, again)
	case restart:
		s = fmt.Sprintf("The client at %s restarted: the process that held the older connection was gone when the new one connected%s.", where, again)
	case renewal:
		s = fmt.Sprintf("The client at %s renewed its token by a second connection and left the first%s; this is harmless.", where, again)
	case handover:
		s = fmt.Sprintf("The client moved to a new connection from %s and closed the older one%s; this was its intention.", where, again)
	case iot.VerdictUndecided, iot.VerdictNone:
		s = fmt.Sprintf("A connection from %s displaced one from %s%s; the evidence does not say whether that was one client or two.", where, old, again)
	}
	if d.Before != nil {
		s += " It may have begun with this: " + d.Before.text(d.At) + "."
	}
	return s
}

// summaryOf is a story in one line for a list.
func summaryOf(id iot.Identity, h *History, j *Judgement) iot.ConflictSummary {
	who := cast(h, j)
	s := iot.ConflictSummary{
		DeviceID: id.Device, Verdict: j.Verdict, Cause: causeOf(j.Verdict), Confidence: rounded(j.Confidence),
		Summary: summary(h, j), Since: iot.MomentOf(h.Since), Last: iot.MomentOf(h.Last), Conflicts: h.Count,
		Clients: 1, Addresses: []string{},
	}
	if j.Verdict == twoClients || j.Verdict == openedTwice || j.Verdict == iot.VerdictUndecided {
		s.Clients = len(who.clients)
	}
	if id.IsModule() {
		s.ModuleID = &id.Module
	}
	for _, a := range h.addresses() {
		s.Addresses = append(s.Addresses, a.String())
	}
	return s
}
