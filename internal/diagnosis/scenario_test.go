package diagnosis

import (
	"slices"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

const (
	home   = "10.0.0.1"
	office = "10.0.0.2"
)

func scenarios() map[string]struct {
	scene *scene
	want  iot.Verdict
} {
	fresh := func(i int, addr string) actor { // a client that makes a new token for each connection
		return node(uint64(i)+100, addr).with(func(a *actor) { a.lineage = uint64(i) + 900 })
	}
	chain := func(n int, step time.Duration, addr func(int) string, then func() *Afterlife) *scene {
		s := begin(fresh(0, addr(0)))
		const later = 3 * time.Second // than the moment in which one program opens two
		for i := 1; i <= n; i++ {
			at := later + time.Duration(i)*step
			s.active(at-step/2).displace(at, fresh(i, addr(i)), then())
		}
		return s
	}
	both := func(i int) string { return []string{home, office}[i%2] }
	wander := func(then func() *Afterlife) *scene {
		s := begin(node(1, home))
		for i := 1; i <= 15; i++ {
			s.displace(time.Duration(i)*4*time.Minute, node(1, both(i)).with(func(a *actor) { a.lineage += uint64(i) }), then())
		}
		return s
	}
	sameSecond := func(n int, step, gap time.Duration) *scene { // tokens of one second are one text
		minted := func(at time.Duration) actor {
			return node(1000+uint64(at/time.Second), home).with(func(a *actor) {
				a.expires, a.lineage = time.Hour+at.Truncate(time.Second), uint64(at)+1
			})
		}
		s := begin(minted(0))
		for i := range n {
			at := gap + time.Duration(i)*step
			s.active(at-step/2).displace(at, minted(at), prompt())
		}
		return s
	}
	a, b := node(1, home), node(9, office)
	renewed := a.with(func(x *actor) { x.token, x.expires, x.lineage = 2, x.expires+45*time.Minute, 0 })
	shared := a.with(func(x *actor) { x.token = 5; x.expires += time.Minute })
	type scenes = map[string]struct {
		scene *scene
		want  iot.Verdict
	}
	return scenes{
		"half-open":                          {begin(a).displace(10*time.Minute, a, silent()), halfOpen},
		"half-open, new token":               {begin(a).displace(10*time.Minute, a.with(func(x *actor) { x.token, x.lineage = 2, 3 }), silent()), halfOpen},
		"half-open, stalled, late answer":    {begin(a).displace(10*time.Minute, a, late()).stalled(), halfOpen},
		"half-open, other network":           {begin(a).displace(10*time.Minute, a.with(func(x *actor) { x.addr = office }), silent()), halfOpen},
		"socket given up by its process":     {begin(a).displace(10*time.Minute, a, reset()), halfOpen},
		"crash and restart unnoticed":        {begin(a).active(10*time.Minute).displace(10*time.Minute, a.with(func(x *actor) { x.token, x.lineage = 2, 3 }), reset()), restart},
		"restart with a fixed token":         {begin(a).displace(10*time.Minute, a.with(func(x *actor) { x.lineage = 3 }), reset()), restart},
		"graceful, farewell":                 {begin(a).displace(10*time.Minute, a.with(func(x *actor) { x.lineage = 3 }), goodbye()), handover},
		"graceful, resumed, farewell":        {begin(a).displace(10*time.Minute, a, goodbye()), handover},
		"graceful, closes":                   {begin(a).displace(10*time.Minute, a.with(func(x *actor) { x.lineage = 3 }), life(device.AfterlifeClosed, time.Millisecond)), handover},
		"renewal make-before-break":          {begin(a).active(45*time.Minute).displace(45*time.Minute, renewed, prompt()), renewal},
		"renewal make-before-break, goodbye": {begin(a).active(45*time.Minute).displace(45*time.Minute, renewed, goodbye()), renewal},
		"renewals every 45 minutes":          {chain(8, 45*time.Minute, func(int) string { return home }, prompt), renewal},
		"opened twice, shared lineage":       {begin(a).active(time.Second).displace(time.Second, shared, prompt()), openedTwice},
		"opened twice, lineage, duel":        {duel(a, shared, 10, time.Second, prompt), openedTwice},
		"opened twice, same token":           {duel(a, a.with(func(x *actor) { x.lineage = 3 }), 4, time.Second, prompt), openedTwice},
		"opened twice, tokens at once": {duel(a, a.with(func(x *actor) {
			x.token, x.lineage, x.expires = 2, 3, x.expires+time.Second
		}), 6, time.Second, prompt), openedTwice},
		"duel, different addresses":         {duel(a, b, 10, time.Second, prompt), twoClients},
		"duel, same address, cached tokens": {duel(a, node(9, home), 10, time.Second, prompt), twoClients},
		"duel after one's own reconnect": {&scene{all: append(
			begin(a).active(time.Second).displace(time.Second, a, prompt()).all, duel(a, b, 8, 2*time.Second, prompt).all...)}, twoClients},
		"duel, three displacements":                    {duel(a, b, 3, time.Second, prompt), twoClients},
		"duel of certificates and software":            {duel(a.with(x509("aa")), b.with(x509("bb")).with(func(x *actor) { x.kind = "python" }), 6, time.Second, prompt), twoClients},
		"duel, no token kept, same address":            {chain(10, 60*time.Millisecond, func(int) string { return home }, prompt), twoClients},
		"one connection a second, no token kept":       {chain(10, time.Second, func(int) string { return home }, prompt), iot.VerdictUndecided},
		"duel, no token kept, two addresses":           {chain(10, time.Second, both, prompt), twoClients},
		"duel, no token kept, slow":                    {chain(10, 5*time.Second, both, prompt), iot.VerdictUndecided},
		"duel, token made each second, fast":           {sameSecond(200, 20*time.Millisecond, 3*time.Second), twoClients},
		"opened twice in one moment, fast":             {sameSecond(200, 20*time.Millisecond, 50*time.Millisecond), openedTwice},
		"live displacements that nobody answers":       {chain(3, time.Second, both, prompt), iot.VerdictUndecided},
		"15 reconnects over two addresses, silent":     {wander(silent), halfOpen},
		"15 reconnects over two addresses, late flush": {wander(late), iot.VerdictUndecided},
		"15 reconnects over two addresses, all prompt": {wander(prompt), handover},
		"changed version once, live":                   {begin(a).active(time.Minute).displace(time.Minute, a.with(func(x *actor) { x.kind, x.token, x.lineage = "azure-iot-device/1.19", 2, 3 }), prompt()), iot.VerdictUndecided},
		"one live loser":                               {begin(a).active(time.Minute).displace(time.Minute, b, prompt()), iot.VerdictUndecided},
		"one silent loser of other software":           {begin(a).displace(time.Minute, b.with(func(x *actor) { x.kind = "python" }), silent()), iot.VerdictUndecided},
		"boot loader and application in a crash loop":  {duel(a, a.with(func(x *actor) { x.kind, x.token, x.slot, x.lineage = "boot", 2, "secondary", 3 }), 8, 20*time.Second, reset), iot.VerdictUndecided},
		"pending": {begin(a).displace(time.Minute, b, nil), iot.VerdictUndecided},
		"nothing": {begin(a), iot.VerdictNone},
	}
}

func x509(thumbprint string) func(*actor) {
	return func(a *actor) { a.token, a.cert, a.slot = 0, thumbprint, "" }
}

func TestScenarioIsJudged(t *testing.T) {
	for name, c := range scenarios() {
		t.Run(name, func(t *testing.T) {
			j := Classify(c.scene.history())
			if j.Verdict != c.want {
				t.Errorf("got %s %.2f (then %s %.2f), want %s", j.Verdict, j.Confidence, j.RunnerUp, j.Second, c.want)
				for _, e := range j.Ledger {
					t.Logf("%s %s: %s", e.Rule.Strength, e.Rule.Signal, e.Observed)
				}
			}
		})
	}
}

func TestBadNetworkIsNeverTwoClients(t *testing.T) {
	for name, c := range scenarios() {
		if c.want == twoClients {
			continue
		}
		for n := 1; n <= len(c.scene.all); n++ {
			s := scene{all: c.scene.all[:n]}
			if j := Classify(s.history()); j.Verdict == twoClients {
				t.Errorf("%s: called two clients after %d displacements", name, n)
			}
		}
	}
}

func TestLaterConflictChangesTheVerdict(t *testing.T) {
	s := begin(node(1, home)).active(10*time.Minute).displace(10*time.Minute, node(9, home), silent())
	if j := Classify(s.history()); j.Verdict != halfOpen {
		t.Fatalf("first: got %s, want %s", j.Verdict, halfOpen)
	}
	s.displace(10*time.Minute+time.Second, node(1, home), prompt()).displace(10*time.Minute+2*time.Second, node(9, home), prompt())
	if j := Classify(s.history()); j.Verdict != twoClients {
		t.Errorf("then: got %s, want %s", j.Verdict, twoClients)
	}
}

func TestDuelWithoutKeptTokensNamesCauseTwoAsRunnerUp(t *testing.T) {
	for _, name := range []string{"duel, no token kept, slow", "live displacements that nobody answers"} {
		j := Classify(scenarios()[name].scene.history())
		if j.RunnerUp.Cause() != 2 || gateOf(j.RunnerUp).Flip == "" {
			t.Errorf("%s: the runner-up is %s", name, j.RunnerUp)
		}
	}
}

// TestEveryRuleIsSeen shows that each rule speaks in a scene, and says what it saw.
func TestEveryRuleIsSeen(t *testing.T) {
	seen := map[Signal]string{}
	for name, c := range scenarios() {
		for _, e := range Classify(c.scene.history()).Ledger {
			seen[e.Rule.Signal] = name
			if e.Observed == "" || e.At.IsZero() || e.Rule.Reason == "" {
				t.Errorf("%s: %s says nothing", name, e.Rule.Signal)
			}
		}
	}
	for _, r := range Rules() {
		if r.Signal == SignalUnobserved {
			u := unobserved()
			seen[r.Signal] = signalsOf(begin(node(1, home)).displace(time.Minute, node(1, home), &u), r.Signal)
		}
		if r.Signal == SignalPreceded {
			s := begin(node(1, home)).displace(time.Minute, node(1, home), prompt())
			s.all[0].Before = &Trouble{TroubleLost, s.all[0].At.Add(-time.Second)}
			seen[r.Signal] = signalsOf(s, r.Signal)
		}
		if seen[r.Signal] == "" {
			t.Errorf("no scene shows %s", r.Signal)
		}
	}
}

func signalsOf(s *scene, want Signal) string {
	if slices.ContainsFunc(Classify(s.history()).Ledger, func(e Evidence) bool { return e.Rule.Signal == want }) {
		return "seen"
	}
	return ""
}
