package conformance

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// service is npm azure-iothub's Registry.
type service struct {
	t *testing.T
	p *puppet
}

func newService(t *testing.T, h *rig.Hub, connection string) service {
	t.Helper()
	p := newPuppet(t, h, "registry")
	p.must("create", args{"connection": connection}, nil)
	return service{t: t, p: p}
}

// call calls a method of the Registry and decodes what it resolved with.
func (s service) call(out any, method string, a ...any) {
	s.t.Helper()
	var got struct{ Value json.RawMessage }
	if a == nil {
		a = []any{}
	}
	s.p.must("call", args{"method": method, "args": a}, &got)
	if out != nil {
		if err := json.Unmarshal(got.Value, out); err != nil {
			s.t.Fatalf("%s resolved with %s: %v", method, got.Value, err)
		}
	}
}

// fail calls a method that must be rejected with an error of this class.
func (s service) fail(class, method string, a ...any) {
	s.t.Helper()
	if a == nil {
		a = []any{}
	}
	err := s.p.try("call", args{"method": method, "args": a}, nil)
	switch {
	case err == nil:
		s.t.Errorf("%s%v succeeded, want %s", method, a, class)
	case err.Kind != class:
		s.t.Errorf("%s%v was rejected with %s, want %s", method, a, err, class)
	}
}

// TestServiceSDKDevices takes devices through their life with azure-iothub.
func TestServiceSDKDevices(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	s := newService(t, h, h.PolicyString("iothubowner"))

	var made, read, updated rig.Identity
	s.call(&made, "create", args{"deviceId": "dev1"})
	if len(made.Key()) != 44 || made.Authentication.Type != "sas" || made.Status != "enabled" || made.ConnectionState != "Disconnected" {
		t.Errorf("created %+v, want an enabled device with keys of the hub's making", made)
	}
	s.call(&read, "get", "dev1")
	if diff := cmp.Diff(made.Authentication, read.Authentication); diff != "" {
		t.Errorf("keys as created and as read (-want +got):\n%s", diff)
	}
	odd := "A-z:0.9+%_#*?!(),=@;$'"
	s.call(nil, "create", args{"deviceId": odd})
	s.call(&read, "get", odd)
	if read.DeviceID != odd {
		t.Errorf("read %q, want %q", read.DeviceID, odd)
	}

	s.call(&updated, "update", args{"deviceId": "dev1", "status": "disabled", "statusReason": "stolen", "authentication": made.Authentication})
	if updated.Status != "disabled" || updated.StatusReason != "stolen" || updated.ETag == made.ETag || updated.GenerationID != made.GenerationID {
		t.Errorf("updated %+v from %+v", updated, made)
	}

	var all []rig.Identity
	s.call(&all, "list")
	if got := ids(all); len(got) != 2 || !got["dev1"] || !got[odd] {
		t.Errorf("list gives %v", got)
	}
	var count map[string]int
	s.call(&count, "getRegistryStatistics")
	if diff := cmp.Diff(map[string]int{"totalDeviceCount": 2, "enabledDeviceCount": 1, "disabledDeviceCount": 1}, count); diff != "" {
		t.Errorf("statistics (-want +got):\n%s", diff)
	}

	s.call(nil, "delete", odd)
	s.fail("DeviceNotFoundError", "get", odd)
	s.fail("DeviceNotFoundError", "delete", odd)
	s.fail("DeviceNotFoundError", "update", args{"deviceId": odd})
	s.fail("DeviceNotFoundError", "getTwin", odd)
	s.fail("DeviceAlreadyExistsError", "create", args{"deviceId": "dev1"})
	s.fail("ArgumentError", "create", args{"deviceId": "a b"})
}

func ids(all []rig.Identity) map[string]bool {
	got := map[string]bool{}
	for _, d := range all {
		got[d.DeviceID] = true
	}
	return got
}

// TestServiceSDKBulk adds, updates and removes a hundred devices at once.
func TestServiceSDKBulk(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	s := newService(t, h, h.PolicyString("registryReadWrite"))
	type result struct {
		IsSuccessful bool
		Errors       []struct {
			DeviceID    string
			ErrorCode   int
			ErrorStatus string
		}
	}
	many := make([]args, 100)
	for i := range many {
		many[i] = args{"deviceId": fmt.Sprintf("dev%03d", i), "status": "enabled"}
	}
	var got result
	s.call(&got, "addDevices", many)
	if !got.IsSuccessful || len(got.Errors) != 0 {
		t.Fatalf("addDevices: %+v", got)
	}
	for i := range many {
		many[i]["status"] = "disabled"
	}
	s.call(&got, "updateDevices", many, true)
	if !got.IsSuccessful {
		t.Fatalf("updateDevices: %+v", got)
	}
	var count map[string]int
	s.call(&count, "getRegistryStatistics")
	if count["disabledDeviceCount"] != 100 {
		t.Errorf("statistics %v, want 100 disabled", count)
	}
	var all []rig.Identity
	s.call(&all, "list")
	if len(all) != 100 {
		t.Fatalf("list gives %d devices, want 100", len(all))
	}
	// By tag: every tag is right but one.
	remove := make([]args, len(all))
	for i, d := range all {
		remove[i] = args{"deviceId": d.DeviceID, "etag": d.ETag}
	}
	remove[7]["etag"] = "MTIzNDU2Nzg5MDEyMw=="
	if err := s.p.try("call", args{"method": "removeDevices", "args": []any{remove, false}}, nil); err == nil {
		t.Error("removeDevices with a stale etag succeeded")
	}
	s.call(&all, "list")
	if len(all) != 1 {
		t.Errorf("%d devices are left, want the one with the stale etag", len(all))
	}
	s.call(&got, "removeDevices", []args{{"deviceId": all[0].DeviceID}}, true)
	if !got.IsSuccessful {
		t.Errorf("removeDevices by force: %+v", got)
	}
}

