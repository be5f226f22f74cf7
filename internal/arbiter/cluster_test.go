package arbiter

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	simNodes = 3
	simLease = 10 * time.Second
)

// cluster is several nodes, one identity, and the store between them. What the store
// does is the cluster engine's contract, in its plainest form: a claim raises the
// identity's epoch at once and is complete when every node that may have a session
// of a lesser epoch said that it has none, or its lease has ended.
type cluster struct {
	now   time.Time
	nodes [simNodes]*node
	mail  []letter // under way; delivered in any order, twice, or never
	claim []*claim // granted by the store, not complete
	live  []*claim // complete or not, and not known to be over
	lease map[*node]time.Time
	last  uint64
	top   [2]*claim // the greatest claim, and the greatest of any other node than its
	sessions
	journal
}

// node is one run of one node; a restart makes another.
type node struct {
	name   string
	state  State
	offset time.Duration // its monotonic clock began at another time
	asleep bool
}

func (n *node) clock(w *cluster) time.Time { return w.now.Add(n.offset) }

// claim is one newcomer's.
type claim struct {
	epoch Epoch
	node  *node
	words map[*node]bool // nodes that said that they have no lesser session
}

// letter is what one node or the store tells another.
type letter struct {
	to     *node
	events []Event // for a node's arbiter
	claim  *claim  // with Seen: who wants to hear that it has been performed
	sure   bool    // an answer on a connection that stands: it may be late, but not lost
}

func newCluster(t *rapid.T) *cluster {
	w := &cluster{
		now:   time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		lease: make(map[*node]time.Time), sessions: make(sessions),
	}
	for i := range w.nodes {
		w.boot(t, i)
	}
	return w
}

func (w *cluster) boot(t *rapid.T, i int) {
	n := &node{name: string(rune('a' + i)), offset: time.Duration(rapid.IntRange(0, 1000).Draw(t, "clock")) * time.Hour}
	w.nodes[i] = n
	w.lease[n] = w.now.Add(simLease)
}

// TestSimCluster plays random events against several nodes: messages are delayed,
// lost, doubled and reordered, nodes sleep, restart and are cut off.
func TestSimCluster(t *testing.T) {
	simulate(t, func(t *rapid.T) int {
		w := newCluster(t)
		const steps = 400
		for range steps {
			w.play(t)
			w.check(t)
		}
		w.settle(t)
		return steps
	})
}

func (w *cluster) play(t *rapid.T) {
	n := w.nodes[rapid.IntRange(0, simNodes-1).Draw(t, "node")]
	switch rapid.IntRange(0, 13).Draw(t, "event") {
	case 0, 1:
		if !n.asleep {
			w.begin(t, n)
		}
	case 2, 3, 4, 5:
		if len(w.mail) > 0 {
			w.deliver(t, rapid.IntRange(0, len(w.mail)-1).Draw(t, "letter"))
		}
	case 6:
		if len(w.mail) > 0 {
			if i := rapid.IntRange(0, len(w.mail)-1).Draw(t, "lost"); !w.mail[i].sure {
				w.lose(i)
			}
		}
	case 7:
		w.complete(t)
	case 8:
		w.pass(t, time.Duration(rapid.IntRange(1, 15).Draw(t, "seconds"))*time.Second)
	case 9, 10:
		if !n.asleep {
			w.renew(n)
		}
	case 11:
		if !n.asleep {
			w.goodbye(t, n)
		}
	case 12:
		n.asleep = !n.asleep
	case 13:
		w.rare(t, n)
	}
}

func (w *cluster) rare(t *rapid.T, n *node) {
	switch rapid.IntRange(0, 3).Draw(t, "rare") {
	case 0:
		w.crash(n)
		w.boot(t, slices.Index(w.nodes[:], n))
	case 1, 2:
		if !n.asleep {
			w.step(t, n, Revoke{Cause(rapid.IntRange(int(Expired), int(Stopped)).Draw(t, "cause"))})
		}
	case 3:
		if len(w.mail) > 0 {
			if l := w.mail[rapid.IntRange(0, len(w.mail)-1).Draw(t, "doubled")]; !l.sure {
				w.mail = append(w.mail, l)
			}
		}
	}
}

// begin grants an epoch at the store and tells the nodes that may hold a lesser one.
func (w *cluster) begin(t *rapid.T, n *node) {
	w.last++
	c := &claim{epoch: Epoch{Counter: w.last}, node: n, words: make(map[*node]bool)}
	w.sessions[c.epoch] = &fate{}
	w.claim, w.live = append(w.claim, c), append(w.live, c)
	if w.top[0] != nil && w.top[0].node != n {
		w.top[1] = w.top[0]
	}
	w.top[0] = c
	w.tell(c)
	w.complete(t)
}

// tell sends what c's predecessors must hear. It is repeated until they answer.
func (w *cluster) tell(c *claim) {
	for _, old := range w.live {
		if old.epoch.Less(c.epoch) && old.node != c.node && !c.words[old.node] {
			w.mail = append(w.mail, letter{to: old.node, events: []Event{Seen{c.epoch, c.node.name}}, claim: c})
		}
	}
}

// deliver hands over one letter. Whoever sleeps does not get it yet.
func (w *cluster) deliver(t *rapid.T, i int) {
	l := w.mail[i]
	crashed := !slices.Contains(w.nodes[:], l.to)
	if l.to.asleep && !crashed {
		return
	}
	w.lose(i)
	if crashed {
		return
	}
	for _, ev := range l.events {
		w.step(t, l.to, ev)
	}
	if l.claim != nil {
		l.claim.words[l.to] = true
	}
}

func (w *cluster) lose(i int) { w.mail = slices.Delete(w.mail, i, i+1) }

