package arbiter

import (
	"os"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// simSteps is how many events a simulation plays: BERTH_SIM_STEPS, or what a normal
// test run affords.
func simSteps(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("BERTH_SIM_STEPS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("BERTH_SIM_STEPS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return 10_000
	}
	return 120_000
}

// simulate calls run, which plays one program and says how many steps it took, with
// fresh randomness until enough steps were played.
func simulate(t *testing.T, run func(*rapid.T) int) {
	t.Helper()
	played, want := 0, simSteps(t)
	for played < want && !t.Failed() {
		rapid.Check(t, func(rt *rapid.T) { played += run(rt) })
	}
	t.Logf("%d steps", played)
}

// journal is the announcements as the world sees them: what a store accepts that keeps
// the epoch of the last one with it.
type journal struct {
	epoch  Epoch
	online bool
}

// announce takes one announcement; stale ones are refused silently, as Announce says.
func (j *journal) announce(t *rapid.T, a Announce) {
	switch {
	case a.Online && !j.epoch.Less(a.Epoch):
		t.Fatalf("online with epoch %v after %v", a.Epoch, j.epoch)
	case a.Online && j.online && j.epoch.Generation == a.Epoch.Generation:
		t.Fatalf("online with %v while %v stands online", a.Epoch, j.epoch)
	case a.Online:
		j.epoch, j.online = a.Epoch, true
	case a.Epoch == j.epoch:
		j.online = false
	}
}

// fate is what became of one session.
type fate struct {
	granted  bool
	fenced   bool
	released bool // it ended by itself
	crashed  bool // its node did
	cause    Cause
	by       Epoch
}

func (f *fate) over() bool { return f.fenced || f.released || f.crashed }

// sessions is everything that ever claimed one identity.
type sessions map[Epoch]*fate

// perform notes what the actions of one node do, and checks what must hold of them at
// once: nobody is granted twice or after his end, every fence falls once and has its
// cause.
func (ss sessions) perform(t *rapid.T, j *journal, actions []Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case Grant:
			f := ss[a.Epoch]
			if f == nil || f.granted || f.over() {
				t.Fatalf("grant of %v, which is %+v", a.Epoch, f)
			}
			f.granted = true
		case Fence:
			f := ss[a.Epoch]
			if f == nil || f.over() {
				t.Fatalf("fence of %v, which is %+v", a.Epoch, f)
			}
			if a.Cause == 0 || (a.Cause == TakenOver) != a.Epoch.Less(a.By) {
				t.Fatalf("fence %+v does not say who took over", a)
			}
			f.fenced, f.cause, f.by = true, a.Cause, a.By
		case Announce:
			j.announce(t, a)
		case Arm:
		}
	}
}

// unfenced counts the granted sessions that may still act.
func (ss sessions) unfenced() (n int) {
	for _, f := range ss {
		if f.granted && !f.over() {
			n++
		}
	}
	return n
}

// greatest gives the greatest epoch that ever claimed.
func (ss sessions) greatest() (e Epoch) {
	for have := range ss {
		if e.Less(have) {
			e = have
		}
	}
	return e
}

// TestSimOneNode plays random events against one node that restarts now and then, with
// claims that reach the arbiter out of order.
func TestSimOneNode(t *testing.T) {
	simulate(t, func(t *rapid.T) int {
		w := &oneNode{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), next: Epoch{1, 0}, sessions: make(sessions)}
		const steps = 500
		for range steps {
			w.play(t)
			w.check(t)
		}
		for len(w.late) > 0 {
			w.deliver(t, 0)
			w.check(t)
		}
		w.settled(t)
		return steps
	})
}

// oneNode is one node and one identity.
type oneNode struct {
	state State
	now   time.Time
	next  Epoch
	late  []Epoch // granted by the store, not yet told to the arbiter
	sessions
	journal
}

func (w *oneNode) play(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "pass time") == 0 {
		w.now = w.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
	}
	switch rapid.IntRange(0, 8).Draw(t, "event") {
	case 0, 1, 2:
		w.next.Counter++
		w.sessions[w.next] = &fate{}
		w.late = append(w.late, w.next)
	case 3, 4:
		if len(w.late) > 0 {
			w.deliver(t, rapid.IntRange(0, len(w.late)-1).Draw(t, "which claim"))
		}
	case 5:
		// A session says goodbye, and perhaps once more, or long after its end.
		e := Epoch{w.next.Generation, uint64(rapid.IntRange(0, int(w.next.Counter)).Draw(t, "who"))}
		if f := w.sessions[e]; f != nil && f.granted {
			f.released = f.released || w.state.Holds(e, w.now)
			w.step(t, Release{e})
		}
	case 6:
		w.step(t, Alive{w.state.Held(), w.now.Add(time.Duration(rapid.IntRange(-5, 30).Draw(t, "lease")) * time.Second)})
	case 7:
		w.step(t, Tick{})
	case 8:
		if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
			w.restart()
			return
		}
		w.step(t, Revoke{Cause(rapid.IntRange(int(Expired), int(Stopped)).Draw(t, "cause"))})
	}
}

// restart is a crash: the sessions are gone, and the store begins a new generation. A
// record of an earlier generation reads offline, so nobody announces that.
func (w *oneNode) restart() {
	for _, f := range w.sessions {
		if !f.over() {
			f.crashed = true
		}
	}
	w.state, w.late = State{}, nil
	w.next = Epoch{w.next.Generation + 1, 0}
}

func (w *oneNode) deliver(t *rapid.T, i int) {
	e := w.late[i]
	w.late = append(w.late[:i:i], w.late[i+1:]...)
	w.step(t, Claim{Epoch: e})
}

func (w *oneNode) step(t *rapid.T, ev Event) { w.perform(t, &w.journal, w.state.Step(w.now, ev)) }

// check is properties 1 to 3: at most one holder, and it is the one that the world
// sees online.
func (w *oneNode) check(t *rapid.T) {
	if n := w.unfenced(); n > 1 {
		t.Fatalf("%d sessions may act", n)
	}
	for e, f := range w.sessions {
		live := f.granted && !f.over()
		if live != (w.state.Held() == e) {
			t.Fatalf("%v: live %v, but the arbiter holds %v", e, live, w.state.Held())
		}
		if live && (w.epoch != e || !w.online) {
			t.Fatalf("%v holds, but %v stands online=%v", e, w.epoch, w.online)
		}
	}
	if w.online && w.state.Held().IsZero() && w.epoch.Generation == w.next.Generation {
		t.Fatalf("%v stands online, but nobody holds", w.epoch)
	}
}

// settled is property 4 for one node: events have stopped.
func (w *oneNode) settled(t *rapid.T) {
	top := w.greatest()
	for e, f := range w.sessions {
		if e != top && !f.over() {
			t.Fatalf("%v does not know that it ended", e)
		}
		if e == top && !f.over() && !f.granted {
			t.Fatalf("%v is the greatest epoch and was never granted", e)
		}
	}
}
