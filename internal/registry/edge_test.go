package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

func moduleNames(tb testing.TB, f *fixture, dev string) []string {
	tb.Helper()
	list, err := f.ListModules(tb.Context(), dev)
	wantCode(tb, err, 0)
	names := []string{}
	for _, m := range list {
		names = append(names, m.ModuleID)
	}
	return names
}

func edge(parents ...string) iot.Device {
	return iot.Device{Capabilities: &iot.Capabilities{IotEdge: true}, ParentScopes: parents}
}

func TestEdgeDeviceComesWithItsScopeAndSystemModules(t *testing.T) {
	f := newFixture(t)
	sent := edge()
	sent.DeviceScope = "ms-azure-iot-edge://chosen-1" // not the client's to choose
	gw, err := f.PutDevice(t.Context(), "gw", sent, iot.Match{})
	wantCode(t, err, 0)
	if want := fmt.Sprintf("ms-azure-iot-edge://gw-%d", iot.Ticks(testStart)); gw.DeviceScope != want {
		t.Errorf("scope %q, want %q", gw.DeviceScope, want)
	}
	if !gw.Capabilities.IotEdge || len(gw.ParentScopes) != 0 {
		t.Errorf("got %+v", gw)
	}
	if diff := cmp.Diff([]string{"$edgeAgent", "$edgeHub"}, moduleNames(t, f, "gw")); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"$edgeAgent", "$edgeHub"} {
		id := iot.Identity{Device: "gw", Module: name}
		wantCode(t, f.DeleteModule(t.Context(), id, matchAny), fault.SystemModuleModifyUnauthorizedAccess)
		_, err := f.PutModule(t.Context(), id, iot.Module{}, iot.Match{})
		wantCode(t, err, fault.ModuleAlreadyExistsOnDevice)
		_, err = f.PutModule(t.Context(), id, iot.Module{Authentication: sasKeys(testKey(1), testKey(2))}, matchAny)
		wantCode(t, err, 0) // the runtime sets its own keys
	}

	// Its scope stays, whatever comes back with an update.
	f.clock.Set(testStart.Add(time.Hour))
	for _, scope := range []string{gw.DeviceScope, "", "ms-azure-iot-edge://else-1"} {
		sent := edge()
		sent.DeviceScope = scope
		next, err := f.PutDevice(t.Context(), "gw", sent, matchAny)
		wantCode(t, err, 0)
		if next.DeviceScope != gw.DeviceScope {
			t.Errorf("sent %q: scope %q, want %q", scope, next.DeviceScope, gw.DeviceScope)
		}
	}
	wantCode(t, f.DeleteDevice(t.Context(), "gw", matchAny), 0)
	if rec, _, err := f.read(t.Context(), iot.Identity{Device: "gw", Module: "$edgeHub"}); rec != nil || err != nil {
		t.Errorf("a system module outlived its device: %v %v", rec, err)
	}
}

func TestSystemModulesAreNotMadeByHand(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	id := iot.Identity{Device: "d", Module: "$edgeHub"}
	_, err := f.PutModule(t.Context(), id, iot.Module{}, iot.Match{})
	wantCode(t, err, fault.SystemModuleModifyUnauthorizedAccess)
	wantCode(t, f.DeleteModule(t.Context(), id, matchAny), fault.ModuleNotFound)
}

func TestDeviceBecomesAnEdgeDeviceAndCeasesToBeOne(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	f.module(t, iot.Identity{Device: "d", Module: "mine"}, nil)
	d, err := f.PutDevice(t.Context(), "d", edge(), matchAny)
	wantCode(t, err, 0)
	if d.DeviceScope == "" {
		t.Error("no scope")
	}
	if diff := cmp.Diff([]string{"$edgeAgent", "$edgeHub", "mine"}, moduleNames(t, f, "d")); diff != "" {
		t.Error(diff)
	}
	checkCounters(t, f)
	var told []string
	f.Watch(func(id iot.Identity, c Change) { told = append(told, id.String()+" "+c.String()) })
	d, err = f.PutDevice(t.Context(), "d", iot.Device{Authentication: d.Authentication}, matchAny)
	wantCode(t, err, 0)
	if d.DeviceScope != "" || d.Capabilities.IotEdge {
		t.Errorf("got %+v", d)
	}
	if diff := cmp.Diff([]string{"mine"}, moduleNames(t, f, "d")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"d/$edgeAgent deleted", "d/$edgeHub deleted"}, told); diff != "" {
		t.Error(diff)
	}
	checkCounters(t, f)

	for i := range iot.MaxModules - 2 {
		f.module(t, iot.Identity{Device: "d", Module: fmt.Sprint("m", i)}, nil)
	}
	_, err = f.PutDevice(t.Context(), "d", edge(), matchAny) // 49 and the two are too many
	wantCode(t, err, fault.TooManyModulesOnDevice)
	checkCounters(t, f)
}

func TestParents(t *testing.T) {
	f := newFixture(t)
	gw, err := f.PutDevice(t.Context(), "gw", edge(), iot.Match{})
	wantCode(t, err, 0)

	leaf, err := f.PutDevice(t.Context(), "leaf", iot.Device{DeviceScope: gw.DeviceScope}, iot.Match{})
	wantCode(t, err, 0)
	if leaf.DeviceScope != gw.DeviceScope || !cmp.Equal(leaf.ParentScopes, iot.Scopes{gw.DeviceScope}) {
		t.Errorf("a leaf's scope is not mirrored: %+v", leaf)
	}
	leaf.DeviceScope = "" // and the mirror comes back from the client
	leaf, err = f.PutDevice(t.Context(), "leaf", leaf, matchAny)
	wantCode(t, err, 0)
	if leaf.DeviceScope != "" || len(leaf.ParentScopes) != 0 {
		t.Errorf("a cleared scope is still there: %+v", leaf)
	}

	nested, err := f.PutDevice(t.Context(), "nested", edge(gw.DeviceScope), iot.Match{})
	wantCode(t, err, 0)
	if nested.DeviceScope == gw.DeviceScope || !cmp.Equal(nested.ParentScopes, iot.Scopes{gw.DeviceScope}) {
		t.Errorf("a nested edge device: %+v", nested)
	}
	nested.ParentScopes = iot.Scopes{}
	nested, err = f.PutDevice(t.Context(), "nested", nested, matchAny)
	wantCode(t, err, 0)
	if len(nested.ParentScopes) != 0 {
		t.Errorf("cleared parents are still there: %+v", nested)
	}
	self, err := f.PutDevice(t.Context(), "nested", edge(nested.DeviceScope), matchAny)
	wantCode(t, err, 0)
	if len(self.ParentScopes) != 0 {
		t.Errorf("an edge device is its own parent: %+v", self)
	}
}
