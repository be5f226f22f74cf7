package diagnosis

import (
	"net/netip"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// History is the story of one identity's displacements. It is bounded whatever
// happens: maxKept displacements whole, maxNodes clients, maxBeaten values of each
// dimension, and counts. The zero History is ready; it is a value of its owner alone.
type History struct {
	Since   time.Time          `json:"since"`
	Last    time.Time          `json:"last"`
	Count   uint64             `json:"count"`
	Kept    []Displacement     `json:"-"` // the most recent ones, oldest first; stored each on its own
	Nodes   []Node             `json:"nodes"`
	Beaten  [dimensions]beaten `json:"beaten"`
	Tally   Tally              `json:"tally"` // of all displacements
	Returns [dimensions]uint64 `json:"returns"`
	Twofold uint64             `json:"twofold"` // displacements that return in two independent respects at once
	Unacked uint64             `json:"unacked"`
	// Released counts the cloud-to-device messages whose locks losers lost.
	Released uint64 `json:"released,omitempty"`
	Run      uint64 `json:"run"` // of the hub, in which Beaten[DimToken] was gathered
	// Gap is how long after the first loser connected its displacer did; Together, that both
	// were of one address and software.
	Gap      time.Duration `json:"gap,omitempty"`
	Together bool          `json:"together,omitempty"`
}

// Tally counts displacements by how the loser reacted.
type Tally struct {
	Unknown uint64 `json:"unknown"`
	Silent  uint64 `json:"silent"`
	Reset   uint64 `json:"reset"`
	Late    uint64 `json:"late"`
	Prompt  uint64 `json:"prompt"`
}

// Node is a client as its fingerprint tells it apart.
type Node struct {
	Key       uint64    `json:"key"`   // the fingerprint
	Party     Party     `json:"party"` // as it was last seen
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Opened    time.Time `json:"opened,omitzero"`   // when its earliest connection was opened
	Reopened  time.Time `json:"reopened,omitzero"` // and its latest
	Won       uint64    `json:"won"`
	Lost      uint64    `json:"lost"`
}

// Continues reports whether a displacement at that time belongs to the story.
func (h *History) Continues(at time.Time) bool { return h.Count == 0 || at.Sub(h.Last) <= storyGap }

// Add appends a displacement and gives its number.
func (h *History) Add(d Displacement) uint64 {
	if h.Count == 0 {
		h.Since = d.At
	}
	h.Count++
	h.Last, h.Unacked, h.Released = d.At, h.Unacked+d.Unacked, h.Released+d.Released
	if h.Run != d.Winner.Run {
		h.Run, h.Beaten[DimToken] = d.Winner.Run, nil // hashes of another run say nothing
	}
	d.Number, d.Differ, d.Returns = h.Count, differ(&d.Loser, &d.Winner), 0
	for _, dim := range d.Differ.list() {
		if h.Beaten[dim].has(d.Winner.value(dim)) {
			d.Returns = d.Returns.with(dim)
			h.Returns[dim]++
		}
		h.Beaten[dim] = h.Beaten[dim].add(d.Loser.value(dim), d.At)
	}
	if d.Returns.groups() >= 2 {
		h.Twofold++
	}
	if h.Count == 1 {
		h.Gap = d.Winner.Opened.Sub(d.Loser.Opened)
		h.Together = h.Gap >= 0 && h.Gap <= togetherWithin && d.sameAddress() && d.sameSoftware()
	}
	h.meet(&d.Loser, d.At, false)
	h.meet(&d.Winner, d.At, true)
	a := d.Afterlife
	d.Afterlife = nil
	if len(h.Kept) >= maxKept {
		h.Kept = slices.Delete(h.Kept, 0, len(h.Kept)-maxKept+1)
	}
	h.Kept = append(h.Kept, d)
	if a != nil {
		h.Settle(d.Number, *a)
	}
	return d.Number
}

// Settle notes the afterlife of a displacement's loser, once; that of one which is no
// longer kept is not counted.
func (h *History) Settle(number uint64, a Afterlife) {
	d := h.find(number)
	if d == nil || d.Afterlife != nil {
		return
	}
	d.Afterlife = &a
	switch d.reaction() {
	case reactionUnknown:
		h.Tally.Unknown++
	case reactionSilent:
		h.Tally.Silent++
	case reactionReset:
		h.Tally.Reset++
	case reactionLate:
		h.Tally.Late++
	case reactionPrompt:
		h.Tally.Prompt++
	case reactionPending: // it has an afterlife
	}
}

// find gives a displacement that is kept, or nil.
func (h *History) find(number uint64) *Displacement {
	for i := range h.Kept {
		if h.Kept[i].Number == number {
			return &h.Kept[i]
		}
	}
	return nil
}

// At gives the story as it was at a time, as far as the displacements kept tell.
func (h *History) At(at time.Time) History {
	if !h.Last.After(at) {
		return *h
	}
	var past History
	for i := range h.Kept {
		if h.Kept[i].At.After(at) {
			break
		}
		past.Add(h.Kept[i])
	}
	past.Since, past.Gap, past.Together = h.Since, h.Gap, h.Together
	return past
}

// meet notes that a client was seen.
func (h *History) meet(p *Party, at time.Time, won bool) {
	key := p.fingerprint()
	i := slices.IndexFunc(h.Nodes, func(n Node) bool { return n.Key == key && n.Party.Run == p.Run })
	if i < 0 {
		if len(h.Nodes) >= maxNodes {
			h.Nodes = slices.Delete(h.Nodes, h.leastTelling(), h.leastTelling()+1)
		}
		first := at
		if !p.Opened.IsZero() && p.Opened.Before(at) {
			first = p.Opened
		}
		h.Nodes = append(h.Nodes, Node{Key: key, FirstSeen: first})
		i = len(h.Nodes) - 1
	}
	n := &h.Nodes[i]
	n.Party, n.LastSeen = *p, at
	if n.Opened.IsZero() || p.Opened.Before(n.Opened) {
		n.Opened = p.Opened
	}
	if p.Opened.After(n.Reopened) {
		n.Reopened = p.Opened
	}
	if won {
		n.Won++
	} else {
		n.Lost++
	}
}

// keeps reports whether a token was in use on several connections over some time: a
// client keeps it, rather than making one for each connection.
func (h *History) keeps(token uint64) bool {
	return slices.ContainsFunc(h.Nodes, func(n Node) bool {
		return n.Party.Token == token && n.Reopened.Sub(n.Opened) >= keptSpan
	})
}

// leastTelling gives the client to forget: one that displaced at most once before one
// that came back, and the longest unseen of those.
func (h *History) leastTelling() int {
	least := 0
	for i := range h.Nodes {
		a, b := &h.Nodes[i], &h.Nodes[least]
		once, worse := a.Won <= 1, b.Won <= 1
		if once && !worse || once == worse && a.LastSeen.Before(b.LastSeen) {
			least = i
		}
	}
	return least
}

// addresses gives where the story's clients came from, as far as they are kept.
func (h *History) addresses() []netip.Addr {
	var list []netip.Addr
	add := func(p *Party) {
		if a := p.address(); a.IsValid() && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for i := range h.Kept {
		add(&h.Kept[i].Loser)
		add(&h.Kept[i].Winner)
	}
	return list
}

// focus is the displacement that the story is judged by: the latest whose loser's
// reaction is known, or the latest.
func (h *History) focus() *Displacement {
	for i := len(h.Kept) - 1; i >= 0; i-- {
		if h.Kept[i].Afterlife != nil {
			return &h.Kept[i]
		}
	}
	if len(h.Kept) == 0 {
		return nil
	}
	return &h.Kept[len(h.Kept)-1]
}

// unobserved is the afterlife of a connection of which no word came.
func unobserved() Afterlife {
	return Afterlife{
		Afterlife: device.Afterlife{Kind: device.AfterlifeSilent, After: afterlifeWithin}, Unobserved: true,
	}
}
