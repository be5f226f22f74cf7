package telemetry

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

func TestGroups(t *testing.T) {
	ctx := t.Context()
	records := storetest.New().Records()
	now := time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)
	open := func() *Groups {
		t.Helper()
		g, err := OpenGroups(ctx, records, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := open()
	born := now
	now = now.Add(time.Hour)
	for _, name := range []string{"b", "A"} {
		if _, err := g.Create(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := g.Create(ctx, "a"); err != nil || again.Name != "A" {
		t.Errorf("made twice: %+v, %v, want the one that is there", again, err)
	}
	g = open() // as after a restart
	names := func() (all []string) {
		for _, group := range g.List() {
			all = append(all, group.Name)
		}
		return all
	}
	if diff := cmp.Diff([]string{"$Default", "A", "b"}, names()); diff != "" {
		t.Error(diff)
	}
	if !g.Has("$default") || !g.Has("B") || g.Has("c") || !g.Born().Equal(born) {
		t.Errorf("has $default %v, B %v, c %v, born %v", g.Has("$default"), g.Has("B"), g.Has("c"), g.Born())
	}
	if err := g.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for name, code := range map[string]fault.Code{"a": fault.GroupNotFound, "$DEFAULT": fault.InvalidOperation} {
		if err := g.Delete(ctx, name); fault.Of(err) != code {
			t.Errorf("delete %s: %v, want %v", name, err, code)
		}
	}
	if _, err := g.Create(ctx, "no spaces"); fault.Of(err) != fault.ArgumentInvalid {
		t.Errorf("a bad name: %v", err)
	}
	for i := len(names()); i < iot.MaxConsumerGroups; i++ {
		if _, err := g.Create(ctx, fmt.Sprintf("g%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Create(ctx, "more"); fault.Of(err) != fault.InvalidOperation {
		t.Errorf("too many: %v", err)
	}
}
