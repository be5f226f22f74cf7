package diagnosis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

func TestNoConflictIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		r.connect(dev1, node(1, home))
		if e := r.explain(dev1, time.Time{}); e.Verdict != iot.VerdictNone || e.Cause != nil || e.Confidence != 1 {
			t.Errorf("got %+v", e)
		}
	})
}

func TestDuelIsExplainedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		r.duel(dev1, 5, time.Second)
		e := r.explain(dev1, time.Time{})
		if e.Verdict != iot.VerdictTwoClients || *e.Cause != 2 || e.Confidence < 0.9 || len(e.Conflicts) != 4 || len(e.Clients) != 2 {
			t.Fatalf("got %s %v, %d conflicts, clients %+v", e.Verdict, e.Confidence, len(e.Conflicts), e.Clients)
		}
		c := e.Conflicts[0]
		if c.Loser.Client != "A" || c.Winner.Client != "B" || c.Afterlife != "alive" || c.Code != 400027 ||
			c.Loser.RemoteAddress != home || c.Winner.RemoteAddress != office || c.Loser.BytesIn != 100 || c.Loser.TLS.Version != "TLS 1.3" {
			t.Errorf("got %+v", c)
		}
		if e.Lost.PublishesUnacknowledged != 8 || e.Lost.C2DReleased != 12 || c.Released != 3 || !strings.Contains(e.Summary, home) || e.RunnerUp == nil || e.Advice.Fix == "" {
			t.Errorf("got lost %+v, summary %q, runner-up %+v", e.Lost, e.Summary, e.RunnerUp)
		}
		b, err := json.Marshal(e.Masked())
		if err != nil || strings.Contains(string(b), home) || strings.Contains(string(b), office) || !strings.Contains(string(b), "10.0.0.XXX") {
			t.Errorf("masked: %s, %v", b, err)
		}
	})
}

func TestVerdictStandsWithinTenSecondsWithoutAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		r.connect(dev1, node(1, home))
		time.Sleep(time.Minute)
		r.connect(dev1, node(1, home))
		if e := r.explain(dev1, time.Time{}); e.Conflicts[0].Afterlife != "pending" || len(e.Missing) == 0 {
			t.Fatalf("got %+v", e)
		}
		time.Sleep(7 * time.Second)
		e := r.explain(dev1, time.Time{})
		if c := e.Conflicts[0]; c.Afterlife != "silent" || !c.Unobserved || e.Verdict != iot.VerdictUndecided {
			t.Errorf("got %s %+v", e.Verdict, c)
		}
		if !slices.ContainsFunc(e.Missing, func(s string) bool { return strings.Contains(s, "not watched") }) {
			t.Errorf("missing: %q", e.Missing)
		}
	})
}

func TestAfterlifeMayComeBeforeItsDisplacement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		r.connect(dev1, node(1, home))
		r.word(dev1, fmt.Sprint("1.", r.conns), reset())
		time.Sleep(time.Second)
		r.connect(dev1, node(2, home))
		if e := r.explain(dev1, time.Time{}); e.Verdict != iot.VerdictRestart || e.Conflicts[0].Afterlife != "reset" {
			t.Errorf("got %s %+v", e.Verdict, e.Conflicts[0])
		}
	})
}

func TestStoriesOutliveTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storetest.New()
		r := newRig(t, engine)
		r.duel(dev1, 50, time.Second)
		module := iot.Identity{Device: "dev1", Module: "m"}
		r.connect(module, node(1, home))
		r.word(module, r.connect(module, node(1, home)), silent())
		want, wantModule, list := r.explain(dev1, time.Time{}), r.explain(module, time.Time{}), r.list(iot.ConflictQuery{})
		r.close()

		again := newRig(t, engine.Restart())
		defer again.close()
		if diff := cmp.Diff(list, again.list(iot.ConflictQuery{})); diff != "" {
			t.Errorf("summaries (-before +after):\n%s", diff)
		}
		for id, want := range map[iot.Identity]iot.Explanation{dev1: want, module: wantModule} {
			got := again.explain(id, time.Time{})
			got.GeneratedAt = want.GeneratedAt
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-before +after):\n%s", id, diff)
			}
		}
		time.Sleep(tellWithin)
		if again.lines.Len() != 0 {
			t.Errorf("told again: %s", again.lines.String())
		}
	})
}

// refuseWrites is a full store.
func refuseWrites(op storetest.Op) error {
	if op == storetest.RecordsApply {
		return store.ErrFull
	}
	return nil
}

