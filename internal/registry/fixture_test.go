package registry

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

const testHost = "hub.example"

// testStart is when every test begins.
var testStart = time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)

// fixture is a registry over an engine in memory, with a clock that tests turn.
type fixture struct {
	*Registry

	engine  *storetest.Memory
	records store.Records
	conns   *connections
	clock   *clock
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// connections is a presence service that is told.
type connections struct {
	mu  sync.Mutex
	are map[iot.Identity]iot.Presence
	err error
}

func (c *connections) Presence(_ context.Context, id iot.Identity) (iot.Presence, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.are[id], c.err
}

var (
	ownerPolicy   = iot.Policy{Name: "iothubowner", Primary: testKey(1), Secondary: testKey(2), Rights: iot.AllRights}
	servicePolicy = iot.Policy{Name: "service", Primary: testKey(3), Secondary: testKey(4), Rights: iot.ServiceConnect}
	devicePolicy  = iot.Policy{Name: "device", Primary: testKey(5), Secondary: testKey(6), Rights: iot.DeviceConnect}
	readPolicy    = iot.Policy{Name: "registryRead", Primary: testKey(7), Secondary: testKey(8), Rights: iot.RegistryRead}
)

// testKey is a key of 32 bytes that differs for each n.
func testKey(n byte) []byte { return []byte(strings.Repeat(string(rune('A'+n)), iot.KeySize)) }

func isTestHost(host string) bool {
	return host == testHost || host == "localhost" || host == "hub.device.example"
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	return newFixtureOn(tb, storetest.New())
}

func newFixtureOn(tb testing.TB, engine *storetest.Memory) *fixture {
	tb.Helper()
	f := &fixture{engine: engine, records: engine.Records(), conns: &connections{are: map[iot.Identity]iot.Presence{}}, clock: &clock{now: testStart}}
	r, err := New(Config{
		Records: f.records, HubName: "hub", Hosts: isTestHost, Presence: f.conns, Now: f.clock.Now,
		Policies: []iot.Policy{ownerPolicy, servicePolicy, devicePolicy, readPolicy},
	})
	if err != nil {
		tb.Fatal(err)
	}
	f.Registry = r
	return f
}

// countReads counts the records that are read by key from now on.
func (f *fixture) countReads() *atomic.Int64 {
	var n atomic.Int64
	f.engine.Fail(func(o storetest.Op) error {
		if o == storetest.RecordsGet {
			n.Add(1)
		}
		return nil
	})
	return &n
}

// plant writes a record's value past the registry.
func (f *fixture) plant(tb testing.TB, key string, value []byte) {
	tb.Helper()
	if _, err := f.records.Apply(tb.Context(), store.Batch{Writes: []store.Write{{Key: key, Value: value, If: store.Any}}}); err != nil {
		tb.Fatal(err)
	}
}

// device registers a device that authenticates as a says.
func (f *fixture) device(tb testing.TB, id string, a *iot.Authentication) iot.Device {
	tb.Helper()
	d, err := f.PutDevice(tb.Context(), id, iot.Device{Authentication: a}, iot.Match{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// module registers a module that authenticates as a says.
func (f *fixture) module(tb testing.TB, id iot.Identity, a *iot.Authentication) iot.Module {
	tb.Helper()
	m, err := f.PutModule(tb.Context(), id, iot.Module{Authentication: a}, iot.Match{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// sasKeys is an authentication with two given keys.
func sasKeys(primary, secondary []byte) *iot.Authentication {
	return &iot.Authentication{Type: iot.AuthenticationSAS, SymmetricKey: &iot.SymmetricKey{
		PrimaryKey: iot.NullString(iot.FormatKey(primary)), SecondaryKey: iot.NullString(iot.FormatKey(secondary)),
	}}
}

// signed is a token over the literal text sr, as a client writes it.
func signed(sr string, key []byte, expiry time.Time, policy string) string {
	se := fmt.Sprint(expiry.Unix())
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(sr + "\n" + se))
	token := "SharedAccessSignature sr=" + sr + "&sig=" + iot.Escape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + se
	if policy != "" {
		token += "&skn=" + policy
	}
	return token
}

// wantCode fails the test unless err is a fault of this code; 0 is no error.
func wantCode(tb testing.TB, err error, want fault.Code) {
	tb.Helper()
	if want == 0 {
		if err != nil {
			tb.Fatalf("got %v, want no error", err)
		}
		return
	}
	if err == nil {
		tb.Fatalf("got no error, want %v", want)
	}
	if got := fault.Of(err); got != want {
		tb.Fatalf("got %v (%v), want %v", got, err, want)
	}
}

// wantDetail fails the test unless the error's detail holds text, and nothing secret.
func wantDetail(tb testing.TB, err error, text string) {
	tb.Helper()
	if got := fault.Detail(err); !strings.Contains(got, text) {
		tb.Errorf("detail %q lacks %q", got, text)
	}
	for n := range byte(40) {
		key := testKey(n)
		for _, secret := range []string{string(key), iot.FormatKey(key), iot.Escape(iot.FormatKey(key))} {
			if strings.Contains(err.Error(), secret) {
				tb.Errorf("error %q holds a key", err)
			}
		}
	}
	if strings.Contains(err.Error(), "sig=") {
		tb.Errorf("error %q holds a token", err)
	}
}
