package diagnosis

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/iot"
)

// TestOneProgramOrTwoIsLeftOpen: what a second copy of a program and a second client of
// the same program look like alike is never sure, and the advice is for both.
func TestOneProgramOrTwoIsLeftOpen(t *testing.T) {
	all := scenarios()
	for name, c := range map[string]struct {
		want, rival iot.Verdict
		sure        bool
	}{
		"duel, no token kept, same address":      {twoClients, openedTwice, false},
		"duel, token made each second, fast":     {twoClients, openedTwice, false},
		"duel, same address, cached tokens":      {twoClients, openedTwice, false},
		"duel, no token kept, two addresses":     {twoClients, openedTwice, true},
		"duel, different addresses":              {twoClients, openedTwice, true},
		"duel of certificates and software":      {twoClients, openedTwice, true},
		"opened twice in one moment, fast":       {openedTwice, twoClients, false},
		"opened twice, same token":               {openedTwice, twoClients, false},
		"opened twice, tokens at once":           {openedTwice, twoClients, false},
		"opened twice, lineage, duel":            {openedTwice, twoClients, true},
		"one connection a second, no token kept": {iot.VerdictUndecided, openedTwice, true},
	} {
		h := all[name].scene.history()
		j := Classify(h)
		if j.Verdict != c.want || j.RunnerUp != c.rival && !c.sure {
			t.Errorf("%s: got %s, then %s; want %s, then %s", name, j.Verdict, j.RunnerUp, c.want, c.rival)
		}
		if j.Verdict.Cause() != 2 {
			continue
		}
		if sure := j.Confidence > Doubtful; sure != c.sure {
			t.Errorf("%s: %s with %.2f", name, j.Verdict, j.Confidence)
		}
		e := explain(iot.Identity{Device: "dev1"}, h, &j, start)
		both := strings.Contains(e.Advice.Next, "second copy") || strings.Contains(e.Advice.Next, "Two copies")
		if both == c.sure || e.Advice.Fix == "" {
			t.Errorf("%s: the advice is %q", name, e.Advice.Next)
		}
		if j.Verdict == twoClients && strings.Contains(e.Summary, "two copies of one program, or one that opens two clients") == c.sure {
			t.Errorf("%s: %q", name, e.Summary)
		}
	}
}

// TestOneProgramIsNeverSurelyTwo: whatever one program does with its connections, from
// one address, it is not surely called two clients; if it is at all, the rival is named.
func TestOneProgramIsNeverSurelyTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clients := make([]actor, rapid.IntRange(1, 3).Draw(t, "clients"))
		for i := range clients {
			clients[i] = node(uint64(i+1), home)
		}
		keeps := rapid.Bool().Draw(t, "keeps tokens")
		resumes := rapid.Bool().Draw(t, "resumes sessions")
		s := begin(clients[0])
		at := time.Duration(0)
		for i := range rapid.IntRange(1, 20).Draw(t, "displacements") {
			at += time.Duration(rapid.IntRange(10, 3000).Draw(t, "gap")) * time.Millisecond
			by := rapid.SampledFrom(clients).Draw(t, "by")
			if !keeps {
				by.token, by.expires = 100+uint64(at/time.Second), time.Hour+at.Truncate(time.Second)
			}
			if !resumes {
				by.lineage = uint64(1000 + i)
			}
			s.active(at-5*time.Millisecond).displace(at, by, rapid.SampledFrom([]func() *Afterlife{prompt, prompt, late, silent}).Draw(t, "then")())
		}
		j := Classify(s.history())
		if j.Verdict == twoClients && (j.Confidence > Doubtful || j.RunnerUp != openedTwice) {
			t.Fatalf("two clients with %.2f, then %s: %v", j.Confidence, j.RunnerUp, j.Ledger)
		}
	})
}

