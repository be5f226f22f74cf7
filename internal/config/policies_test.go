package config

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
)

func TestFirstStartMakesAzuresPolicies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := ReadPolicies(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first start: %v", err)
	}
	policies, err := OpenPolicies(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]iot.Right{
		"iothubowner": iot.AllRights, "service": iot.ServiceConnect, "device": iot.DeviceConnect,
		"registryRead": iot.RegistryRead, "registryReadWrite": iot.RegistryWrite,
	}
	got, keys := make(map[string]iot.Right), make(map[string]bool)
	for _, p := range policies {
		got[p.Name] = p.Rights
		keys[string(p.Primary)], keys[string(p.Secondary)] = true, true
		if len(p.Primary) != iot.KeySize || len(p.Secondary) != iot.KeySize {
			t.Errorf("%s: keys of %d and %d bytes", p.Name, len(p.Primary), len(p.Secondary))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || policies[0].Name != "iothubowner" {
		t.Error(diff)
	}
	if len(keys) != 10 {
		t.Errorf("%d different keys, want 10", len(keys))
	}
	info, err := os.Stat(policiesPath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	later, err := OpenPolicies(dir, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(policies, later); diff != "" {
		t.Errorf("a later start has others: %s", diff)
	}
}

func TestPoliciesNeedRandomness(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenPolicies(dir, bytes.NewReader(make([]byte, 319))); err == nil {
		t.Error("keys are made of too little")
	}
	if _, err := os.Stat(policiesPath(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half the policies are kept: %v", err)
	}
}

func TestDamagedPoliciesAreNeitherUsedNorReplacedNorShown(t *testing.T) {
	const key = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
	policy := func(name, rights, primary, secondary string) string {
		return `{"version":1,"policies":[{"name":"` + name + `","rights":[` + rights + `],"primaryKey":"` + primary + `","secondaryKey":"` + secondary + `"}]}`
	}
	both := policy("a", `"DeviceConnect"`, key, key)
	for name, tc := range map[string]struct{ text, want string }{
		"no JSON":         {`{"version":1,"policies":[{"primaryKey":"` + key, "no valid JSON at byte"},
		"other JSON":      {`{"version":"` + key + `"}`, "not the JSON"},
		"newer version":   {`{"version":2}`, "version 2"},
		"none":            {`{"version":1,"policies":[]}`, "1 to 16"},
		"too many":        {`{"version":1,"policies":[` + strings.Repeat(`{"name":"a"},`, 16) + `{"name":"a"}]}`, "1 to 16"},
		"no name":         {policy("", `"DeviceConnect"`, key, key), "name has"},
		"no right":        {policy("a", ``, key, key), "no right"},
		"unknown right":   {policy("a", `"Everything"`, key, key), "Everything"},
		"short key":       {policy("a", `"DeviceConnect"`, "c2VjcmV0", key), "primaryKey"},
		"key no base64":   {policy("a", `"DeviceConnect"`, key, "c2VjcmV0!"), "secondaryKey"},
		"the same policy": {`{"version":1,"policies":[` + both[25:len(both)-2] + `,` + both[25:len(both)-2] + `]}`, "stands twice"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(policiesPath(dir), []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := OpenPolicies(dir, rand.Reader)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("the error shows a key: %v", err)
			}
			if got, _ := os.ReadFile(policiesPath(dir)); string(got) != tc.text {
				t.Error("the file is replaced")
			}
		})
	}
}

func TestAPolicyOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	const key = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
	text := `{"version":1,"policies":[{"name":"line 4","rights":["DeviceConnect","RegistryWrite"],"primaryKey":"` + key + `","secondaryKey":"` + key + `"}]}`
	if err := os.WriteFile(policiesPath(dir), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadPolicies(dir)
	if err != nil || len(got) != 1 || got[0].Rights != iot.DeviceConnect|iot.RegistryWrite || !got[0].Rights.Has(iot.RegistryRead) {
		t.Errorf("got %+v, %v", got, err)
	}
}
