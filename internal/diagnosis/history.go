package diagnosis

import (
	"net/netip"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// History is the story of one identity's displacements. It is bounded whatever
// happens: maxKept displacements whole, maxNodes installations and as many tokens,
// maxBeaten values of each dimension, and counts. The zero History is ready; it is a value
// of its owner alone.
type History struct {
	Since   time.Time          `json:"since"`
	Opened  time.Time          `json:"opened,omitzero"` // when the first loser began to speak for the identity
	Last    time.Time          `json:"last"`
	Count   uint64             `json:"count"`
	Kept    []Displacement     `json:"-"`      // the first and the most recent ones, in order; stored each on its own
	Nodes   []Node             `json:"nodes"`  // by key, software and address
	Tokens  []Node             `json:"tokens"` // by token
	Beaten  [dimensions]beaten `json:"beaten"`
	Tally   Tally              `json:"tally"` // of all displacements
	Returns [dimensions]uint64 `json:"returns"`
	Twofold uint64             `json:"twofold"` // displacements that return in two independent respects at once
	Lost    Loss               `json:"lost"`
	Run     uint64             `json:"run"`              // of the hub, in which Beaten[DimToken] was gathered
	Before  *Trouble           `json:"before,omitempty"` // what the story may have begun with
	// Gap is how long after the first loser stood its displacer set out, or if it is negative
	// before; Together, that this was at once, and both were of one address and software.
	Gap      time.Duration `json:"gap,omitempty"`
	Together bool          `json:"together,omitempty"`
	// More: there were more displacements than Count. It is set by At alone.
	More bool `json:"-"`
}

// Loss is what displacements cost.
type Loss struct {
	Publishes uint64 `json:"publishes,omitempty"` // appended and not yet acknowledged
	Released  uint64 `json:"released,omitempty"`  // cloud-to-device messages that went back to their queue
}

// add counts another loss.
func (l *Loss) add(more Loss) {
	l.Publishes += more.Publishes
	l.Released += more.Released
}

// Tally counts displacements by how the loser reacted.
type Tally struct {
	Unknown uint64 `json:"unknown"`
	Silent  uint64 `json:"silent"`
	Reset   uint64 `json:"reset"`
	Late    uint64 `json:"late"`
	Prompt  uint64 `json:"prompt"`
}

// Continues reports whether a displacement at that time belongs to the story.
func (h *History) Continues(at time.Time) bool { return h.Count == 0 || at.Sub(h.Last) <= storyGap }

// Add appends a displacement and gives its number.
func (h *History) Add(d Displacement) uint64 {
	h.Count++
	if h.Count == 1 {
		h.begin(&d)
	}
	h.Last = d.At
	h.Lost.add(d.Lost)
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
	h.meet(&d.Loser, d.At, false)
	h.meet(&d.Winner, d.At, true)
	a := d.Afterlife
	d.Afterlife = nil
	if len(h.Kept) >= maxKept {
		h.Kept = slices.Delete(h.Kept, maxFirst, maxFirst+len(h.Kept)-maxKept+1)
	}
	h.Kept = append(h.Kept, d)
	if a != nil {
		h.Settle(d.Number, *a)
	}
	return d.Number
}

// begin notes what only the first displacement of a story tells.
func (h *History) begin(d *Displacement) {
	h.Since, h.Opened, h.Before = d.At, d.Loser.Opened, d.Before
	l, w := &d.Loser, &d.Winner
	h.Gap = w.dialled().Sub(l.Opened)
	within := togetherWithin + l.Opened.Sub(l.dialled()) + 2*max(l.TCP.RTT, w.TCP.RTT)
	atOnce := h.Gap <= within && w.dialled().Sub(l.dialled()) >= -within
	h.Together = atOnce && same(l, w, DimAddress) && differ(l, w)&software() == 0
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
		d := &h.Kept[i]
		if d.At.After(at) {
			past.More = d.Number > past.Count+1
			break
		}
		past.Count = d.Number - 1 // those before it that are not kept count
		past.Add(*d)
	}
	past.Since, past.Opened, past.Before, past.Gap, past.Together = h.Since, h.Opened, h.Before, h.Gap, h.Together
	return past
}

// recent gives the most recent displacements kept without a gap between them.
func (h *History) recent() []Displacement {
	for i := len(h.Kept) - 1; i > 0; i-- {
		if h.Kept[i].Number != h.Kept[i-1].Number+1 {
			return h.Kept[i:]
		}
	}
	return h.Kept
}

// meet notes that a client was seen.
func (h *History) meet(p *Party, at time.Time, won bool) {
	h.Nodes = seen(h.Nodes, p.installation(), p, at, won)
	if p.Token != 0 {
		h.Tokens = seen(h.Tokens, p.holding(), p, at, won)
	}
}

// keeps reports whether the party's token was in use on several connections over some
// time: a client keeps it, rather than making one for each connection.
func (h *History) keeps(p *Party) bool {
	return slices.ContainsFunc(h.Tokens, func(n Node) bool { return n.Key == p.holding() && n.kept() })
}

// keepers counts the tokens that are kept.
func (h *History) keepers() int {
	n := 0
	for i := range h.Tokens {
		if h.Tokens[i].kept() {
			n++
		}
	}
	return n
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

// focus is the displacement that the story is judged by: of the recent ones the latest
// whose loser's reaction is known, or the latest.
func (h *History) focus() *Displacement {
	recent := h.recent()
	for i := len(recent) - 1; i >= 0; i-- {
		if recent[i].Afterlife != nil {
			return &recent[i]
		}
	}
	if len(recent) == 0 {
		return nil
	}
	return &recent[len(recent)-1]
}

// unobserved is the afterlife of a connection of which no word came.
func unobserved() Afterlife {
	return Afterlife{
		Afterlife: device.Afterlife{Kind: device.AfterlifeSilent, After: afterlifeWithin}, Unobserved: true,
	}
}
