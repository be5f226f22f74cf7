package registry

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

func TestImportModes(t *testing.T) {
	const absent, there = false, true
	// etag: "" none, "good", "stale", "quoted" (good, in quotes), "*"
	for _, tc := range []struct {
		mode   iot.ImportMode
		exists bool
		etag   string
		want   fault.Code
		after  bool // the identity exists
	}{
		{"", absent, "", 0, there},
		{"", there, "stale", 0, there},
		{iot.ImportCreateOrUpdate, absent, "stale", 0, there},
		{iot.ImportCreateOrUpdate, there, "", 0, there},
		{iot.ImportCreate, absent, "", 0, there},
		{iot.ImportCreate, absent, "*", 0, there},
		{iot.ImportCreate, there, "", fault.DeviceAlreadyExists, there},
		{iot.ImportCreate, there, "good", fault.DeviceAlreadyExists, there},
		{iot.ImportUpdate, absent, "", fault.DeviceNotFound, absent},
		{iot.ImportUpdate, there, "", 0, there},
		{iot.ImportUpdate, there, "stale", 0, there},
		{iot.ImportUpdateIfMatch, absent, "good", fault.DeviceNotFound, absent},
		{iot.ImportUpdateIfMatch, there, "good", 0, there},
		{iot.ImportUpdateIfMatch, there, "quoted", 0, there},
		{iot.ImportUpdateIfMatch, there, "*", 0, there},
		{iot.ImportUpdateIfMatch, there, "stale", fault.PreconditionFailed, there},
		{iot.ImportUpdateIfMatch, there, "", fault.ArgumentNull, there},
		{iot.ImportCreateOrUpdateIfMatch, absent, "good", 0, there},
		{iot.ImportCreateOrUpdateIfMatch, absent, "", 0, there},
		{iot.ImportCreateOrUpdateIfMatch, there, "good", 0, there},
		{iot.ImportCreateOrUpdateIfMatch, there, "stale", fault.PreconditionFailed, there},
		{iot.ImportCreateOrUpdateIfMatch, there, "*", 0, there},
		{iot.ImportCreateOrUpdateIfMatch, there, "", fault.PreconditionFailed, there},
		{iot.ImportDelete, absent, "", fault.DeviceNotFound, absent},
		{iot.ImportDelete, there, "", 0, absent},
		{iot.ImportDelete, there, "stale", 0, absent},
		{iot.ImportDeleteIfMatch, absent, "good", fault.DeviceNotFound, absent},
		{iot.ImportDeleteIfMatch, there, "good", 0, absent},
		{iot.ImportDeleteIfMatch, there, "stale", fault.PreconditionFailed, there},
		{iot.ImportDeleteIfMatch, there, "", 0, absent},
		{iot.ImportDeleteIfMatch, there, "*", 0, absent},
		{iot.ImportUpdateTwin, there, "", fault.GenericNotImplemented, there},
		{iot.ImportUpdateTwinIfMatch, there, "good", fault.GenericNotImplemented, there},
		{"replace", there, "", fault.ArgumentInvalid, there},
	} {
		for _, module := range []string{"", "m"} {
			t.Run(fmt.Sprintf("%s/%v/%s/%s", tc.mode, tc.exists, tc.etag, module), func(t *testing.T) {
				f := newFixture(t)
				id := iot.Identity{Device: "d", Module: module}
				etag := "MjI="
				if module != "" {
					f.device(t, "d", nil)
				}
				switch {
				case tc.exists && module != "":
					etag = f.module(t, id, nil).ETag
				case tc.exists:
					etag = f.device(t, "d", nil).ETag
				}
				tag := map[string]string{"": "", "good": etag, "stale": "c3RhbGU=", "quoted": `"` + etag + `"`, "*": "*"}[tc.etag]
				want := tc.want
				if module != "" {
					want = map[fault.Code]fault.Code{
						fault.DeviceAlreadyExists: fault.ModuleAlreadyExistsOnDevice, fault.DeviceNotFound: fault.ModuleNotFound,
					}[want]
					if want == 0 {
						want = tc.want
					}
				}
				res, err := f.Bulk(t.Context(), []iot.BulkItem{{ID: "d", ModuleID: module, ImportMode: tc.mode, ETag: tag}})
				wantCode(t, err, 0)
				got := fault.Code(0)
				if len(res.Errors) == 1 {
					e := res.Errors[0]
					got = fault.Code(e.ErrorCode)
					if e.DeviceID != "d" || e.ModuleID != module || e.ErrorStatus == "" || e.Operation != string(tc.mode) {
						t.Errorf("got %+v", e)
					}
				}
				if got != want || res.IsSuccessful != (want == 0) {
					t.Errorf("got %+v, want %v", res, want)
				}
				if rec, _, err := f.read(t.Context(), id); err != nil || (rec != nil) != tc.after {
					t.Errorf("afterwards it is there: %v (%v)", rec != nil, err)
				}
				checkCounters(t, f)
			})
		}
	}
}

