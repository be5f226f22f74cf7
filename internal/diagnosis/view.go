package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// view is a story seen from the displacement in question: what the rules look at.
// Each finder gives what it observed, or "" if its signal is absent.
type view struct {
	story  *History
	recent []Displacement // of story.Kept
	d      *Displacement  // of recent
}

// last gives the most recent recent displacement that is so, or nil.
func (v view) last(so func(*Displacement) bool) *Displacement {
	for i := len(v.recent) - 1; i >= 0; i-- {
		if so(&v.recent[i]) {
			return &v.recent[i]
		}
	}
	return nil
}

// at gives the time of the most recent recent displacement that is so, or of the story's
// last one.
func (v view) at(so func(*Displacement) bool) time.Time {
	if d := v.last(so); d != nil {
		return d.At
	}
	return v.story.Last
}

func (v view) returnEdge() (string, time.Time) {
	var in []string
	for _, g := range groups() {
		for _, dim := range g.list() {
			if n := v.story.Returns[dim]; n > 0 {
				in = append(in, fmt.Sprintf("%s (%s)", dim, times(n)))
			}
		}
	}
	if len(in) == 0 {
		return "", time.Time{}
	}
	return "a client that had been displaced came back with its own " + join(in) + " and displaced the other",
		v.at(func(d *Displacement) bool { return d.Returns.groups() > 0 })
}

func (v view) independent() (string, time.Time) {
	if v.story.Twofold == 0 {
		return "", time.Time{}
	}
	twofold := func(d *Displacement) bool { return d.Returns.groups() >= 2 }
	what := "two independent respects"
	if d := v.last(twofold); d != nil {
		var in []string
		for _, dim := range d.Returns.list() {
			if slices.ContainsFunc(groups(), func(g Dims) bool { return g.has(dim) }) {
				in = append(in, dim.String())
			}
		}
		what = join(in)
	}
	return "the clients that alternate differ in " + what + " at once, " + times(v.story.Twofold), v.at(twofold)
}

// alive counts the recent displacements by what they showed of the losers.
func (v view) alive() (prompt, gone int) {
	for i := range v.recent {
		switch v.recent[i].reaction() {
		case reactionPrompt:
			prompt++
		case reactionSilent, reactionReset:
			gone++
		case reactionPending, reactionUnknown, reactionLate:
		}
	}
	return prompt, gone
}

func (v view) bothAlive() (string, time.Time) {
	prompt, gone := v.alive()
	if prompt < 2 || prompt <= gone {
		return "", time.Time{}
	}
	return fmt.Sprintf("%d of the last %d displaced connections answered at once when they were told", prompt, len(v.recent)), v.at(isPrompt)
}

func (v view) losersGone() (string, time.Time) {
	prompt, gone := v.alive()
	if gone == 0 || gone < prompt {
		return "", time.Time{}
	}
	return fmt.Sprintf("%d of the last %d displaced connections were silent or reset", gone, len(v.recent)),
		v.at(func(d *Displacement) bool { r := d.reaction(); return r == reactionSilent || r == reactionReset })
}

func isPrompt(d *Displacement) bool { return d.reaction() == reactionPrompt }

// dialsBack looks for the longest run of displacements of live connections, each by a
// client that set out at once after the one before.
func (v view) dialsBack() (string, time.Time) {
	longest, run := 0, 0
	var slowest, slow time.Duration
	var at time.Time
	for i := 1; i < len(v.recent); i++ {
		before, d := &v.recent[i-1], &v.recent[i]
		if !isPrompt(before) || !isPrompt(d) || before.meant() || !d.answers(before) {
			run, slow = 0, 0
			continue
		}
		slow = max(slow, d.Winner.dialled().Sub(before.At))
		if run++; run >= longest {
			longest, slowest, at = run, slow, d.At
		}
	}
	if longest < returnsAtLeast {
		return "", time.Time{}
	}
	return fmt.Sprintf("%d times in a row a live connection was displaced by one that set out within %s of the displacement before",
		longest, span(max(slowest, time.Millisecond))), at
}

