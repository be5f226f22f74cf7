package diagnosis

import (
	"cmp"
	"fmt"
	"math"
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
	gate, second := gateOf(j.Verdict), gateOf(j.RunnerUp)
	advice := gate.advice(j.Ledger)
	e := iot.Explanation{
		DeviceID: id.Device, GeneratedAt: iot.MomentOf(now), Verdict: j.Verdict, Cause: causeOf(j.Verdict),
		Confidence: rounded(j.Confidence), Summary: summary(h, j), Missing: j.Missing,
		RunnerUp: &iot.RunnerUp{Verdict: j.RunnerUp, Confidence: rounded(j.Second), WouldFlipIf: second.Flip},
		Evidence: make([]iot.Evidence, 0, len(j.Ledger)), Clients: who.clients, Conflicts: make([]iot.Conflict, 0, len(h.Kept)),
		Lost:   iot.ExplanationLoss{C2DReleased: h.Lost.Released, PublishesUnacknowledged: h.Lost.Publishes},
		Advice: iot.Advice(advice),
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
		e.Conflicts = append(e.Conflicts, conflictOf(&h.Kept[i], &who))
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

func conflictOf(d *Displacement, who *people) iot.Conflict {
	c := iot.Conflict{
		Number: d.Number, At: iot.MomentOf(d.At), Code: int(d.Code), Reason: d.Reason, Unacked: d.Lost.Publishes, Released: d.Lost.Released,
		Loser: peerOf(&d.Loser, who.letter(d, &d.Loser)), Winner: peerOf(&d.Winner, who.letter(d, &d.Winner)),
		Afterlife: "pending",
	}
	if a := d.Afterlife; a != nil {
		ms := a.After.Milliseconds()
		c.Afterlife, c.AfterlifeMS, c.Farewell, c.Unobserved = a.Kind.String(), &ms, a.Farewell, a.Unobserved || a.Cut && a.Kind == device.AfterlifeSilent
	}
	return c
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
	if h.More {
		again = fmt.Sprintf("; %d displacements and more since %s", h.Count, h.Since.UTC().Format("15:04:05"))
	}
	copies := ""
	if gate := gateOf(j.Verdict); !gate.sure(j.Ledger) {
		copies = "; or two copies of it that started at once"
	}
	switch j.Verdict {
	case twoClients:
		s = twoText(j, where, old, again)
	case openedTwice:
		s = fmt.Sprintf("One program at %s holds more than one connection for this identity, and they displace each other%s%s.", where, again, copies)
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
	switch {
	case d.Before != nil && d.Before.At.After(h.Since):
		s += " Just before the latest, this happened: " + d.Before.text(d.At) + "."
	case h.Before != nil:
		s += " It may have begun with this: " + h.Before.text(h.Since) + "."
	}
	return s
}

// twoText says who two clients are, as far as that is known.
func twoText(j *Judgement, where, old, again string) string {
	gate := gateOf(twoClients)
	switch {
	case !gate.sure(j.Ledger):
		return fmt.Sprintf("Two or more clients at %s use this identity and displace each other%s: two copies of one program, or one that opens two clients.",
			where, again)
	case where == old:
		return fmt.Sprintf("Two or more clients at %s use this identity and displace each other%s.", where, again)
	}
	return fmt.Sprintf("Two or more clients use this identity and displace each other%s: the latest came from %s and displaced one from %s.", again, where, old)
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
