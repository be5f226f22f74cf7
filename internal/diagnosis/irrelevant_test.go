package diagnosis

import (
	"container/list"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// stillClerk is a clerk that nobody runs: it takes what it is handed.
func stillClerk() *clerk {
	d := &Diagnosis{
		queue: newQueue(), connections: newFeed[iot.ConnectionEvent](), stories: newFeed[iot.ConflictSummary](), sequence: sequence{run: 1},
	}
	cfg := Config{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Started: start.Add(-time.Hour), MaxCases: maxCases}
	return newClerk(d, cfg, 1, true)
}

// plot makes the events that tell a story, of an identity.
func plot(id iot.Identity, all []Displacement) []event {
	var events []event
	for i := range all {
		d := all[i]
		loser, winner := d.Loser, d.Winner
		loser.Epoch, winner.Epoch = fmt.Sprint("1.", i), fmt.Sprint("1.", i+1)
		events = append(events, event{kind: eventEnded, at: d.At, identity: id, code: d.Code, peer: loser, by: &winner})
		if d.Afterlife != nil {
			events = append(events, event{kind: eventAfterlife, identity: id, peer: Party{Epoch: loser.Epoch}, afterlife: d.Afterlife.Afterlife})
		}
	}
	return events
}

// TestIrrelevantEventsNeverChangeAVerdict: whatever happens to others meanwhile, and
// whatever of one's own says nothing of who the clients are, and in whatever order that
// is told between the events of a story.
func TestIrrelevantEventsNeverChangeAVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		own := plot(dev1, drawStory(t, 10))
		var noise []event
		for i := range rapid.IntRange(0, 30).Draw(t, "noise") {
			at := start.Add(time.Duration(rapid.IntRange(0, 7200).Draw(t, "at")) * time.Second)
			other := iot.Identity{Device: rapid.SampledFrom([]string{"dev10", "x", "dev"}).Draw(t, "other")}
			module := iot.Identity{Device: dev1.Device, Module: "m"}
			stranger := node(uint64(i), home).party(0, 0)
			stranger.Epoch = fmt.Sprint("1.", i)
			noise = append(noise, rapid.SampledFrom([]event{
				{kind: eventConnected, at: at, identity: other, peer: stranger},
				{kind: eventConnected, at: at, identity: dev1, peer: stranger},
				{kind: eventEnded, at: at, identity: other, peer: stranger, by: &stranger},
				{kind: eventEnded, at: at, identity: module, peer: stranger, by: &stranger},
				{kind: eventEnded, at: at, identity: dev1, code: fault.DeviceConnectionClosedRemotely, peer: stranger},
				{kind: eventRefused, at: at, identity: dev1},
				{kind: eventAfterlife, identity: other, peer: stranger, afterlife: device.Afterlife{Kind: device.AfterlifeReset}},
				{kind: eventAfterlife, identity: module, peer: stranger, afterlife: device.Afterlife{Kind: device.AfterlifeReset}},
				{kind: eventForget, identity: other},
			}).Draw(t, "what"))
		}
		judged := func(events []event) iot.ConflictSummary {
			c := stillClerk()
			for i := range events {
				c.take(&events[i])
			}
			c.judge()
			return c.entries[dev1].Value.(*entry).summary
		}
		want := judged(own)
		var mixed []event
		for rest := own; len(rest) > 0 || len(noise) > 0; {
			if len(noise) == 0 || len(rest) > 0 && rapid.Bool().Draw(t, "own") {
				mixed, rest = append(mixed, rest[0]), rest[1:]
			} else {
				mixed, noise = append(mixed, noise[0]), noise[1:]
			}
		}
		if got := judged(mixed); got.Verdict != want.Verdict || got.Confidence != want.Confidence || got.Conflicts != want.Conflicts {
			t.Fatalf("got %s %v, want %s %v", got.Verdict, got.Confidence, want.Verdict, want.Confidence)
		}
	})
}

// TestDroppedEntriesLeaveNothing: of an identity that is forgotten nothing stays in any of
// the clerk's tables.
func TestDroppedEntriesLeaveNothing(t *testing.T) {
	c := stillClerk()
	module := iot.Identity{Device: dev1.Device, Module: "m"}
	for _, id := range []iot.Identity{dev1, module} {
		for _, ev := range plot(id, duel(node(1, home), node(2, home), 5, time.Second, prompt).all) {
			c.take(&ev)
		}
	}
	c.judge()
	c.forget(dev1)
	if n := len(c.entries) + len(c.hotAt) + len(c.restive) + len(c.untold) + len(c.dirty) + len(c.modules) + c.kept; n != 0 {
		t.Errorf("%d entries are left: %+v", n, c)
	}
	for _, l := range []*list.List{c.touched, c.hot} {
		if l.Len() != 0 {
			t.Errorf("a list holds %d", l.Len())
		}
	}
}
