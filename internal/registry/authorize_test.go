package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

func TestAuthorizeGivesThePolicysRights(t *testing.T) {
	f := newFixture(t)
	hour := testStart.Add(time.Hour)
	for _, tc := range []struct {
		name, token, host, path string
		want                    iot.Right
		detail                  string // of the refusal
	}{
		{"owner", signed(testHost, ownerPolicy.Primary, hour, "iothubowner"), testHost, "devices/d", iot.AllRights, ""},
		{"secondary key", signed(testHost, readPolicy.Secondary, hour, "registryRead"), testHost, "devices/d", iot.RegistryRead, ""},
		{"service", signed(testHost, servicePolicy.Primary, hour, "service"), testHost, "/twins/d", iot.ServiceConnect, ""},
		{"device", signed(testHost, devicePolicy.Primary, hour, "device"), testHost, "devices", iot.DeviceConnect, ""},
		{"csharp encodes host and port", signed("hub.example%3A443", ownerPolicy.Primary, hour, "iothubowner"), "hub.example:443", "devices", iot.AllRights, ""},
		{"node signs host and port plain", signed("hub.example:443", ownerPolicy.Primary, hour, "iothubowner"), "hub.example:443", "devices", iot.AllRights, ""},
		{"narrower and covering", signed(testHost+"/devices/d", ownerPolicy.Primary, hour, "iothubowner"), testHost, "devices/d/modules", iot.AllRights, ""},
		{"narrower and not covering", signed(testHost+"/devices/d", ownerPolicy.Primary, hour, "iothubowner"), testHost, "devices/e", 0, "does not cover"},
		{"narrower than the collection", signed(testHost+"/devices/d", ownerPolicy.Primary, hour, "iothubowner"), testHost, "devices", 0, "does not cover"},
		{"within the skew", signed(testHost, ownerPolicy.Primary, testStart.Add(-4*time.Minute), "iothubowner"), testHost, "devices", iot.AllRights, ""},
		{"expired", signed(testHost, ownerPolicy.Primary, testStart.Add(-time.Hour), "iothubowner"), testHost, "devices", 0, "expired at 2026-01-02T02:04:05Z"},
		{"lacks the right", signed(testHost, devicePolicy.Primary, hour, "device"), testHost, "devices", iot.RegistryWrite, "lacks the right RegistryWrite"},
		{"missing", "", testHost, "devices", 0, "no Authorization header"},
		{"bearer", "Bearer eyJ0eXAi", testHost, "devices", 0, "Entra"},
		{"not a token", "Basic dTpw", testHost, "devices", 0, "shared access signature"},
		{"bad signature", signed(testHost, testKey(9), hour, "iothubowner"), testHost, "devices", 0, "does not match either key of the shared access policy 'iothubowner'"},
		{"unknown policy", signed(testHost, testKey(9), hour, "root"), testHost, "devices", 0, "'root'"},
		{"no policy", signed(testHost, ownerPolicy.Primary, hour, ""), testHost, "devices", 0, "names no shared access policy"},
		{"another hub", signed("else.example", ownerPolicy.Primary, hour, "iothubowner"), testHost, "devices", 0, "does not cover"},
		{"foreign host", signed(testHost, ownerPolicy.Primary, hour, "iothubowner"), "else.example", "devices", 0, "is not a name of the hub"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := f.Authorize(tc.token, tc.host, tc.path, tc.want)
			if tc.detail == "" {
				wantCode(t, err, 0)
			} else {
				wantCode(t, err, fault.IotHubUnauthorizedAccess)
				wantDetail(t, err, tc.detail)
			}
		})
	}
}

func TestAuthorizeDeviceAcceptsATokenForTheRequestAlone(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	const path = "/devices/d/messages/events"
	hour := testStart.Add(time.Hour)
	for _, token := range []string{
		signed(testHost+"/devices/d", testKey(11), hour, ""),
		signed(testHost+path, testKey(11), hour, ""),
		signed(testHost, devicePolicy.Primary, hour, "device"),
	} {
		proof, err := f.AuthorizeDevice(t.Context(), iot.Identity{Device: "d"}, testHost, path, device.Credential{SAS: token})
		wantCode(t, err, 0)
		if proof.Stamp.Identity.Device != "d" {
			t.Errorf("got %+v", proof)
		}
	}
	_, err := f.AuthorizeDevice(t.Context(), iot.Identity{Device: "d"}, testHost, path,
		device.Credential{SAS: signed(testHost+"/devices/d/files", testKey(11), hour, "")})
	wantCode(t, err, fault.IotHubUnauthorizedAccess)
	wantDetail(t, err, "does not cover")
}

func TestAuthorizeDeviceTellsNothingToWhoProvedNothing(t *testing.T) {
	f := newFixture(t)
	f.device(t, "here", sasKeys(testKey(11), testKey(12)))
	f.device(t, "cert", &iot.Authentication{Type: iot.AuthenticationCA})
	f.device(t, "none", &iot.Authentication{Type: iot.AuthenticationNone})
	f.module(t, iot.Identity{Device: "here", Module: "m"}, nil)
	stranger := selfSigned(t, "stranger", testStart, testStart.Add(time.Hour))
	for _, cred := range []device.Credential{
		{},
		{SAS: signed(testHost, testKey(9), testStart.Add(time.Hour), "")},
		certs(stranger),
	} {
		want := ""
		for _, id := range []iot.Identity{
			{Device: "here"},
			{Device: "gone"},
			{Device: "cert"},
			{Device: "none"},
			{Device: "here", Module: "m"},
			{Device: "here", Module: "n"},
			{Device: "gone", Module: "m"},
		} {
			_, err := f.AuthorizeDevice(t.Context(), id, testHost, resourcePath(id), cred)
			wantCode(t, err, fault.IotHubUnauthorizedAccess)
			got := strings.ReplaceAll(fault.Detail(err), quoteIdentity(id), "it")
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s: %q differs from %q", id, got, want)
			}
		}
	}

	// Who holds a policy's key may know, and so may who proved a disabled device.
	_, err := f.AuthorizeDevice(t.Context(), iot.Identity{Device: "gone"}, testHost, "devices/gone",
		device.Credential{SAS: signed(testHost, devicePolicy.Primary, testStart.Add(time.Hour), "device")})
	wantCode(t, err, fault.DeviceNotFound)
	if _, err := f.PutDevice(t.Context(), "here", iot.Device{
		Status: iot.StatusDisabled, Authentication: sasKeys(testKey(11), testKey(12)),
	}, iot.Match{Kind: iot.MatchAny}); err != nil {
		t.Fatal(err)
	}
	_, err = f.AuthorizeDevice(t.Context(), iot.Identity{Device: "here"}, testHost, "devices/here",
		device.Credential{SAS: signed(testHost, testKey(11), testStart.Add(time.Hour), "")})
	wantCode(t, err, fault.DeviceDisabled)
}