func TestWritesAreRetriedUntilTheStoreTakesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storetest.New()
		r := newRig(t, engine)
		engine.Fail(refuseWrites)
		r.duel(dev1, 5, time.Second)
		engine.Fail(nil)
		time.Sleep(3 * time.Second)
		if _, err := engine.Records().Get(t.Context(), headKey(dev1)); err != nil {
			t.Error(err)
		}
		r.close()
	})
}

// TestAFullStoreKeepsNoHubFromStarting: the run has its number all the same, and it is
// written when there is room.
func TestAFullStoreKeepsNoHubFromStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storetest.New()
		engine.Fail(refuseWrites)
		r := newRig(t, engine)
		run := r.sequence.run
		time.Sleep(3 * time.Second)
		engine.Fail(nil)
		time.Sleep(3 * time.Second)
		if rec, err := engine.Records().Get(t.Context(), runKey); err != nil || string(rec.Value) != strconv.FormatUint(run, 10) {
			t.Errorf("the run %d is kept as %q, %v", run, rec.Value, err)
		}
		r.close()
	})
}

func TestForgetDropsTheModulesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storetest.New()
		r := newRig(t, engine)
		other := iot.Identity{Device: "dev10"}
		for _, id := range []iot.Identity{dev1, {Device: "dev1", Module: "m"}, other} {
			r.duel(id, 3, time.Second)
		}
		time.Sleep(2 * time.Second)
		r.Forget(dev1)
		if l := r.list(iot.ConflictQuery{}); len(l) != 1 || l[0].Identity() != other {
			t.Errorf("got %+v", l)
		}
		r.close()
		for _, prefix := range []string{headKeys, displacementKeys} {
			err := engine.Records().Scan(t.Context(), prefix+"dev1/", "", func(rec store.Record) bool {
				t.Errorf("%s is still there", rec.Key)
				return true
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOneStoryPerDuelIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		r.duel(dev1, 6000, 10*time.Millisecond)
		e := r.explain(dev1, time.Time{})
		if e.Verdict != iot.VerdictTwoClients || len(e.Conflicts) != maxKept || e.Clients[0].Won+e.Clients[1].Won != 5999 {
			t.Errorf("got %s, %d conflicts, clients %+v", e.Verdict, len(e.Conflicts), e.Clients)
		}
		r.close()
		if got := strings.Count(r.lines.String(), "displace each other"); got != 1 {
			t.Errorf("the log tells of %d stories:\n%s", got, r.lines.String())
		}
		records, size := 0, 0
		err := r.engine.Records().Scan(t.Context(), "diag/", "", func(rec store.Record) bool {
			records, size = records+1, size+len(rec.Value)
			return true
		})
		if err != nil || records > maxKept+2 || size > 128<<10 {
			t.Errorf("%d records of %d bytes, %v", records, size, err)
		}
	})
}

func TestCasesAreBoundedAndTheLeastTouchedGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New(), func(c *Config) { c.MaxCases = 3 })
		defer r.close()
		for i := range 5 {
			r.duel(iot.Identity{Device: fmt.Sprint("d", i)}, 3, time.Second)
		}
		var got []string
		for _, s := range r.list(iot.ConflictQuery{}) {
			got = append(got, s.DeviceID)
		}
		if diff := cmp.Diff([]string{"d4", "d3", "d2"}, got); diff != "" {
			t.Error(diff)
		}
		if e := r.explain(iot.Identity{Device: "d0"}, time.Time{}); e.Verdict != iot.VerdictNone {
			t.Errorf("got %s", e.Verdict)
		}
	})
}

func TestConflictsAreFilteredAndSorted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		r.duel(iot.Identity{Device: "duel"}, 4, time.Second)
		middle := time.Now()
		quiet := iot.Identity{Device: "quiet"}
		r.connect(quiet, node(1, home))
		time.Sleep(5 * time.Minute)
		r.word(quiet, r.connect(quiet, node(1, home)), silent())
		names := func(q iot.ConflictQuery) (l []string) {
			for _, s := range r.list(q) {
				l = append(l, s.DeviceID)
			}
			return l
		}
		for _, c := range []struct {
			q    iot.ConflictQuery
			want []string
		}{
			{iot.ConflictQuery{}, []string{"quiet", "duel"}},
			{iot.ConflictQuery{Order: iot.ConflictWorst}, []string{"duel", "quiet"}},
			{iot.ConflictQuery{Limit: 1}, []string{"quiet"}},
			{iot.ConflictQuery{Since: middle}, []string{"quiet"}},
			{iot.ConflictQuery{Verdict: iot.VerdictTwoClients}, []string{"duel"}},
			{iot.ConflictQuery{Verdict: iot.VerdictRenewal}, nil},
		} {
			if diff := cmp.Diff(c.want, names(c.q)); diff != "" {
				t.Errorf("%+v: %s", c.q, diff)
			}
		}
	})
}

func TestExplainAsOfATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		begin := time.Now()
		r.connect(dev1, node(1, home))
		time.Sleep(10 * time.Minute)
		r.duel(dev1, 4, time.Second)
		duelled := time.Now()
		time.Sleep(24 * time.Hour)
		r.word(dev1, r.connect(dev1, node(9, office)), silent())
		if got := r.explain(dev1, begin).Verdict; got != iot.VerdictNone {
			t.Errorf("before the first displacement: got %s", got)
		}
		if e := r.explain(dev1, time.Time{}); e.Verdict != iot.VerdictHalfOpen {
			t.Errorf("now: got %s", e.Verdict)
		}
		if e := r.explain(dev1, duelled); e.Verdict != iot.VerdictTwoClients {
			t.Errorf("the earlier story: got %s", e.Verdict)
		}
		if e := r.explain(dev1, time.Time{}); len(e.Conflicts) != 1 {
			t.Errorf("a new story has %d conflicts", len(e.Conflicts))
		}
	})
}

func TestExplainInsideAStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		r.connect(dev1, node(1, home))
		time.Sleep(10 * time.Minute)
		r.word(dev1, r.connect(dev1, node(1, home)), silent())
		at := time.Now()
		time.Sleep(time.Minute)
		r.duel(dev1, 6, time.Second)
		if e := r.explain(dev1, at); e.Verdict != iot.VerdictHalfOpen || len(e.Conflicts) != 1 {
			t.Errorf("got %s, %d conflicts", e.Verdict, len(e.Conflicts))
		}
		if e := r.explain(dev1, time.Time{}); e.Verdict != iot.VerdictTwoClients {
			t.Errorf("now: got %s", e.Verdict)
		}
	})
}

// TestExplainInsideALongStory: how a duel began is seen for good; of a time of which no
// displacement is kept, what is known is said, and never that there was none.
func TestExplainInsideALongStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storetest.New()
		r := newRig(t, engine)
		begin := time.Now()
		r.duel(dev1, 401, time.Second)
		check := func(r *rig) {
			t.Helper()
			for _, c := range []struct {
				after     time.Duration
				conflicts int
				first     uint64
				last      uint64
				verdict   iot.Verdict
				summary   string
			}{
				{500 * time.Millisecond, 0, 0, 0, iot.VerdictNone, "was displaced"},
				{1500 * time.Millisecond, 1, 1, 1, iot.VerdictUndecided, "the evidence does not say"},
				{6500 * time.Millisecond, 6, 1, 6, iot.VerdictTwoClients, "6 displacements in 5s"},
				{100 * time.Second, 8, 1, 8, iot.VerdictTwoClients, "8 displacements and more since"},
				{399500 * time.Millisecond, 31, 1, 399, iot.VerdictTwoClients, "399 displacements in"},
				{time.Hour, 32, 1, 400, iot.VerdictTwoClients, "400 displacements in"},
			} {
				e := r.explain(dev1, begin.Add(c.after))
				if e.Verdict != c.verdict || len(e.Conflicts) != c.conflicts || !strings.Contains(e.Summary, c.summary) {
					t.Errorf("after %v: %s, %d conflicts, %q", c.after, e.Verdict, len(e.Conflicts), e.Summary)
					continue
				}
				if c.conflicts > 0 && (e.Conflicts[0].Number != c.first || e.Conflicts[c.conflicts-1].Number != c.last) {
					t.Errorf("after %v: from number %d to %d", c.after, e.Conflicts[0].Number, e.Conflicts[c.conflicts-1].Number)
				}
				between := slices.ContainsFunc(e.Missing, func(s string) bool { return strings.Contains(s, "only counts are kept") })
				if between != (c.last >= 8 && c.after > 9*time.Second) {
					t.Errorf("after %v: missing %q", c.after, e.Missing)
				}
			}
		}
		check(r)
		r.close()
		again := newRig(t, engine.Restart())
		defer again.close()
		check(again)
	})
}