// complete tells the nodes of the claims that need not wait any more.
func (w *cluster) complete(t *rapid.T) {
	for _, c := range slices.Clone(w.claim) {
		winner := w.overtaker(c)
		if winner == nil && !w.clear(c) {
			continue
		}
		w.claim = slices.DeleteFunc(w.claim, func(o *claim) bool { return o == c })
		l := letter{to: c.node, sure: true}
		if winner != nil {
			l.events = append(l.events, Seen{winner.epoch, winner.node.name})
		}
		answer := Claim{Epoch: c.epoch, Until: c.node.clock(w).Add(simLease)}
		if w.online && w.epoch.Less(c.epoch) {
			answer.After = w.epoch
		}
		w.lease[c.node] = w.now.Add(simLease) // the answer renews it
		l.events = append(l.events, answer)
		w.mail = append(w.mail, l)
		if rapid.Bool().Draw(t, "at once") {
			w.deliver(t, len(w.mail)-1)
		}
	}
}

// overtaker gives another node's claim that came after c, nil if none.
func (w *cluster) overtaker(c *claim) *claim {
	if top := w.top; top[0] != nil && c.epoch.Less(top[0].epoch) && top[0].node != c.node {
		return top[0]
	} else if top[1] != nil && c.epoch.Less(top[1].epoch) && top[1].node != c.node {
		return top[1]
	}
	return nil
}

// clear reports whether nobody else can act for an epoch less than c's.
func (w *cluster) clear(c *claim) bool {
	for _, old := range w.live {
		if old.epoch.Less(c.epoch) && old.node != c.node && !c.words[old.node] && w.now.Before(w.lease[old.node]) {
			return false
		}
	}
	return true
}

// renew extends a node's lease at the store; the answer may be late or lost. It says
// what the node has missed, though the newcomer may have crashed since.
func (w *cluster) renew(n *node) {
	w.lease[n] = w.now.Add(simLease)
	if top := w.top[0]; top != nil && top.node != n && n.state.Held().Less(top.epoch) {
		w.mail = append(w.mail, letter{to: n, events: []Event{Seen{top.epoch, top.node.name}}})
	}
	w.mail = append(w.mail, letter{to: n, events: []Event{Alive{n.state.Held(), n.clock(w).Add(simLease)}}})
}

// goodbye ends the session that a node holds, by itself.
func (w *cluster) goodbye(t *rapid.T, n *node) {
	e := n.state.Held()
	if f := w.sessions[e]; f != nil && !f.over() && n.state.Holds(e, n.clock(w)) {
		f.released = true
		w.step(t, n, Release{e})
	}
	// And an old one of the same node once more.
	if w.last > 0 {
		w.step(t, n, stale(Epoch{Counter: uint64(rapid.IntRange(1, int(w.last)).Draw(t, "old"))}, n.state.Held()))
	}
}

// stale is a goodbye of e, unless e holds.
func stale(e, held Epoch) Event {
	if e == held {
		return Tick{}
	}
	return Release{e}
}

func (w *cluster) crash(n *node) {
	for _, c := range w.live {
		if f := w.sessions[c.epoch]; c.node == n && !f.over() {
			f.crashed = true
		}
	}
	w.claim = slices.DeleteFunc(w.claim, func(c *claim) bool { return c.node == n })
}

// pass lets time go by. Whoever is awake notices.
func (w *cluster) pass(t *rapid.T, d time.Duration) {
	w.now = w.now.Add(d)
	for _, n := range w.nodes {
		if !n.asleep && rapid.Bool().Draw(t, "tick") {
			w.step(t, n, Tick{})
		}
	}
}

func (w *cluster) step(t *rapid.T, n *node, ev Event) {
	w.perform(t, &w.journal, n.state.Step(n.clock(w), ev))
	w.live = slices.DeleteFunc(w.live, func(c *claim) bool { f := w.sessions[c.epoch]; return f.fenced || f.released })
}

// check is property 1 across nodes: at no moment do two nodes believe that their
// session may act, whatever they have not heard yet.
func (w *cluster) check(t *rapid.T) {
	var holders []Epoch
	for _, n := range w.nodes {
		if e := n.state.Held(); n.state.Holds(e, n.clock(w)) {
			holders = append(holders, e)
		}
	}
	if len(holders) > 1 {
		t.Fatalf("two nodes hold at once: %v", holders)
	}
}

// settle wakes everybody, lets every message arrive, and checks property 4.
func (w *cluster) settle(t *rapid.T) {
	for _, n := range w.nodes {
		n.asleep = false
	}
	for round := 0; len(w.mail)+len(w.claim) > 0; round++ {
		if round > 4*simNodes {
			t.Fatalf("still %d letters and %d claims under way", len(w.mail), len(w.claim))
		}
		for len(w.mail) > 0 {
			w.deliver(t, 0)
			w.check(t)
		}
		w.complete(t)
		w.check(t)
		for _, c := range w.claim {
			w.tell(c)
		}
		if len(w.claim) > 0 {
			// Only a node that crashed is waited for by now.
			w.now = w.now.Add(simLease)
			for _, n := range w.nodes {
				w.step(t, n, Tick{})
			}
		}
	}
	for _, n := range w.nodes {
		w.step(t, n, Tick{})
		w.renew(n)
	}
	for len(w.mail) > 0 {
		w.deliver(t, 0)
		w.check(t)
	}
	top := w.greatest()
	for e, f := range w.sessions {
		if e != top && !f.over() {
			t.Fatalf("%v does not know that it ended", e)
		}
		if e == top && !f.over() && !f.granted {
			t.Fatalf("%v is the greatest epoch and was never granted", e)
		}
		if e == top && !f.over() && (w.epoch != e || !w.online) {
			t.Fatalf("%v holds, but %v stands online=%v", e, w.epoch, w.online)
		}
	}
}
