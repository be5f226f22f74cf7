package diagnosis

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// Evidence is one line of the ledger.
type Evidence struct {
	Rule     Rule
	Observed string
	At       time.Time
}

// Ledger is the evidence of a story, each signal at most once, in the order of Rules.
type Ledger []Evidence

func (l Ledger) has(s Signal) bool {
	return slices.ContainsFunc(l, func(e Evidence) bool { return e.Rule.Signal == s })
}

// strong counts the strong signals for a verdict.
func (l Ledger) strong(v iot.Verdict) int {
	n := 0
	for i := range l {
		if l[i].Rule.Strength == iot.Strong && slices.Contains(l[i].Rule.For, v) {
			n++
		}
	}
	return n
}

// The weights of evidence, in tenths of the logistic function's unit (whole numbers, so
// that sums do not depend on their order), and what the confidence is made with: see
// Ledger.confidence and docs/diagnosis.md.
const (
	weightStrong   = 30
	weightModerate = 12
	weightWeak     = 4
	// doubt is what must be outweighed: a verdict whose evidence weighs as much is
	// believed by half.
	doubt = 20
	// Abstain is the confidence below which no verdict is given.
	Abstain = 0.55
	// Doubtful is the most that is believed of a verdict that lacks what would tell it from
	// its rival.
	Doubtful = 0.7
	// shut is the most that is believed of a verdict whose gate is not met.
	shut = 0.45
)

func weight(s iot.Strength) int {
	switch s {
	case iot.Strong:
		return weightStrong
	case iot.Moderate:
		return weightModerate
	case iot.Weak:
		return weightWeak
	}
	return 0
}

// score is the weight of what speaks for a verdict, less what speaks against it.
func (l Ledger) score(v iot.Verdict) int {
	sum := 0
	for i := range l {
		r := &l[i].Rule
		if slices.Contains(r.For, v) {
			sum += weight(r.Strength)
		}
		if slices.Contains(r.Against, v) {
			sum -= weight(r.Strength)
		}
	}
	return sum
}

// confidence is 1 / (1 + e^((doubt - score)/10)), at most shut while the gate is not met,
// and at most Doubtful while the verdict is not sure. It depends on nothing but which
// signals are in the ledger: one more signal for the verdict never lowers it, whatever
// else that signal speaks for.
func (l Ledger) confidence(g *Gate) float64 {
	c := 1 / (1 + math.Exp(float64(doubt-l.score(g.Verdict))/10))
	switch {
	case !g.holds(l):
		return min(c, shut)
	case !g.sure(l):
		return min(c, Doubtful)
	}
	return c
}

// Judgement is what a story was.
type Judgement struct {
	Verdict    iot.Verdict
	Confidence float64 // of undecided: how little the best verdict convinces
	RunnerUp   iot.Verdict
	Second     float64 // the runner-up's confidence
	Ledger     Ledger
	Missing    []string // what would have helped
}

// Classify judges a story: the ledger is written by Rules, then weighed. It is a
// function of h alone.
func Classify(h *History) Judgement {
	if h.Count == 0 || len(h.Kept) == 0 {
		return Judgement{Verdict: iot.VerdictNone, Confidence: 1}
	}
	v := view{story: h, recent: h.recent(), d: h.focus()}
	j := weigh(v.ledger())
	j.Missing = v.missing()
	return j
}

// ledger applies every rule.
func (v view) ledger() Ledger {
	var l Ledger
	for _, r := range Rules() {
		if observed, at := r.find(v); observed != "" {
			l = append(l, Evidence{r, observed, at})
		}
	}
	return l
}

// weigh gives the verdict of a ledger.
func weigh(l Ledger) Judgement {
	type ranked struct {
		verdict    iot.Verdict
		confidence float64
		score      int
	}
	var list []ranked
	for _, g := range Gates() {
		list = append(list, ranked{g.Verdict, l.confidence(&g), l.score(g.Verdict)})
	}
	slices.SortStableFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.confidence, a.confidence), cmp.Compare(b.score, a.score))
	})
	best, second := list[0], list[1]
	if best.confidence < Abstain {
		return Judgement{
			Verdict: iot.VerdictUndecided, Confidence: 1 - best.confidence, RunnerUp: best.verdict, Second: best.confidence, Ledger: l,
		}
	}
	return Judgement{
		Verdict: best.verdict, Confidence: best.confidence, RunnerUp: second.verdict, Second: second.confidence, Ledger: l,
	}
}