func TestRootCauseIsNamed(t *testing.T) {
	lost := func(reason string, code fault.Code) func(*rig) {
		return func(r *rig) {
			r.Ended(device.Ending{Party: r.holder[dev1], At: time.Now(), Code: code, Reason: reason})
			r.connect(iot.Identity{Device: "x"}, node(1, home))
		}
	}
	for name, c := range map[string]struct {
		before func(*rig)
		gap    time.Duration
		want   string // in the summary
	}{
		"lost":              {lost("the peer closed the connection", fault.DeviceConnectionClosedRemotely), 30 * time.Second, "without a goodbye (404104"},
		"idle":              {lost("nothing was heard for one and a half times the keep-alive", fault.DeviceConnectionClosedRemotely), 30 * time.Second, "nothing had been heard"},
		"expired":           {lost("the token expired", fault.IotHubUnauthorized), 30 * time.Second, "its token had expired (401003"},
		"too long ago":      {lost("the peer closed the connection", fault.DeviceConnectionClosedRemotely), 5 * time.Minute, ""},
		"within keep-alive": {lost("the peer closed the connection", fault.DeviceConnectionClosedRemotely), 4 * time.Minute, "404104"},
		"refused": {func(r *rig) {
			r.Refused(device.Hello{Identity: dev1}, fault.New(fault.IotHubUnauthorized, "x", "no"), time.Now())
		}, time.Second, "was refused (401003"},
		"refused for another reason": {func(r *rig) {
			r.Refused(device.Hello{Identity: dev1}, fault.New(fault.DeviceDisabled, "x", "no"), time.Now())
		}, time.Second, ""},
		"clean goodbye": {lost("bye", 0), time.Second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, storetest.New())
				defer r.close()
				r.connect(dev1, node(1, home))
				c.before(r)
				time.Sleep(c.gap)
				r.word(dev1, r.connect(dev1, node(1, home)), silent())
				e := r.explain(dev1, time.Time{})
				named := strings.Contains(e.Summary, "It may have begun with this")
				if named != (c.want != "") || !strings.Contains(e.Summary, c.want) {
					t.Errorf("got %q, want %q", e.Summary, c.want)
				}
			})
		})
	}
	t.Run("hub restart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			engine := storetest.New()
			for _, want := range []bool{false, true} { // at its first start nobody was connected
				r := newRig(t, engine, func(c *Config) { c.Started = time.Now() })
				id := iot.Identity{Device: fmt.Sprint("again ", want)}
				r.connect(id, node(1, home))
				time.Sleep(20 * time.Second)
				r.connect(id, node(1, home))
				if e := r.explain(id, time.Time{}); strings.Contains(e.Summary, "the hub started") != want {
					t.Errorf("got %q", e.Summary)
				}
				r.close()
				engine = engine.Restart()
			}
		})
	})
}

func TestIrrelevantEventsDoNotMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var want iot.Explanation
		for turn := range 3 {
			r := newRig(t, storetest.New())
			for i := range 6 {
				for k := range turn * 3 { // others connect, end, duel and are refused meanwhile
					other := iot.Identity{Device: fmt.Sprint("other", (k*7+turn)%5)}
					r.connect(other, node(uint64(k), home))
					r.word(other, fmt.Sprint("1.", k), silent())
					r.Refused(device.Hello{Identity: other}, fault.New(fault.IotHubUnauthorized, "x", "no"), time.Now())
				}
				r.word(dev1, r.connect(dev1, []actor{node(1, home), node(9, office)}[i%2]), prompt())
				time.Sleep(time.Second)
			}
			e := r.explain(dev1, time.Time{})
			if turn == 0 {
				want = e
			}
			if e.Verdict != want.Verdict || e.Confidence != want.Confidence || len(e.Evidence) != len(want.Evidence) {
				t.Errorf("turn %d: got %s %v, want %s %v", turn, e.Verdict, e.Confidence, want.Verdict, want.Confidence)
			}
			r.close()
		}
	})
}

func TestPeersChooseNoSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		defer r.close()
		long := node(1, home).with(func(a *actor) { a.kind = strings.Repeat("é", 30_000) })
		r.connect(dev1, long)
		r.connect(dev1, long)
		if e := r.explain(dev1, time.Time{}); len(e.Conflicts[0].Loser.ClientType) > maxText {
			t.Errorf("a client type of %d bytes is kept", len(e.Conflicts[0].Loser.ClientType))
		}
	})
}

func TestAfterCloseNobodyIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, storetest.New())
		r.close()
		r.connect(dev1, node(1, home)) // does not block
		if _, err := r.Explain(context.Background(), dev1, time.Time{}); fault.Of(err) != fault.ServiceUnavailable {
			t.Errorf("got %v", err)
		}
	})
}
