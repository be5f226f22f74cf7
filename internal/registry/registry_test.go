package registry

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

func TestConfigIsChecked(t *testing.T) {
	good := func() Config {
		return Config{Records: storetest.New().Records(), HubName: "hub", Hosts: isTestHost, Policies: []iot.Policy{ownerPolicy}}
	}
	short := ownerPolicy
	short.Secondary = []byte("short")
	for name, tc := range map[string]struct {
		spoil func(*Config)
		ok    bool
	}{
		"good":         {func(*Config) {}, true},
		"no records":   {func(c *Config) { c.Records = nil }, false},
		"no hosts":     {func(c *Config) { c.Hosts = nil }, false},
		"short key":    {func(c *Config) { c.Policies = []iot.Policy{short} }, false},
		"named twice":  {func(c *Config) { c.Policies = []iot.Policy{ownerPolicy, ownerPolicy} }, false},
		"no name":      {func(c *Config) { c.Policies = []iot.Policy{{Primary: testKey(1), Secondary: testKey(2)}} }, false},
		"too many":     {func(c *Config) { c.Policies = make([]iot.Policy, maxPolicies+1) }, false},
		"no random":    {func(c *Config) { c.Random = iotest.ErrReader(errors.New("dry")) }, false},
		"closed store": {func(c *Config) { m := storetest.New(); _ = m.Close(); c.Records = m.Records() }, false},
	} {
		c := good()
		tc.spoil(&c)
		if r, err := New(c); (err == nil) != tc.ok || (r != nil) != tc.ok {
			t.Errorf("%s: got %v", name, err)
		} else if err != nil && strings.Contains(err.Error(), "short\"") {
			t.Errorf("%s: the error holds a key: %v", name, err)
		}
	}
}

func TestNewerOrDamagedAuthoritiesStopTheStart(t *testing.T) {
	for value, want := range map[string]error{
		`{"version":2,"authorities":[]}`: store.ErrFormat,
		`{"version":1,`:                  store.ErrCorrupt,
	} {
		m := storetest.New()
		if _, err := m.Records().Apply(t.Context(), store.Batch{Writes: []store.Write{{Key: caKey, Value: []byte(value), If: store.Any}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Records: m.Records(), Hosts: isTestHost}); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", value, err, want)
		}
	}
}

func TestWithoutRandomnessNothingIsMade(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	f.random.r = iotest.ErrReader(errors.New("dry"))
	_, err := f.PutDevice(t.Context(), "e", iot.Device{}, iot.Match{})
	wantCode(t, err, fault.ServerError)
	_, err = f.PutDevice(t.Context(), "d", iot.Device{}, matchAny)
	wantCode(t, err, fault.ServerError)
	_, err = f.PutDevice(t.Context(), "d", iot.Device{Authentication: sasKeys(testKey(1), testKey(2))}, matchAny)
	wantCode(t, err, 0) // keys of the client's own need none
	_, err = f.NewVerificationCode(t.Context(), "x")
	wantCode(t, err, fault.ServerError)
	checkCounters(t, f)
}
