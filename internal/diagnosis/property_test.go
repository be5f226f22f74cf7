package diagnosis

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
)

// drawStory draws displacements among a few clients.
func drawStory(t *rapid.T, most int) []Displacement {
	actors := make([]actor, rapid.IntRange(1, 4).Draw(t, "actors"))
	for i := range actors {
		actors[i] = actor{
			token: rapid.Uint64Range(0, 3).Draw(t, "token"), expires: time.Duration(rapid.IntRange(1, 4000).Draw(t, "expires")) * time.Second,
			slot: rapid.SampledFrom([]string{"primary", "secondary"}).Draw(t, "slot"),
			addr: rapid.SampledFrom([]string{home, office}).Draw(t, "addr"), kind: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "kind"),
			hello: rapid.Uint64Range(0, 2).Draw(t, "hello"), lineage: rapid.Uint64Range(0, 3).Draw(t, "lineage"),
			keep: time.Duration(rapid.IntRange(0, 2).Draw(t, "keep")) * time.Minute,
		}
	}
	s := begin(actors[0])
	at := time.Duration(0)
	for range rapid.IntRange(1, most).Draw(t, "displacements") {
		at += time.Duration(rapid.IntRange(1, 3600).Draw(t, "gap")) * time.Second
		var a *Afterlife
		if rapid.Bool().Draw(t, "settled") {
			a = life(device.AfterlifeKind(rapid.IntRange(1, 4).Draw(t, "kind")), time.Duration(rapid.IntRange(0, 5000).Draw(t, "after"))*time.Millisecond)
			a.Farewell, a.Cut = rapid.Bool().Draw(t, "farewell"), rapid.Bool().Draw(t, "cut")
		}
		s.displace(at, rapid.SampledFrom(actors).Draw(t, "by"), a)
	}
	return s.all
}

func historyOf(all []Displacement) *History { return (&scene{all: all}).history() }

func TestTwoClientsNeedsTwoStrongSignalsAndNoSignOfOneProcess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := Classify(historyOf(drawStory(t, 12)))
		if j.Verdict != twoClients {
			return
		}
		if j.Ledger.strong(twoClients) < 2 || j.Ledger.has(SignalSharedLineage) || j.Ledger.has(SignalTokenTwice) || j.Ledger.has(SignalTwinTokens) {
			t.Fatalf("two clients without the evidence: %v", j.Ledger)
		}
	})
}

func TestMoreEvidenceForAVerdictNeverLowersIt(t *testing.T) {
	rules := Rules()
	rapid.Check(t, func(t *rapid.T) {
		var l Ledger
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(rules)-1), 0, len(rules)-1, rapid.ID).Draw(t, "ledger") {
			l = append(l, Evidence{Rule: rules[i], Observed: "x"})
		}
		more := rules[rapid.IntRange(0, len(rules)-1).Draw(t, "more")]
		if l.has(more.Signal) {
			return
		}
		for _, g := range Gates() {
			if before, after := l.confidence(&g), append(slices.Clone(l), Evidence{Rule: more, Observed: "x"}).confidence(&g); slices.Contains(more.For, g.Verdict) && after < before {
				t.Fatalf("%s lowers %s from %v to %v", more.Signal, g.Verdict, before, after)
			}
		}
	})
}

// TestNothingSpeaksForAVerdictAndShutsItsGate is what the property above rests on.
func TestNothingSpeaksForAVerdictAndShutsItsGate(t *testing.T) {
	for _, g := range Gates() {
		for _, r := range Rules() {
			if slices.Contains(r.For, g.Verdict) && (slices.Contains(g.Without, r.Signal) || slices.Contains(r.Against, g.Verdict)) {
				t.Errorf("%s speaks for and against %s", r.Signal, g.Verdict)
			}
		}
	}
}

func TestOrderOfTheLedgerDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := Classify(historyOf(drawStory(t, 8)))
		shuffled := weigh(rapid.Permutation(j.Ledger).Draw(t, "order"))
		if shuffled.Verdict != j.Verdict || shuffled.RunnerUp != j.RunnerUp || shuffled.Confidence != j.Confidence {
			t.Fatalf("got %s, want %s", shuffled.Verdict, j.Verdict)
		}
	})
}

// TestWhenTheAfterlifeIsToldDoesNotMatter: a verdict depends on what losers did, not on
// the order in which the hub heard of it.
func TestWhenTheAfterlifeIsToldDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawStory(t, 12)
		late := &History{}
		for _, d := range all {
			d.Afterlife = nil
			late.Add(d)
		}
		order := make([]int, len(all))
		for i := range order {
			order[i] = i
		}
		for _, i := range rapid.Permutation(order).Draw(t, "order") {
			if all[i].Afterlife != nil {
				late.Settle(uint64(i+1), *all[i].Afterlife)
			}
		}
		want, got := Classify(historyOf(all)), Classify(late)
		if got.Verdict != want.Verdict || got.Confidence != want.Confidence {
			t.Fatalf("got %s %v, want %s %v", got.Verdict, got.Confidence, want.Verdict, want.Confidence)
		}
	})
}

func TestAStoryIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &History{}
		n := rapid.IntRange(40, 200).Draw(t, "n")
		for i := range n {
			a := node(rapid.Uint64().Draw(t, "token"), home)
			h.Add(Displacement{At: start.Add(time.Duration(i) * time.Second), Loser: a.party(0, 0), Winner: node(uint64(i), office).party(0, 0), Afterlife: prompt()})
		}
		if h.Count != uint64(n) || len(h.Kept) > maxKept || len(h.Nodes) > maxNodes {
			t.Fatalf("%d displacements: %d kept, %d nodes", n, len(h.Kept), len(h.Nodes))
		}
		for d, b := range h.Beaten {
			if len(b) > maxBeaten {
				t.Fatalf("%s: %d values", Dimension(d), len(b))
			}
		}
	})
}

func TestDuelOfAMinuteIsOneBoundedStory(t *testing.T) {
	s := duel(node(1, home), node(9, office), 6000, 10*time.Millisecond, prompt)
	h := s.history()
	j := Classify(h)
	if j.Verdict != twoClients || h.Count != 6000 || len(h.Kept) != maxKept {
		t.Fatalf("got %s, %d displacements, %d kept", j.Verdict, h.Count, len(h.Kept))
	}
	b, err := json.Marshal(struct {
		Head *History
		Kept []Displacement
	}{h, h.Kept})
	if err != nil || len(b) > 128<<10 {
		t.Errorf("the story takes %d bytes, %v", len(b), err)
	}
}

func BenchmarkClassify(b *testing.B) {
	h := duel(node(1, home), node(9, office), 64, time.Second, prompt).history()
	b.ReportAllocs()
	for b.Loop() {
		_ = Classify(h)
	}
}

func BenchmarkAdd(b *testing.B) {
	d := duel(node(1, home), node(9, office), 2, time.Second, prompt).all
	h := &History{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Add(d[i%2])
	}
}