func (v view) setupReturns() (string, time.Time) {
	setup := software() | dims(DimKey, DimThumbprint, DimTransport)
	var in []string
	for _, dim := range setup.list() {
		if n := v.story.Returns[dim]; n > 0 {
			in = append(in, fmt.Sprintf("%s (%s)", dim, times(n)))
		}
	}
	if len(in) == 0 {
		return "", time.Time{}
	}
	return "what comes back after it had been displaced differs in " + join(in),
		v.at(func(d *Displacement) bool { return d.Returns&setup != 0 })
}

func (v view) openedTogether() (string, time.Time) {
	if !v.story.Together || len(v.unmeant()) == 0 {
		return "", time.Time{}
	}
	when := "before the first one stood"
	if v.story.Gap >= 0 {
		when = span(v.story.Gap) + " after the first one stood"
	}
	return "the second connection, of the same software and address, set out " + when, v.story.Since
}

func (v view) addressReturns() (string, time.Time) {
	n := v.story.Returns[DimAddress]
	if n == 0 {
		return "", time.Time{}
	}
	return "the newcomer came from an address that had been displaced before, " + times(n),
		v.at(func(d *Displacement) bool { return d.Returns.has(DimAddress) })
}

// meant reports whether a displacement looks like one that its client intended.
func (d *Displacement) meant() bool { return d.farewell() || d.renewed() && d.due() }

// unmeant gives the recent displacements whose loser was live and, as far as one can see,
// not left by its client on purpose.
func (v view) unmeant() []*Displacement {
	var list []*Displacement
	for i := range v.recent {
		if d := &v.recent[i]; isPrompt(d) && !d.meant() {
			list = append(list, d)
		}
	}
	return list
}

// prevail gives the displacements that are so, unless more of the list are not: one
// client of a duel may displace its own connection now and then.
func prevail(list []*Displacement, so func(*Displacement) bool) []*Displacement {
	are := slices.DeleteFunc(slices.Clone(list), func(d *Displacement) bool { return !so(d) })
	if len(are) < len(list)-len(are) {
		return nil
	}
	return are
}

func (v view) sharedLineage() (string, time.Time) {
	list := prevail(v.unmeant(), (*Displacement).sameProcess)
	if len(list) == 0 {
		return "", time.Time{}
	}
	return "a connection whose TLS session descends from the other's displaced it while it was live", list[len(list)-1].At
}

func (v view) tokenTwice() (string, time.Time) {
	list := prevail(v.unmeant(), func(d *Displacement) bool { return d.sameToken() && d.sameAddress() && v.story.keeps(&d.Loser) })
	for i := len(list) - 1; i > 0; i-- {
		if list[i].At.Sub(list[i-1].At) <= repeatedWithin {
			return "live connections from one address displaced each other with the very same token", list[i].At
		}
	}
	return "", time.Time{}
}

func (v view) twinTokens() (string, time.Time) {
	list := prevail(v.unmeant(), func(d *Displacement) bool {
		return d.Differ.has(DimToken) && d.sameAddress() && d.sameSoftware() &&
			d.Winner.Expires.Sub(d.Loser.Expires).Abs() <= twinTokens &&
			(v.story.keeps(&d.Loser) || v.story.keeps(&d.Winner))
	})
	if len(list) < 2 {
		return "", time.Time{}
	}
	return "live connections of one software and address displaced each other with tokens that end in the same moment",
		list[len(list)-1].At
}

func (v view) silent() (string, time.Time) {
	if v.d.reaction() != reactionSilent {
		return "", time.Time{}
	}
	return "nothing came from the displaced connection in " + span(v.d.Afterlife.After), v.d.At
}

func (v view) reset() (string, time.Time) {
	if v.d.reaction() != reactionReset {
		return "", time.Time{}
	}
	return "the displaced connection was reset by its peer after " + span(v.d.Afterlife.After), v.d.At
}