func TestBulkCarriesEveryMember(t *testing.T) {
	f := newFixture(t)
	const parent = "ms-azure-iot-edge://gw-637345907161634714"
	res, err := f.Bulk(t.Context(), []iot.BulkItem{
		{
			ID: "leaf", Status: iot.StatusDisabled, StatusReason: "why",
			Authentication: sasKeys(testKey(11), testKey(12)), DeviceScope: parent,
		},
		{ID: "gw", Capabilities: &iot.Capabilities{IotEdge: true}, ParentScopes: iot.Scopes{parent}},
		{ID: "gw", ModuleID: "m", Authentication: &iot.Authentication{Type: iot.AuthenticationCA}},
	})
	wantCode(t, err, 0)
	if !res.IsSuccessful {
		t.Fatalf("got %+v", res)
	}
	leaf, err := f.GetDevice(t.Context(), "leaf")
	wantCode(t, err, 0)
	if leaf.Status != iot.StatusDisabled || leaf.StatusReason != "why" || leaf.DeviceScope != parent ||
		!cmp.Equal(leaf.Authentication.SymmetricKey, sasKeys(testKey(11), testKey(12)).SymmetricKey) {
		t.Errorf("got %+v", leaf)
	}
	gw, err := f.GetDevice(t.Context(), "gw")
	wantCode(t, err, 0)
	if !gw.Capabilities.IotEdge || !cmp.Equal(gw.ParentScopes, iot.Scopes{parent}) {
		t.Errorf("got %+v", gw)
	}
	m, err := f.GetModule(t.Context(), iot.Identity{Device: "gw", Module: "m"})
	wantCode(t, err, 0)
	if m.Authentication.Type != iot.AuthenticationCA {
		t.Errorf("got %+v", m)
	}
}

func TestBulkGoesOnPastAnItemThatFails(t *testing.T) {
	f := newFixture(t)
	f.device(t, "old", nil)
	res, err := f.Bulk(t.Context(), []iot.BulkItem{
		{ID: "a", ImportMode: iot.ImportCreate},
		{ID: "old", ImportMode: iot.ImportCreate},
		{ID: "twice", ImportMode: iot.ImportCreate},
		{ID: "bad id", ImportMode: iot.ImportCreate},
		{ID: "twice", ImportMode: iot.ImportDelete},
		{ID: "b", ImportMode: iot.ImportCreate},
	})
	wantCode(t, err, 0)
	type failure struct {
		ID   string
		Code int
	}
	var got []failure
	for _, e := range res.Errors {
		got = append(got, failure{e.DeviceID, e.ErrorCode})
	}
	want := []failure{
		{"old", int(fault.DeviceAlreadyExists)},
		{"twice", int(fault.DeviceDefinedMultipleTimes)},
		{"bad id", int(fault.ArgumentInvalid)},
		{"twice", int(fault.DeviceDefinedMultipleTimes)},
	}
	if diff := cmp.Diff(want, got); diff != "" || res.IsSuccessful {
		t.Error(diff)
	}
	for id, there := range map[string]bool{"a": true, "b": true, "old": true, "twice": false} {
		if rec, _, _ := f.read(t.Context(), iot.Identity{Device: id}); (rec != nil) != there {
			t.Errorf("%s is there: %v", id, rec != nil)
		}
	}
	b, err := json.Marshal(iot.BulkResult{IsSuccessful: true})
	if want := `{"isSuccessful":true,"errors":[],"warnings":[]}`; err != nil || string(b) != want {
		t.Errorf("got %s, want %s", b, want)
	}
}