// TestServiceSDKModules takes modules through their life.
func TestServiceSDKModules(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	s := newService(t, h, h.PolicyString("iothubowner"))
	s.call(nil, "create", args{"deviceId": "dev1"})
	var m rig.Identity
	s.call(&m, "addModule", args{"deviceId": "dev1", "moduleId": "mod1"})
	s.call(&m, "getModule", "dev1", "mod1")
	if m.ModuleID != "mod1" || m.DeviceID != "dev1" || len(m.Key()) != 44 {
		t.Errorf("module %+v", m)
	}
	old := m.ETag
	s.call(&m, "updateModule", args{"deviceId": "dev1", "moduleId": "mod1", "authentication": m.Authentication}, true)
	if m.ETag == old {
		t.Error("the etag did not change with the update")
	}
	var all []rig.Identity
	s.call(&all, "getModulesOnDevice", "dev1")
	if len(all) != 1 || all[0].ModuleID != "mod1" {
		t.Errorf("modules %+v", all)
	}
	var twin map[string]any
	s.call(&twin, "getModuleTwin", "dev1", "mod1")
	if twin["deviceId"] != "dev1" || twin["moduleId"] != "mod1" {
		t.Errorf("module twin %v", twin)
	}
	s.call(nil, "removeModule", "dev1", "mod1")
	s.call(&all, "getModulesOnDevice", "dev1")
	if len(all) != 0 {
		t.Errorf("modules %+v, want none", all)
	}
	if err := s.p.try("call", args{"method": "getModule", "args": []any{"dev1", "mod1"}}, nil); err == nil || err.Status != 404 {
		t.Errorf("getModule of a removed module: %v, want 404", err)
	}
	s.fail("DeviceNotFoundError", "addModule", args{"deviceId": "nobody", "moduleId": "mod1"})
}

// TestServiceSDKTwin reads the whole twin document as it is until twins come.
func TestServiceSDKTwin(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	s := newService(t, h, h.PolicyString("service"))
	d := h.AddDevice("dev1")
	l := h.Dial(t)
	l.Enter(d.Hello())
	var twin struct {
		DeviceID        string
		ETag            string
		DeviceETag      string
		Status          string
		ConnectionState string
		Version         int
		Tags            map[string]any
		Properties      map[string]map[string]any
	}
	s.call(&twin, "getTwin", "dev1")
	if twin.DeviceID != "dev1" || twin.Status != "enabled" || twin.ConnectionState != "Connected" || twin.ETag == "" || twin.DeviceETag != d.ETag {
		t.Errorf("twin %+v", twin)
	}
	var connected struct{ ConnectedDeviceCount int }
	h.RequestAs(h.PolicyToken("service"), "GET", "/statistics/service", "").Want(t, 200).JSON(t, &connected)
	if connected.ConnectedDeviceCount != 1 {
		t.Errorf("statistics count %d connected devices, want 1", connected.ConnectedDeviceCount)
	}
	for _, section := range []string{"desired", "reported"} {
		if got := fmt.Sprint(twin.Properties[section]["$version"]); got != "1" {
			t.Errorf("%s.$version is %s, want 1", section, got)
		}
	}
}

// TestServiceSDKRights holds each shared access policy to its rights.
func TestServiceSDKRights(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	h.AddDevice("dev1")
	allowed := map[string]map[string]bool{
		"get":     {"registryRead": true, "registryReadWrite": true},
		"create":  {"registryReadWrite": true},
		"getTwin": {"service": true},
	}
	for _, policy := range []string{"registryRead", "registryReadWrite", "service", "device"} {
		s := newService(t, h, h.PolicyString(policy))
		for method, arg := range map[string]any{"get": "dev1", "create": args{"deviceId": "by-" + policy}, "getTwin": "dev1"} {
			if allowed[method][policy] {
				s.call(nil, method, arg)
			} else {
				s.fail("UnauthorizedError", method, arg)
			}
		}
	}
	wrong := newService(t, h, "HostName="+rig.Host+";SharedAccessKeyName=iothubowner;SharedAccessKey=d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc=")
	wrong.fail("UnauthorizedError", "get", "dev1")
}
