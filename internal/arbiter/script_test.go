package arbiter

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScripts plays the famous cases. A command is an event, its first argument the
// epoch; node=N names the node that learns of it and at=D the time since the start of
// the script. What follows is what the node does. To rewrite them: go test -rewrite.
func TestScripts(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) < 5 {
		t.Fatalf("scripts: %v, %v; want at least the five famous ones", names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			nodes := make(map[string]*State)
			datadriven.RunTest(t, name, func(t *testing.T, d *datadriven.TestData) string {
				t.Helper()
				return play(t, nodes, d)
			})
		})
	}
}

func play(t *testing.T, nodes map[string]*State, d *datadriven.TestData) string {
	t.Helper()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	node, at, until, by, after, cause := "a", "0s", "0s", "", "0.0", ""
	for name, dst := range map[string]*string{"node": &node, "at": &at, "until": &until, "by": &by, "after": &after, "cause": &cause} {
		d.MaybeScanArgs(t, name, dst)
	}
	moment := func(s string) time.Time {
		after, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return start.Add(after)
	}
	var e Epoch
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		e = epoch(t, d.CmdArgs[0].Key)
	}
	if nodes[node] == nil {
		nodes[node] = new(State)
	}
	s, now := nodes[node], moment(at)
	switch d.Cmd {
	case "claim":
		ev := Claim{Epoch: e, After: epoch(t, after)}
		if until != "0s" {
			ev.Until = moment(until)
		}
		return show(start, s.Step(now, ev))
	case "release":
		return show(start, s.Step(now, Release{e}))
	case "alive":
		return show(start, s.Step(now, Alive{e, moment(until)}))
	case "tick":
		return show(start, s.Step(now, Tick{}))
	case "seen":
		return show(start, s.Step(now, Seen{e, by}))
	case "revoke":
		for c := TakenOver; c <= Stopped; c++ {
			if c.String() == cause {
				return show(start, s.Step(now, Revoke{c}))
			}
		}
		t.Fatalf("no cause %q", cause)
	case "holds":
		return fmt.Sprintf("%v\n", s.Holds(e, now))
	}
	t.Fatalf("no command %q", d.Cmd)
	return ""
}

func epoch(t *testing.T, s string) Epoch {
	t.Helper()
	var e Epoch
	if _, err := fmt.Sscanf(s, "%d.%d", &e.Generation, &e.Counter); err != nil {
		t.Fatalf("epoch %q: %v", s, err)
	}
	return e
}

// show prints actions, one a line.
func show(start time.Time, actions []Action) string {
	if len(actions) == 0 {
		return "nothing\n"
	}
	var b strings.Builder
	for _, a := range actions {
		switch a := a.(type) {
		case Grant:
			fmt.Fprintf(&b, "grant %v\n", a.Epoch)
		case Fence:
			fmt.Fprintf(&b, "fence %v: %v", a.Epoch, a.Cause)
			if !a.By.IsZero() {
				fmt.Fprintf(&b, " by %v", a.By)
			}
			if a.Node != "" {
				fmt.Fprintf(&b, " on node %s", a.Node)
			}
			b.WriteByte('\n')
		case Announce:
			fmt.Fprintf(&b, "announce %v %s\n", a.Epoch, map[bool]string{true: "online", false: "offline"}[a.Online])
		case Arm:
			fmt.Fprintf(&b, "arm %v\n", a.At.Sub(start))
		}
	}
	return b.String()
}
