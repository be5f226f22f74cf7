package registry

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// encode percent-encodes all but letters, digits and safe, in upper-case hex.
func encode(s, safe string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// sdks is how each SDK writes sr (device-mqtt-http 2.2).
var sdks = map[string]func(host, dev, mod string) string{
	"node": func(host, dev, mod string) string { // encodeURIComponent, then !'()* in lower-case hex
		s := encode(audience(host, dev, mod), "-_.!~*'()")
		for _, c := range "!'()*" {
			s = strings.ReplaceAll(s, string(c), fmt.Sprintf("%%%02x", c))
		}
		return s
	},
	"python": func(host, dev, mod string) string { return encode(audience(host, dev, mod), "_.-~") },
	"dotnet": func(host, dev, mod string) string { // the id is encoded twice
		net := func(s string) string { return encode(s, "-_.!*()") }
		if mod == "" {
			return net(host + "/devices/" + net(dev))
		}
		return net(host + "/devices/" + net(dev) + "/modules/" + net(mod))
	},
	"java": func(host, dev, mod string) string { // literal slashes
		enc := func(s string) string { return encode(s, ".-*_") }
		if mod == "" {
			return host + "/devices/" + enc(dev)
		}
		return host + "/devices/" + enc(dev) + "/modules/" + enc(mod)
	},
	"c":        audience,
	"embedded": func(host, dev, mod string) string { return encode(audience(host, dev, mod), "_.-~") },
	"go": func(host, dev, mod string) string {
		if mod == "" {
			return host
		}
		return url.QueryEscape(url.QueryEscape(host + "/devices/" + url.QueryEscape(dev) + "/modules/" + url.QueryEscape(mod)))
	},
	"old tools": func(host, dev, mod string) string { return audience(host, dev, mod) + "/api-version=2016-11-14" },
	"port":      func(_, dev, mod string) string { return audience("HUB.Example:8883", dev, mod) },
	"alias":     func(_, dev, mod string) string { return audience("hub.device.example", dev, mod) },
}

func audience(host, dev, mod string) string {
	if mod == "" {
		return host + "/devices/" + dev
	}
	return host + "/devices/" + dev + "/modules/" + mod
}

func TestEverySDKsTokenAuthenticates(t *testing.T) {
	f := newFixture(t)
	for _, id := range []iot.Identity{
		{Device: "dev1"},
		{Device: "Dev-1:.%_*?!(),=@$'x"},
		{Device: "100%41"},
		{Device: "a+b#c"},
		{Device: "dev1", Module: "mod1"},
		{Device: "dev1", Module: "m%2F(1)!*'"},
	} {
		if id.IsModule() {
			f.module(t, id, sasKeys(testKey(11), testKey(12)))
		} else {
			f.device(t, id.Device, sasKeys(testKey(11), testKey(12)))
		}
		for name, sr := range sdks {
			for slot, key := range map[string][]byte{"primary": testKey(11), "secondary": testKey(12)} {
				expiry := testStart.Add(time.Hour).Truncate(time.Second)
				token := signed(sr(testHost, id.Device, id.Module), key, expiry, "")
				if name == "c" { // it escapes the signature in lower case
					head, tail, _ := strings.Cut(token, "&sig=")
					token = head + "&sig=" + strings.NewReplacer("%2B", "%2b", "%2F", "%2f", "%3D", "%3d").Replace(tail)
				}
				proof, err := f.Authenticate(t.Context(), id, testHost, device.Credential{SAS: token})
				if err != nil {
					t.Errorf("%s %s %s: %v", name, id, slot, err)
					continue
				}
				scope := iot.ScopeDevice
				if id.IsModule() {
					scope = iot.ScopeModule
				}
				want := device.Proof{
					Stamp: iot.Stamp{Identity: id, Generation: proof.Stamp.Generation, Scope: scope, Auth: iot.AuthSAS},
					Slot:  slot, TokenHash: proof.TokenHash, Expires: expiry,
				}
				if diff := cmp.Diff(want, proof); diff != "" || proof.TokenHash == 0 || proof.Stamp.Generation == 0 {
					t.Errorf("%s %s: %s", name, id, diff)
				}
			}
		}
	}
}

func TestTokenFieldsComeInAnyOrder(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	token := signed(testHost, devicePolicy.Primary, testStart.Add(time.Hour), devicePolicy.Name)
	fields := strings.Split(strings.TrimPrefix(token, "SharedAccessSignature "), "&")
	for _, order := range [][4]int{{0, 1, 2, 3}, {1, 2, 3, 0}, {0, 1, 3, 2}, {3, 2, 1, 0}} {
		var list []string
		for _, i := range order {
			list = append(list, fields[i])
		}
		_, err := f.Authenticate(t.Context(), iot.Identity{Device: "d"}, testHost,
			device.Credential{SAS: "SharedAccessSignature " + strings.Join(list, "&")})
		wantCode(t, err, 0)
	}
}

func TestTokenThatProvesNothingIsRefused(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	f.device(t, "other", sasKeys(testKey(13), testKey(14)))
	f.device(t, "d2", sasKeys(testKey(11), testKey(12)))
	f.device(t, "none", &iot.Authentication{Type: iot.AuthenticationNone})
	f.device(t, "ca", &iot.Authentication{Type: iot.AuthenticationCA})
	f.device(t, "off", sasKeys(testKey(11), testKey(12)))
	f.module(t, iot.Identity{Device: "d", Module: "m"}, sasKeys(testKey(15), testKey(16)))
	f.module(t, iot.Identity{Device: "off", Module: "m"}, sasKeys(testKey(15), testKey(16)))
	if _, err := f.PutDevice(t.Context(), "off", iot.Device{
		Status: iot.StatusDisabled, Authentication: sasKeys(testKey(11), testKey(12)),
	}, iot.Match{Kind: iot.MatchAny}); err != nil {
		t.Fatal(err)
	}
	hour := testStart.Add(time.Hour)
	good := signed(testHost+"/devices/d", testKey(11), hour, "")
	flipped := strings.Replace(good, "se=", "se=1", 1)

	for _, tc := range []struct {
		name, dev, mod, host, token string
		want                        fault.Code
		detail                      string
	}{
		{"good", "d", "", testHost, good, 0, ""},
		{"host with a port", "d", "", "HUB.example:8883", good, 0, ""},
		{"another alias than the token's", "d", "", "localhost", good, 0, ""},
		{"foreign host", "d", "", "other.example", good, fault.IotHubNotFound, "is not a name of the hub 'hub'"},
		{"no host", "d", "", "", good, fault.IotHubNotFound, "is not a name"},
		{"nothing sent", "d", "", testHost, "", fault.IotHubUnauthorized, "no token was sent"},
		{"not a token", "d", "", testHost, "password", fault.IotHubUnauthorized, "shared access signature"},
		{"changed expiry", "d", "", testHost, flipped, fault.IotHubUnauthorized, "signature does not match either key of device 'd'"},
		{"another device's key", "d", "", testHost, signed(testHost+"/devices/d", testKey(13), hour, ""), fault.IotHubUnauthorized, "does not match either key"},
		{"same key, another device's token", "d2", "", testHost, good, fault.IotHubUnauthorized, "does not cover devices/d2"},
		{"prefix of an id is no prefix", "d", "", testHost, signed(testHost+"/devices/d2", testKey(11), hour, ""), fault.IotHubUnauthorized, "does not cover devices/d of"},
		{"another hub's token", "d", "", testHost, signed("else.example/devices/d", testKey(11), hour, ""), fault.IotHubUnauthorized, "does not cover"},
		{"expired within the skew", "d", "", testHost, signed(testHost+"/devices/d", testKey(11), testStart.Add(-299*time.Second), ""), 0, ""},
		{"expired beyond the skew", "d", "", testHost, signed(testHost+"/devices/d", testKey(11), testStart.Add(-301*time.Second), ""), fault.IotHubUnauthorized, "expired at 2026-01-02T02:59:04Z, server time is 2026-01-02T03:04:05Z"},
		{"expired and badly signed", "d", "", testHost, signed(testHost+"/devices/d", testKey(13), testStart.Add(-time.Hour), ""), fault.IotHubUnauthorized, "does not match either key"},
		{"the epoch", "d", "", testHost, signed(testHost+"/devices/d", testKey(11), time.Unix(0, 0), ""), fault.IotHubUnauthorized, "expired at 1970-01-01"},

		{"module's own key", "d", "m", testHost, signed(testHost+"/devices/d/modules/m", testKey(15), hour, ""), 0, ""},
		{"device's key for its module", "d", "m", testHost, signed(testHost+"/devices/d/modules/m", testKey(11), hour, ""), fault.IotHubUnauthorized, "either key of module 'm' of device 'd'"},
		{"device's token for its module", "d", "m", testHost, good, fault.IotHubUnauthorized, "does not match"},
		{"module's key for its device", "d", "", testHost, signed(testHost+"/devices/d", testKey(15), hour, ""), fault.IotHubUnauthorized, "does not match"},
		{"module's token covers its device's path", "d", "m", testHost, signed(testHost+"/devices/d", testKey(15), hour, ""), 0, ""},
		{"another module's scope", "d", "m", testHost, signed(testHost+"/devices/d/modules/n", testKey(15), hour, ""), fault.IotHubUnauthorized, "does not cover"},

		{"unknown device", "ghost", "", testHost, good, fault.DeviceNotFound, "device 'ghost' is not registered"},
		{"unknown module", "d", "ghost", testHost, good, fault.ModuleNotFound, "module 'ghost' of device 'd'"},
		{"module of an unknown device", "ghost", "m", testHost, good, fault.DeviceNotFound, "device 'ghost'"},
		{"ids are case-sensitive", "D", "", testHost, good, fault.DeviceNotFound, ""},
		{"no id", "", "", testHost, good, fault.DeviceNotFound, ""},
		{"an id that is a key", "d/../d", "", testHost, good, fault.DeviceNotFound, ""},
		{"a module id that is a key", "d", "m/n", testHost, good, fault.ModuleNotFound, ""},

		{"disabled", "off", "", testHost, signed(testHost+"/devices/off", testKey(11), hour, ""), fault.DeviceDisabled, "device 'off' is disabled"},
		{"module of a disabled device", "off", "m", testHost, signed(testHost+"/devices/off/modules/m", testKey(15), hour, ""), fault.DeviceDisabled, "device 'off' is disabled"},
		{"disabled is told only to who proved it", "off", "", testHost, signed(testHost+"/devices/off", testKey(13), hour, ""), fault.IotHubUnauthorized, "does not match"},
		{"type none", "none", "", testHost, signed(testHost+"/devices/none", testKey(11), hour, ""), fault.IotHubUnauthorized, "type none"},
		{"type none, empty key", "none", "", testHost, signed(testHost+"/devices/none", nil, hour, ""), fault.IotHubUnauthorized, "type none"},
		{"certificate device with a token", "ca", "", testHost, signed(testHost+"/devices/ca", nil, hour, ""), fault.IotHubUnauthorized, "must not send a token"},

		{"policy over the hub", "d", "", testHost, signed(testHost, devicePolicy.Primary, hour, "device"), 0, ""},
		{"policy, secondary key", "d", "m", testHost, signed(testHost, devicePolicy.Secondary, hour, "device"), 0, ""},
		{"policy over all devices", "d", "", testHost, signed(testHost+"/devices", devicePolicy.Primary, hour, "device"), 0, ""},
		{"policy over the device", "d", "", testHost, signed(testHost+"/devices/d", ownerPolicy.Primary, hour, "iothubowner"), 0, ""},
		{"policy over another device", "other", "", testHost, signed(testHost+"/devices/d", devicePolicy.Primary, hour, "device"), fault.IotHubUnauthorized, "does not cover devices/other"},
		{"policy without DeviceConnect", "d", "", testHost, signed(testHost, servicePolicy.Primary, hour, "service"), fault.IotHubUnauthorized, "'service' lacks the right DeviceConnect"},
		{"unknown policy", "d", "", testHost, signed(testHost, devicePolicy.Primary, hour, "nobody"), fault.IotHubUnauthorized, "does not exist: 'nobody'"},
		{"another policy's key", "d", "", testHost, signed(testHost, servicePolicy.Primary, hour, "device"), fault.IotHubUnauthorized, "shared access policy 'device'"},
		{"device's key under a policy's name", "d", "", testHost, signed(testHost+"/devices/d", testKey(11), hour, "device"), fault.IotHubUnauthorized, "shared access policy 'device'"},
		{"policy's key without its name", "d", "", testHost, signed(testHost+"/devices/d", devicePolicy.Primary, hour, ""), fault.IotHubUnauthorized, "either key of device 'd'"},
		{"policy, expired", "d", "", testHost, signed(testHost, devicePolicy.Primary, testStart.Add(-time.Hour), "device"), fault.IotHubUnauthorized, "expired at"},
		{"policy, unknown device", "ghost", "", testHost, signed(testHost, devicePolicy.Primary, hour, "device"), fault.DeviceNotFound, ""},
		{"policy, disabled device", "off", "", testHost, signed(testHost, devicePolicy.Primary, hour, "device"), fault.DeviceDisabled, ""},
		{"policy, certificate device", "ca", "", testHost, signed(testHost, devicePolicy.Primary, hour, "device"), fault.IotHubUnauthorized, "must not send a token"},
		{"policy, type none", "none", "", testHost, signed(testHost, devicePolicy.Primary, hour, "device"), fault.IotHubUnauthorized, "type none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			proof, err := f.Authenticate(t.Context(), iot.Identity{Device: tc.dev, Module: tc.mod}, tc.host, device.Credential{SAS: tc.token})
			wantCode(t, err, tc.want)
			if err != nil {
				wantDetail(t, err, tc.detail)
				if diff := cmp.Diff(device.Proof{}, proof); diff != "" {
					t.Errorf("a refusal carries a proof: %s", diff)
				}
			}
		})
	}
}