func TestBulkWarnsOfATwinThatWasNotWritten(t *testing.T) {
	f := newFixture(t)
	f.device(t, "gone", nil)
	res, err := f.Bulk(t.Context(), []iot.BulkItem{
		{ID: "tags", Tags: json.RawMessage(`{"a":1}`)},
		{ID: "desired", Properties: &iot.TwinProperties{Desired: json.RawMessage(` { "a" : 1 }`)}},
		{ID: "empty", Tags: json.RawMessage(` { } `), Properties: &iot.TwinProperties{Desired: json.RawMessage("null")}},
		{ID: "nothing"},
		{ID: "gone", ImportMode: iot.ImportDelete, Tags: json.RawMessage(`{"a":1}`)},
	})
	wantCode(t, err, 0)
	var got []string
	for _, w := range res.Warnings {
		got = append(got, w.DeviceID+" "+w.WarningCode)
	}
	if diff := cmp.Diff([]string{"tags DeviceRegisteredWithoutTwin", "desired DeviceRegisteredWithoutTwin"}, got); diff != "" || !res.IsSuccessful {
		t.Errorf("%v %s", res.IsSuccessful, diff)
	}
}

func TestBulkIsBounded(t *testing.T) {
	f := newFixture(t)
	items := make([]iot.BulkItem, iot.MaxBulk+1)
	for i := range items {
		items[i].ID = fmt.Sprintf("d%03d", i)
	}
	_, err := f.Bulk(t.Context(), items)
	wantCode(t, err, fault.TooManyDevices)
	_, err = f.Bulk(t.Context(), nil)
	wantCode(t, err, fault.ArgumentNull)
	if list, err := f.ListDevices(t.Context(), 0); err != nil || len(list) != 0 {
		t.Errorf("a refused request left %d devices (%v)", len(list), err)
	}
	res, err := f.Bulk(t.Context(), items[:iot.MaxBulk])
	wantCode(t, err, 0)
	if list, err := f.ListDevices(t.Context(), 0); err != nil || len(list) != iot.MaxBulk || !res.IsSuccessful {
		t.Errorf("got %d devices (%v)", len(list), err)
	}
	checkCounters(t, f)
}

func TestBulkTellsAFullDisk(t *testing.T) {
	f := newFixture(t)
	var tries atomic.Int64
	f.engine.Fail(func(op storetest.Op) error {
		if op == storetest.RecordsApply {
			tries.Add(1)
			return store.ErrFull
		}
		return nil
	})
	res, err := f.Bulk(t.Context(), []iot.BulkItem{{ID: "a"}, {ID: "b"}})
	wantCode(t, err, 0)
	if len(res.Errors) != 2 || res.Errors[0].ErrorCode != int(fault.ServiceUnavailable) || tries.Load() != 2 {
		t.Errorf("got %+v after %d writes", res, tries.Load())
	}
}

func TestRegenerateKeys(t *testing.T) {
	f := newFixture(t)
	old := sasKeys(testKey(11), testKey(12))
	oldPrimary, oldSecondary := old.Keys()
	for _, tc := range []struct {
		choice             iot.KeyChoice
		primary, secondary bool // renewed
	}{{iot.PrimaryKey, true, false}, {iot.SecondaryKey, false, true}, {iot.BothKeys, true, true}} {
		dev := "d-" + string(tc.choice)
		before := f.device(t, dev, old)
		f.module(t, iot.Identity{Device: dev, Module: "m"}, old)
		res, err := f.RegenerateKeys(t.Context(), iot.KeyRegeneration{
			PolicyKey: tc.choice, Devices: []iot.KeyTarget{{ID: dev}, {ID: dev, ModuleID: "m"}},
		})
		wantCode(t, err, 0)
		if len(res.RotatedKeys) != 2 || len(res.Errors) != 0 || res.PolicyKey != tc.choice {
			t.Fatalf("got %+v", res)
		}
		for i, k := range res.RotatedKeys {
			if (k.PrimaryKey != oldPrimary) != tc.primary || (k.SecondaryKey != oldSecondary) != tc.secondary {
				t.Errorf("%s %d: the wrong keys were renewed", tc.choice, i)
			}
		}
		after, err := f.GetDevice(t.Context(), dev)
		wantCode(t, err, 0)
		pk, sk := after.Authentication.Keys()
		if pk != res.RotatedKeys[0].PrimaryKey || sk != res.RotatedKeys[0].SecondaryKey || after.ETag == before.ETag {
			t.Errorf("%s: what was answered is not what is stored", tc.choice)
		}
	}
	checkCounters(t, f)

	f.device(t, "cert", &iot.Authentication{Type: iot.AuthenticationCA})
	res, err := f.RegenerateKeys(t.Context(), iot.KeyRegeneration{PolicyKey: iot.BothKeys, Devices: []iot.KeyTarget{
		{ID: "cert"}, {ID: "ghost"}, {ID: "cert", ModuleID: "ghost"}, {ID: "bad id"}, {ID: "d-both"},
	}})
	wantCode(t, err, 0)
	var got []int
	for _, e := range res.Errors {
		got = append(got, e.ErrorCode)
	}
	want := []int{int(fault.InvalidOperation), int(fault.DeviceNotFound), int(fault.ModuleNotFound), int(fault.ArgumentInvalid)}
	if diff := cmp.Diff(want, got); diff != "" || len(res.RotatedKeys) != 1 {
		t.Errorf("%d renewed, errors %s", len(res.RotatedKeys), diff)
	}

	_, err = f.RegenerateKeys(t.Context(), iot.KeyRegeneration{PolicyKey: iot.BothKeys})
	wantCode(t, err, fault.ArgumentInvalid)
	_, err = f.RegenerateKeys(t.Context(), iot.KeyRegeneration{Devices: []iot.KeyTarget{{ID: "cert"}}})
	wantCode(t, err, fault.ArgumentInvalid)
	_, err = f.RegenerateKeys(t.Context(), iot.KeyRegeneration{PolicyKey: iot.BothKeys, Devices: make([]iot.KeyTarget, 101)})
	wantCode(t, err, fault.TooManyDevices)
}