// TestReturnsAtOnce shows what counts as dialling back at once, and what does not.
func TestReturnsAtOnce(t *testing.T) {
	fresh := func(i int, addr string) actor {
		return node(uint64(i)+100, addr).with(func(a *actor) { a.lineage = uint64(i) + 900 })
	}
	for name, c := range map[string]struct {
		wait  time.Duration // from a displacement to the next session
		rtt   time.Duration
		early time.Duration // the newcomer's socket is older by that
		addrs []string
		want  bool
	}{
		"at once":                             {wait: 100 * time.Millisecond, want: true},
		"half a second":                       {wait: 500*time.Millisecond + handshake, want: true},
		"later":                               {wait: 501*time.Millisecond + handshake},
		"later, recognised":                   {wait: 1400 * time.Millisecond, addrs: []string{home, office}, want: true},
		"too late, recognised":                {wait: 1600 * time.Millisecond, addrs: []string{home, office}},
		"over a slow network":                 {wait: 1000 * time.Millisecond, rtt: 250 * time.Millisecond, want: true},
		"dialled before it was displaced":     {wait: 100 * time.Millisecond, early: 200 * time.Millisecond},
		"a slow handshake, dialled at once":   {wait: 900 * time.Millisecond, early: 800 * time.Millisecond, want: true},
		"one every second, of its own accord": {wait: time.Second},
	} {
		addrs := c.addrs
		if addrs == nil {
			addrs = []string{home}
		}
		s := begin(fresh(0, home))
		for i := range 8 {
			at := 5*time.Second + time.Duration(i)*c.wait
			s.active(at).displace(at, fresh(i+1, addrs[(i+1)%len(addrs)]), prompt())
			w := &s.all[i].Winner
			w.TCP.RTT, w.Accepted = c.rtt, w.Accepted.Add(-c.early)
			s.all[i].Loser.TCP.RTT = c.rtt
		}
		if got := signalsOf(s, SignalDialsBack) != ""; got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// TestOpenedTogether shows what counts as opening the second connection at once.
func TestOpenedTogether(t *testing.T) {
	a, b := node(1, home), node(2, home).with(func(x *actor) { x.expires += time.Hour })
	for name, c := range map[string]struct {
		by     actor
		at     time.Duration
		dialed time.Duration // of the newcomer
		first  time.Duration // that the first one needed; a handshake if 0
		rtt    time.Duration
		want   bool
	}{
		"as soon as the first stands": {by: b, at: 60 * time.Millisecond, dialed: 10 * time.Millisecond, want: true},
		"with a slow handshake":       {by: b, at: 3 * time.Second, dialed: 200 * time.Millisecond, want: true},
		"both at once":                {by: b, at: 10 * time.Millisecond, dialed: -4 * time.Millisecond, want: true},
		"later":                       {by: b, at: 400 * time.Millisecond, dialed: 301*time.Millisecond + handshake},
		"a socket opened long before": {by: b, at: 60 * time.Millisecond, dialed: -time.Second},
		"just before":                 {by: b, at: 60 * time.Millisecond, dialed: -handshake - 300*time.Millisecond, want: true},
		"on a slow machine":           {by: b, at: 2 * time.Second, dialed: 700 * time.Millisecond, first: 400 * time.Millisecond, want: true},
		"later, on a slow machine":    {by: b, at: 2 * time.Second, dialed: 701 * time.Millisecond, first: 400 * time.Millisecond},
		"over a slow network":         {by: b, at: 2 * time.Second, dialed: 900 * time.Millisecond, rtt: 300 * time.Millisecond, want: true},
		"from elsewhere":              {by: b.with(func(x *actor) { x.addr = office }), at: 60 * time.Millisecond, dialed: 10 * time.Millisecond},
		"by other software":           {by: b.with(func(x *actor) { x.kind = "python" }), at: 60 * time.Millisecond, dialed: 10 * time.Millisecond},
	} {
		s := begin(a).displace(c.at, c.by, prompt())
		l, w := &s.all[0].Loser, &s.all[0].Winner
		w.Accepted, l.Accepted = start.Add(c.dialed), start.Add(-cmp.Or(c.first, handshake))
		l.TCP.RTT, w.TCP.RTT = c.rtt, c.rtt
		if got := signalsOf(s, SignalTogether) != ""; got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