func (v view) late() (string, time.Time) {
	if v.d.reaction() != reactionLate {
		return "", time.Time{}
	}
	if v.d.Afterlife.Kind == device.AfterlifeSilent {
		return "the displaced links were not answered for in " + span(v.d.Afterlife.After) + ", though their connection is live", v.d.At
	}
	return "the displaced connection answered only after " + span(v.d.Afterlife.After) + ", or over a connection that had stalled", v.d.At
}

func (v view) unobserved() (string, time.Time) {
	if v.d.reaction() != reactionUnknown {
		return "", time.Time{}
	}
	return "the displaced connection was not watched to the end", v.d.At
}

func (v view) liveLoser() (string, time.Time) {
	if v.d.reaction() != reactionPrompt {
		return "", time.Time{}
	}
	if v.d.Loser.amqp() {
		return "the hub's detach was answered within " + span(v.d.Afterlife.After), v.d.At
	}
	return "the displaced connection answered the hub's close within " + span(v.d.Afterlife.After), v.d.At
}

func (v view) farewell() (string, time.Time) {
	if !v.d.farewell() {
		return "", time.Time{}
	}
	return "the displaced connection said its protocol's goodbye", v.d.At
}

func (v view) tcpStalled() (string, time.Time) {
	if !v.d.stalled() {
		return "", time.Time{}
	}
	t := v.d.Loser.TCP
	return fmt.Sprintf("%d segments were not acknowledged, %d time-outs in a row, the last acknowledgement %s before",
		t.Unacked, t.Retransmits, span(t.LastAckRecv)), v.d.At
}

func (v view) quiet() (string, time.Time) {
	if !v.d.quiet() || v.d.reaction() == reactionPrompt {
		return "", time.Time{}
	}
	text := "nothing had come from it for " + span(v.d.silence())
	if v.d.Loser.KeepAlive > 0 && !v.d.Loser.amqp() {
		text += ", its keep-alive being " + span(v.d.Loser.KeepAlive)
	}
	return text, v.d.At
}

// gone reports whether the loser's reaction is known and was not that of a live client.
func (v view) gone() bool {
	r := v.d.reaction()
	return r != reactionPrompt && r != reactionPending
}

func (v view) dropped() (string, time.Time) {
	if !v.d.sameProcess() || v.d.reaction() != reactionReset {
		return "", time.Time{}
	}
	return "the new connection resumed the old one's TLS session, and the old one was reset", v.d.At
}

func (v view) processKept() (string, time.Time) {
	if !v.d.sameProcess() || !v.gone() {
		return "", time.Time{}
	}
	return "the new connection resumed the TLS session of the old one", v.d.At
}

func (v view) sameClient() (string, time.Time) {
	switch {
	case v.d.sameToken():
		return "both connections sent the same token", v.d.At
	case v.d.sameProcess():
		return "both connections' TLS sessions are of one descent", v.d.At
	}
	return "", time.Time{}
}

func (v view) newStart() (string, time.Time) {
	d := v.d
	fresh := d.Differ.has(DimToken) || d.Differ.has(DimLineage)
	if !fresh || d.sameProcess() || d.sameToken() || !d.sameAddress() || !d.sameSoftware() || !v.gone() {
		return "", time.Time{}
	}
	return "the same software came from the same address with nothing of the old token and TLS session", d.At
}

func (v view) sameSoftware() (string, time.Time) {
	if !v.d.sameSoftware() {
		return "", time.Time{}
	}
	switch {
	case v.d.Loser.ClientType == "" || v.d.Winner.ClientType == "":
		return "as far as both sides show it, their software is the same", v.d.At
	case v.d.Loser.amqp() != v.d.Winner.amqp():
		return "both sides name the same software; over two protocols no more of it can be compared", v.d.At
	}
	return "client type, TLS hello and keep-alive are the same on both sides", v.d.At
}

