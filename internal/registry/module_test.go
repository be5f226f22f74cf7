package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

func TestNewModuleHasEveryMember(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	f.clock.Set(testStart.Add(time.Hour))
	id := iot.Identity{Device: "d", Module: "m"}
	m, err := f.PutModule(t.Context(), id, iot.Module{ManagedBy: "IotEdge", ModuleID: "m", DeviceID: "d"}, iot.Match{})
	wantCode(t, err, 0)
	got := asJSON(t, m)
	pk, sk := m.Authentication.Keys()
	want := map[string]any{
		"moduleId": "m", "managedBy": "IotEdge", "deviceId": "d",
		"generationId": fmt.Sprint(iot.Ticks(testStart.Add(time.Hour))), "etag": got["etag"],
		"connectionState": "Disconnected", "connectionStateUpdatedTime": "0001-01-01T00:00:00Z",
		"lastActivityTime": "0001-01-01T00:00:00Z", "cloudToDeviceMessageCount": 0.0,
		"authentication": map[string]any{
			"symmetricKey":   map[string]any{"primaryKey": pk, "secondaryKey": sk},
			"x509Thumbprint": map[string]any{"primaryThumbprint": nil, "secondaryThumbprint": nil}, "type": "sas",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || pk == "" || sk == "" {
		t.Error(diff)
	}
	read, err := f.GetModule(t.Context(), id)
	wantCode(t, err, 0)
	if diff := cmp.Diff(m, read); diff != "" {
		t.Error(diff)
	}
}

func TestModuleIfMatch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		exists bool
		match  func(etag string) iot.Match
		put    fault.Code
		del    fault.Code
	}{
		{"no tag, absent", false, func(string) iot.Match { return iot.Match{} }, 0, fault.ModuleNotFound},
		{"no tag, there", true, func(string) iot.Match { return iot.Match{} }, fault.ModuleAlreadyExistsOnDevice, 0},
		{"any, absent", false, func(string) iot.Match { return matchAny }, fault.ModuleNotFound, fault.ModuleNotFound},
		{"any, there", true, func(string) iot.Match { return matchAny }, 0, 0},
		{"etag, there", true, matchETag, 0, 0},
		{"stale etag", true, func(string) iot.Match { return matchETag("MQ==") }, fault.PreconditionFailed, fault.PreconditionFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id := iot.Identity{Device: "d", Module: "m"}
			f := newFixture(t)
			f.device(t, "d", nil)
			etag := "MjI="
			if tc.exists {
				etag = f.module(t, id, nil).ETag
			}
			m, err := f.PutModule(t.Context(), id, iot.Module{ManagedBy: "x"}, tc.match(etag))
			wantCode(t, err, tc.put)
			if err == nil {
				etag = m.ETag
			}
			if tc.exists || tc.put != 0 {
				wantCode(t, f.DeleteModule(t.Context(), id, tc.match(etag)), tc.del)
			}
		})
	}
}

func TestModulesOfNoDevice(t *testing.T) {
	f := newFixture(t)
	id := iot.Identity{Device: "ghost", Module: "m"}
	for _, m := range []iot.Match{{}, matchAny, matchETag("MQ==")} {
		_, err := f.PutModule(t.Context(), id, iot.Module{}, m)
		wantCode(t, err, fault.DeviceNotFound)
		wantCode(t, f.DeleteModule(t.Context(), id, m), fault.DeviceNotFound)
	}
	_, err := f.GetModule(t.Context(), id)
	wantCode(t, err, fault.DeviceNotFound)
	_, err = f.ListModules(t.Context(), "ghost")
	wantCode(t, err, fault.DeviceNotFound)

	f.device(t, "d", nil)
	for _, bad := range []iot.Identity{{Device: "d"}, {Device: "d", Module: "a b"}, {Device: "a b", Module: "m"}} {
		_, err := f.GetModule(t.Context(), bad)
		wantCode(t, err, fault.ArgumentInvalid)
		_, err = f.PutModule(t.Context(), bad, iot.Module{}, iot.Match{})
		wantCode(t, err, fault.ArgumentInvalid)
		wantCode(t, f.DeleteModule(t.Context(), bad, matchAny), fault.ArgumentInvalid)
	}
	_, err = f.PutModule(t.Context(), iot.Identity{Device: "d", Module: "m"}, iot.Module{DeviceID: "e"}, iot.Match{})
	wantCode(t, err, fault.ArgumentInvalid)
	_, err = f.PutModule(t.Context(), iot.Identity{Device: "d", Module: "m"}, iot.Module{ModuleID: "n"}, iot.Match{})
	wantCode(t, err, fault.ArgumentInvalid)
}

func TestAtMostFiftyModules(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	f.device(t, "d-", nil) // an id that begins with another is another device
	f.module(t, iot.Identity{Device: "d-", Module: "other"}, nil)
	for i := range iot.MaxModules {
		f.module(t, iot.Identity{Device: "d", Module: fmt.Sprintf("m%02d", i)}, nil)
	}
	_, err := f.PutModule(t.Context(), iot.Identity{Device: "d", Module: "more"}, iot.Module{}, iot.Match{})
	wantCode(t, err, fault.TooManyModulesOnDevice)
	list, err := f.ListModules(t.Context(), "d")
	wantCode(t, err, 0)
	if len(list) != iot.MaxModules || list[0].ModuleID != "m00" || list[49].ModuleID != "m49" {
		t.Errorf("got %d modules", len(list))
	}
	// Updating one of the fifty is no new module, and neither is one behind a deleted one.
	_, err = f.PutModule(t.Context(), iot.Identity{Device: "d", Module: "m07"}, iot.Module{}, matchAny)
	wantCode(t, err, 0)
	wantCode(t, f.DeleteModule(t.Context(), iot.Identity{Device: "d", Module: "m07"}, matchAny), 0)
	f.module(t, iot.Identity{Device: "d", Module: "more"}, nil)

	wantCode(t, f.DeleteDevice(t.Context(), "d", matchAny), 0)
	for _, id := range []string{"m00", "more"} {
		if rec, _, err := f.read(t.Context(), iot.Identity{Device: "d", Module: id}); err != nil || rec != nil {
			t.Errorf("module %s outlived its device: %v, %v", id, rec, err)
		}
	}
	_, err = f.GetModule(t.Context(), iot.Identity{Device: "d-", Module: "other"})
	wantCode(t, err, 0)
}

func TestModulesLeaveTheDevicesETagAlone(t *testing.T) {
	f := newFixture(t)
	d := f.device(t, "d", nil)
	id := iot.Identity{Device: "d", Module: "m"}
	f.module(t, id, nil)
	wantCode(t, f.DeleteModule(t.Context(), id, matchAny), 0)
	got, err := f.GetDevice(t.Context(), "d")
	wantCode(t, err, 0)
	if diff := cmp.Diff(d, got); diff != "" {
		t.Error(diff)
	}
	_, err = f.PutDevice(t.Context(), "d", d, matchETag(d.ETag))
	wantCode(t, err, 0)
}
