package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// TestVerdictsAreCountedOnceForEachStory: an operator's alarm on two_clients must ring
// although every duel is undecided at first; the log has one line of it.
func TestVerdictsAreCountedOnceForEachStory(t *testing.T) {
	quiet := iot.Identity{Device: "quiet"}
	for name, c := range map[string]struct {
		plot     func(r *rig)
		verdicts []iot.Verdict
		line     string
	}{
		"duel": {func(r *rig) { r.duel(dev1, 60, time.Second) }, []iot.Verdict{iot.VerdictTwoClients}, "verdict=two_clients"},
		"undecided for long": {func(r *rig) {
			r.connect(quiet, node(1, home))
			time.Sleep(time.Minute)
			r.word(quiet, r.connect(quiet, node(9, office)), prompt())
			time.Sleep(tellWithin + time.Second)
		}, []iot.Verdict{iot.VerdictUndecided}, "verdict=undecided"},
		"undecided for long, then a duel": {func(r *rig) {
			r.connect(dev1, node(9, office))
			time.Sleep(time.Minute)
			r.word(dev1, r.connect(dev1, node(1, home)), prompt())
			time.Sleep(tellWithin + time.Second)
			r.duel(dev1, 8, time.Second, node(9, office), node(1, home))
		}, []iot.Verdict{iot.VerdictUndecided, iot.VerdictTwoClients}, "verdict=undecided"},
		"half-open, then a duel": {func(r *rig) {
			r.connect(dev1, node(1, home))
			time.Sleep(time.Minute)
			r.word(dev1, r.connect(dev1, node(1, home)), silent())
			time.Sleep(10 * time.Minute)
			r.duel(dev1, 12, time.Second, node(9, office), node(1, home))
		}, []iot.Verdict{iot.VerdictHalfOpen, iot.VerdictTwoClients}, "verdict=half_open_reconnect"},
		"the hub stops before": {func(r *rig) {
			r.connect(dev1, node(1, home))
			time.Sleep(time.Minute)
			r.word(dev1, r.connect(dev1, node(9, office)), prompt())
		}, []iot.Verdict{iot.VerdictUndecided}, "verdict=undecided"},
		"nobody is displaced": {func(r *rig) { r.connect(dev1, node(1, home)) }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, storetest.New())
				c.plot(r)
				r.close()
				if diff := cmp.Diff(c.verdicts, r.verdicts); diff != "" {
					t.Errorf("verdicts (-want +got):\n%s", diff)
				}
				if got := strings.Count(r.lines.String(), "\n"); got != min(len(c.verdicts), 1) || !strings.Contains(r.lines.String(), c.line) {
					t.Errorf("the log has %d lines:\n%s", got, r.lines.String())
				}
			})
		})
	}
}

// TestFollowersOfConflictsBeginWithTheList: nothing is missed between the list and what
// follows it.
func TestFollowersOfConflictsBeginWithTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		for i := range 3 {
			r.duel(iot.Identity{Device: fmt.Sprint("d", i)}, 4, time.Second)
		}
		var got []string
		ended := make(chan error)
		go func() {
			ended <- r.FollowConflicts(t.Context(), iot.ConflictQuery{Limit: 2}, func(s iot.ConflictSummary) error {
				got = append(got, s.DeviceID)
				return nil
			})
		}()
		synctest.Wait()
		r.duel(dev1, 4, time.Second)
		r.close()
		if err := <-ended; err != nil {
			t.Errorf("follow: %v", err)
		}
		if want := []string{"d1", "d2", "dev1"}; !slices.Equal(slices.Compact(got), want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestLossIsSummed: what the displacements of a story cost, each and together.
func TestLossIsSummed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		r.connect(dev1, node(1, home))
		for i := range 40 { // more than are kept
			old, by := r.holder[dev1], r.holder[dev1]
			by.Epoch = fmt.Sprint("2.", i)
			r.Ended(device.Ending{Party: old, At: time.Now(), Code: 409002, By: &by, Unacked: 3, Released: 2})
			r.holder[dev1] = by
			time.Sleep(time.Second)
		}
		e := r.explain(dev1, time.Time{})
		if want := (iot.ExplanationLoss{C2DReleased: 80, PublishesUnacknowledged: 120}); e.Lost != want {
			t.Errorf("got %+v, want %+v", e.Lost, want)
		}
		if c := e.Conflicts[0]; c.Unacked != 3 || c.Released != 2 {
			t.Errorf("one cost %d and %d", c.Unacked, c.Released)
		}
	})
}

// TestWordOfAForgottenIdentityIsTakenForNoOther: a device that is removed and registered
// anew begins a story of its own.
func TestWordOfAForgottenIdentityIsTakenForNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		r.connect(dev1, node(1, home))
		old := r.connect(dev1, node(2, home))
		r.Forget(dev1)
		r.connect(dev1, node(3, home))
		r.word(dev1, old, reset())
		if e := r.explain(dev1, time.Time{}); len(e.Conflicts) != 1 || e.Conflicts[0].Afterlife != "pending" {
			t.Errorf("got %+v", e.Conflicts)
		}
	})
}

// TestClientsInTurns: two who cannot be told apart are shown as they alternate.
func TestClientsInTurns(t *testing.T) {
	s := scenarios()["duel, token made each second, fast"].scene
	h := s.history()
	j := Classify(h)
	e := explain(dev1, h, &j, start)
	if len(e.Clients) != 2 || e.Clients[0].Lost != 100 || e.Clients[0].Won != 100 || e.Clients[1].Won != 100 || e.Clients[1].Lost != 100 {
		t.Fatalf("clients %+v", e.Clients)
	}
	for i, c := range e.Conflicts {
		loser, winner := "B", "A"
		if h.Kept[i].Number%2 == 1 {
			loser, winner = winner, loser
		}
		if c.Loser.Client != loser || c.Winner.Client != winner {
			t.Fatalf("displacement %d: %s by %s", h.Kept[i].Number, c.Loser.Client, c.Winner.Client)
		}
	}
	if s := summaryOf(dev1, h, &j); s.Clients != 2 {
		t.Errorf("%d clients in the list", s.Clients)
	}
}