func TestPolicyProofNamesThePolicy(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	token := signed(testHost, devicePolicy.Secondary, testStart.Add(time.Hour), "DEVICE")
	proof, err := f.Authenticate(t.Context(), iot.Identity{Device: "d"}, testHost, device.Credential{SAS: token})
	wantCode(t, err, 0)
	if proof.Policy != "device" || proof.Slot != "secondary" || proof.Stamp.Scope != iot.ScopeHub {
		t.Errorf("got %+v", proof)
	}
}

func TestTokenHashKnowsTheSameTokenWithinOneStart(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	hash := func(f *fixture, expiry time.Time) uint64 {
		p, err := f.Authenticate(t.Context(), iot.Identity{Device: "d"}, testHost,
			device.Credential{SAS: signed(testHost, testKey(11), expiry, "")})
		wantCode(t, err, 0)
		return p.TokenHash
	}
	a, again, b := hash(f, testStart.Add(time.Hour)), hash(f, testStart.Add(time.Hour)), hash(f, testStart.Add(2*time.Hour))
	if a != again || a == b {
		t.Errorf("got %x, %x for one token, %x for another", a, again, b)
	}
	if restarted := hash(newFixtureOn(t, f.engine), testStart.Add(time.Hour)); restarted == a {
		t.Error("the hash is the same after a restart")
	}
}