func TestFreshTwin(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	d, err := f.PutDevice(t.Context(), "d", iot.Device{Status: iot.StatusDisabled, StatusReason: "why"}, matchAny)
	wantCode(t, err, 0)
	m := f.module(t, iot.Identity{Device: "d", Module: "m"}, thumbprints("", "0123456789012345678901234567890123456789"))
	f.conns.are[iot.Identity{Device: "d"}] = iot.Presence{Connected: true, LastActivity: testStart.Add(time.Minute)}

	section := func(at string) map[string]any {
		return map[string]any{"$metadata": map[string]any{"$lastUpdated": at}, "$version": 1.0}
	}
	const never = "0001-01-01T00:00:00Z"
	tw, err := f.Twin(t.Context(), iot.Identity{Device: "d"})
	wantCode(t, err, 0)
	want := map[string]any{
		"deviceId": "d", "etag": "AAAAAAAAAAE=", "deviceEtag": d.ETag, "status": "disabled", "statusReason": "why",
		"statusUpdateTime": "2026-01-02T03:04:05.0000006Z", "connectionState": "Connected",
		"lastActivityTime": "2026-01-02T03:05:05.0000006Z", "cloudToDeviceMessageCount": 0.0, "authenticationType": "sas",
		"x509Thumbprint": map[string]any{"primaryThumbprint": nil, "secondaryThumbprint": nil}, "modelId": "", "version": 2.0,
		"properties": map[string]any{
			"desired": section("2026-01-02T03:04:05.0000006Z"), "reported": section("2026-01-02T03:04:05.0000006Z"),
		},
		"capabilities": map[string]any{"iotEdge": false}, "parentScopes": []any{},
	}
	if diff := cmp.Diff(want, asJSON(t, tw)); diff != "" {
		t.Error(diff)
	}
	tw, err = f.Twin(t.Context(), iot.Identity{Device: "d", Module: "m"})
	wantCode(t, err, 0)
	want = map[string]any{
		"deviceId": "d", "moduleId": "m", "etag": "AAAAAAAAAAE=", "deviceEtag": m.ETag, "status": "enabled",
		"statusUpdateTime": never, "connectionState": "Disconnected", "lastActivityTime": never,
		"cloudToDeviceMessageCount": 0.0, "authenticationType": "selfSigned",
		"x509Thumbprint": map[string]any{"primaryThumbprint": nil, "secondaryThumbprint": "0123456789012345678901234567890123456789"},
		"modelId":        "", "version": 2.0, "properties": map[string]any{"desired": section(never), "reported": section(never)},
	}
	if diff := cmp.Diff(want, asJSON(t, tw)); diff != "" {
		t.Error(diff)
	}
	for id, code := range map[iot.Identity]fault.Code{
		{Device: "ghost"}: fault.DeviceNotFound, {Device: "ghost", Module: "m"}: fault.DeviceNotFound,
		{Device: "d", Module: "ghost"}: fault.ModuleNotFound,
	} {
		_, err := f.Twin(t.Context(), id)
		wantCode(t, err, code)
	}
}
