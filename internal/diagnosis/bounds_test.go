package diagnosis

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// held is what the clerk keeps in memory, in entries.
type held struct {
	entries, stories, kept, nodes, tokens, beaten, changed int // of stories
	awaited, words                                         int // of losers
	restive, untold, dirty, toWrite, troubles              int
}

// hold counts it.
func (r *rig) hold() (h held) {
	r.t.Helper()
	err := r.ask(r.t.Context(), func(c *clerk) {
		h = held{
			entries: len(c.entries), stories: c.hot.Len(), awaited: len(c.await.order), words: len(c.await.spoken),
			restive: len(c.restive), untold: len(c.untold), dirty: len(c.dirty), toWrite: len(c.behind.waiting) + len(c.behind.flying),
			troubles: len(c.ends.latest) + len(c.refused.latest),
		}
		for el := c.hot.Front(); el != nil; el = el.Next() {
			s := el.Value.(*entry).hot
			h.kept += len(s.history.Kept)
			h.nodes += len(s.history.Nodes)
			h.tokens += len(s.history.Tokens)
			h.changed += len(s.changed)
			for _, b := range s.history.Beaten {
				h.beaten += len(b)
			}
		}
		if h.kept != c.kept {
			r.t.Errorf("%d displacements are in memory, and counted as %d", h.kept, c.kept)
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// TestDuelOfAMinuteGrowsOneStory: 100 displacements a second for a minute, each by a
// client never seen before, hold no more than one story whole, whether it becomes known
// what the losers did or not, and whether the store takes what is written or not.
func TestDuelOfAMinuteGrowsOneStory(t *testing.T) {
	const perSecond = 100
	for name, c := range map[string]struct{ told, full bool }{
		"told": {true, false}, "untold": {false, false}, "told, full store": {true, true}, "untold, full store": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := storetest.New()
				r := newRig(t, engine)
				if c.full {
					engine.Fail(refuseWrites)
				}
				for i := range 60 * perSecond {
					a := node(uint64(i), []string{home, office}[i%2]).with(func(a *actor) { a.lineage, a.hello = uint64(3*i+1), uint64(5*i+1) })
					if loser := r.connect(dev1, a); c.told {
						r.word(dev1, loser, prompt())
					}
					time.Sleep(time.Second / perSecond)
					if i%perSecond != perSecond-1 {
						continue
					}
					h := r.hold()
					awaited := int(afterlifeWithin/time.Second+1) * perSecond
					if h.entries != 1 || h.stories != 1 || h.kept > maxKept || h.nodes > maxNodes || h.tokens > maxNodes ||
						h.beaten > int(dimensions)*maxBeaten || h.changed > 2*perSecond || h.awaited > awaited || h.words > 0 ||
						h.restive > 1 || h.untold > 1 || h.dirty > 1 || h.toWrite > 2*(maxKept+1) || h.troubles > 0 {
						t.Fatalf("after %d displacements: %+v", i, h)
					}
				}
				engine.Fail(nil)
				if l := r.list(iot.ConflictQuery{}); len(l) != 1 || l[0].Conflicts != 60*perSecond-1 {
					t.Errorf("got %+v", l)
				}
				r.close()
			})
		})
	}
}