func TestAuthenticationReadsOneRecordForADeviceTwoForAModule(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	f.module(t, iot.Identity{Device: "d", Module: "m"}, sasKeys(testKey(11), testKey(12)))
	for id, want := range map[iot.Identity]int64{{Device: "d"}: 1, {Device: "d", Module: "m"}: 2} {
		f := newFixtureOn(t, f.engine)
		reads := f.countReads()
		for range 2 { // the second time it is known
			_, err := f.Authenticate(t.Context(), id, testHost, device.Credential{SAS: signed(testHost, testKey(11), testStart.Add(time.Hour), "")})
			wantCode(t, err, 0)
		}
		if got := reads.Load(); got != want {
			t.Errorf("%s: %d reads, want %d", id, got, want)
		}
	}
}

func TestUnverifiablePeerCostsNoRead(t *testing.T) {
	f := newFixture(t)
	reads := f.countReads()
	for _, token := range []string{"rubbish", signed(testHost, testKey(9), testStart.Add(time.Hour), "device")} {
		_, err := f.Authenticate(t.Context(), iot.Identity{Device: "d"}, testHost, device.Credential{SAS: token})
		wantCode(t, err, fault.IotHubUnauthorized)
	}
	if n := reads.Load(); n != 0 {
		t.Errorf("%d reads for tokens that no record can make good", n)
	}
}

func TestStoreErrorsAreNoRefusals(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want fault.Code
	}{
		{store.ErrClosed, fault.ServiceUnavailable},
		{store.ErrFull, fault.ServiceUnavailable},
		{store.ErrCorrupt, fault.ServerError},
		{context.Canceled, fault.ServiceUnavailable},
	} {
		f := newFixture(t)
		f.device(t, "d", sasKeys(testKey(11), testKey(12)))
		f.engine.Fail(func(storetest.Op) error { return tc.err })
		cred := device.Credential{SAS: signed(testHost, testKey(11), testStart.Add(time.Hour), "")}
		_, err := f.Authenticate(t.Context(), iot.Identity{Device: "d"}, testHost, cred)
		wantCode(t, err, tc.want)
		_, err = f.AuthorizeDevice(t.Context(), iot.Identity{Device: "d"}, testHost, "devices/d", cred)
		wantCode(t, err, tc.want)
		_, err = f.PutDevice(t.Context(), "e", iot.Device{}, iot.Match{})
		wantCode(t, err, tc.want)
	}
}