func (v view) newSoftware() (string, time.Time) {
	if v.d.sameSoftware() {
		return "", time.Time{}
	}
	var in []string
	for _, dim := range (v.d.Differ & software()).list() {
		in = append(in, dim.String())
	}
	return "the newcomer differs in " + join(in), v.d.At
}

func (v view) newCredential() (string, time.Time) {
	if !v.d.Differ.has(DimKey) && !v.d.Differ.has(DimThumbprint) {
		return "", time.Time{}
	}
	return "the newcomer used the " + credentialText(&v.d.Winner) + ", the other the " + credentialText(&v.d.Loser), v.d.At
}

func (v view) moved() (string, time.Time) {
	if !v.d.Differ.has(DimAddress) || !v.gone() {
		return "", time.Time{}
	}
	return fmt.Sprintf("the address changed from %s to %s", v.d.Loser.address(), v.d.Winner.address()), v.d.At
}

func (v view) elsewhere() (string, time.Time) {
	if !v.d.Differ.has(DimAddress) || v.d.reaction() != reactionPrompt {
		return "", time.Time{}
	}
	return fmt.Sprintf("the connection from %s was live when one from %s displaced it", v.d.Loser.address(), v.d.Winner.address()), v.d.At
}

func (v view) sameAddress() (string, time.Time) {
	if !v.d.sameAddress() {
		return "", time.Time{}
	}
	return fmt.Sprintf("both connections came from %s", v.d.Winner.address()), v.d.At
}

func (v view) renewed() (string, time.Time) {
	if !v.d.renewed() {
		return "", time.Time{}
	}
	return "the new token ends " + span(v.d.Winner.Expires.Sub(v.d.Loser.Expires)) + " later than the old one", v.d.At
}

func (v view) renewalDue() (string, time.Time) {
	if !v.d.renewed() || !v.d.due() {
		return "", time.Time{}
	}
	return fmt.Sprintf("the old connection was %s old, and its token ended %s after the new one came",
		span(v.d.At.Sub(v.d.Loser.Opened)), span(v.d.Loser.Expires.Sub(v.d.At))), v.d.At
}

func (v view) followedSoon() (string, time.Time) {
	for _, n := range []uint64{v.d.Number - 1, v.d.Number + 1} {
		if o := v.story.find(n); o != nil && o.At.Sub(v.d.At).Abs() <= followedWithin {
			return "another displacement came within " + span(o.At.Sub(v.d.At).Abs()), v.d.At
		}
	}
	return "", time.Time{}
}

func (v view) preceded() (string, time.Time) {
	if v.d.Before == nil {
		return "", time.Time{}
	}
	return v.d.Before.text(v.d.At), v.d.Before.At
}

// missing names what the ledger lacks.
func (v view) missing() []string {
	list := []string{}
	add := func(absent bool, what string) {
		if absent && !slices.Contains(list, what) {
			list = append(list, what)
		}
	}
	d := v.d
	newest := &v.recent[len(v.recent)-1]
	add(newest.Afterlife == nil, "how the displaced connection reacts: that is known within six seconds")
	add(d.reaction() == reactionUnknown, "how the displaced connection reacted: it was not watched to the end")
	add(d.Loser.ClientType == "", "client type string of the older client")
	add(d.Winner.ClientType == "", "client type string of the newer client")
	add(d.Loser.Token != 0 && d.Winner.Token != 0 && d.Loser.TLS.Lineage == 0, "TLS session lineage of the older client")
	add(!d.Loser.TCP.Known(), "the kernel's view of the older connection")
	add(d.Loser.amqp() != d.Winner.amqp(), "how the software of both sides compares in detail: they speak different protocols")
	add(v.story.More || v.story.Count > uint64(len(v.story.Kept)), "the details of the displacements between the first and the most recent ones: only counts are kept of them")
	return list
}

// times says how often.
func times(n uint64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// join lists words as a sentence does.
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// span is a duration as a person says it.
func span(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	case d < 2*time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", d.Round(time.Hour)/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
