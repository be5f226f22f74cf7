package mqtt

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
)

func TestUsername(t *testing.T) {
	dev, mod := iot.Identity{Device: "dev1"}, iot.Identity{Device: "dev1", Module: "mod1"}
	cases := []struct {
		name, in string
		want     username
		err      error
	}{
		{
			"node", "h.net/dev1/?api-version=2021-04-12&model-id=dtmi:com:x;1&DeviceClientType=azure-iot-device%2F1.18.2%20(node%20v18)",
			username{Host: "h.net", Identity: dev, APIVersion: "2021-04-12", ModelID: "dtmi:com:x;1", ClientType: "azure-iot-device/1.18.2 (node v18)"},
			nil,
		},
		{
			"dotnet", "h.net/dev1/?api-version=2020-09-30&DeviceClientType=.NET%2F1.42&auth-chain=a;b&model-id=dtmi%3Acom%3Ax%3B1",
			username{Host: "h.net", Identity: dev, APIVersion: "2020-09-30", ModelID: "dtmi:com:x;1", ClientType: ".NET/1.42"},
			nil,
		},
		{
			"slash in a raw value", "h.net/dev1/?api-version=2020-09-30&DeviceClientType=C/1.2 (Linux)",
			username{Host: "h.net", Identity: dev, APIVersion: "2020-09-30", ClientType: "C/1.2 (Linux)"},
			nil,
		},
		{"module", "h.net/dev1/mod1/?api-version=2020-09-30", username{Host: "h.net", Identity: mod, APIVersion: "2020-09-30"}, nil},
		{"edge module", "h.net/dev1/$edgeHub/?api-version=v", username{Host: "h.net", Identity: iot.Identity{Device: "dev1", Module: "$edgeHub"}, APIVersion: "v"}, nil},
		{"go, without ?", "h.net/dev1/api-version=2020-09-30", username{Host: "h.net", Identity: dev, APIVersion: "2020-09-30"}, nil},
		{"module without ?", "h.net/dev1/mod1/api-version=2018-06-30", username{Host: "h.net", Identity: mod, APIVersion: "2018-06-30"}, nil},
		{"bare", "h.net/dev1", username{Host: "h.net", Identity: dev}, nil},
		{"bare with slash", "h.net/dev1/", username{Host: "h.net", Identity: dev}, nil},
		{"bare module", "h.net/dev1/mod1", username{Host: "h.net", Identity: mod}, nil},
		{"literal ids", "h.net/a%41b/c%2Bd/?api-version=v", username{Host: "h.net", Identity: iot.Identity{Device: "a%41b", Module: "c%2Bd"}, APIVersion: "v"}, nil},
		{"device with = and ?", "h.net/a=b?c/?api-version=v", username{Host: "h.net", Identity: iot.Identity{Device: "a=b?c"}, APIVersion: "v"}, nil},
		{"encoded key", "h.net/dev1/?api%2Dversion=v", username{Host: "h.net", Identity: dev, APIVersion: "v"}, nil},
		{"plus is a plus", "h.net/dev1/?DeviceClientType=a+b", username{Host: "h.net", Identity: dev, ClientType: "a+b"}, nil},
		{"stray percent", "h.net/dev1/?DeviceClientType=100%", username{Host: "h.net", Identity: dev, ClientType: "100%"}, nil},
		{"invalid utf-8", "h.net/dev1/?DeviceClientType=a%FFb", username{Host: "h.net", Identity: dev, ClientType: "a?b"}, nil},
		{"last of two", "h.net/dev1/?api-version=1&api-version=2", username{Host: "h.net", Identity: dev, APIVersion: "2"}, nil},
		{"long type is cut", "h.net/dev1/?DeviceClientType=" + strings.Repeat("ä", 300), username{Host: "h.net", Identity: dev, ClientType: strings.Repeat("ä", 256)}, nil},
		{"long model id", "h.net/dev1/?model-id=" + strings.Repeat("a", 256), username{}, errUsernameModel},
		{"empty", "", username{}, errUsernameHost},
		{"no host", "/dev1/?api-version=v", username{}, errUsernameHost},
		{"no device", "h.net", username{}, errUsernameDevice},
		{"empty device", "h.net//?api-version=v", username{}, errUsernameDevice},
		{"space in device", "h.net/de v/?api-version=v", username{}, errUsernameDevice},
		{"long device", "h.net/" + strings.Repeat("a", 129), username{}, errUsernameDevice},
		{"space in module", "h.net/dev1/mo d/?api-version=v", username{}, errUsernameModule},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseUsername(c.in)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzUsername(f *testing.F) {
	f.Add("h.net/dev1/?api-version=2021-04-12&model-id=dtmi:com:x;1&DeviceClientType=a%20b")
	f.Add("h.net/dev1/mod1/?api-version=2020-09-30")
	f.Add("h.net/dev1/api-version=2020-09-30")
	f.Add("h.net/dev1/mod1")
	f.Add("h/a=b?c/?DeviceClientType=%FF%")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseUsername(s)
		if err != nil {
			if u != (username{}) {
				t.Errorf("%+v with %v", u, err)
			}
			return
		}
		if u.Host == "" || !iot.ValidID(u.Identity.Device) || (u.Identity.IsModule() && !iot.ValidID(u.Identity.Module)) {
			t.Errorf("%q gives %+v", s, u)
		}
		if !strings.HasPrefix(s, u.Host+"/"+u.Identity.String()) {
			t.Errorf("%q does not begin with %q and %q: the ids are literal", s, u.Host, u.Identity)
		}
		for _, v := range []struct {
			s     string
			limit int
		}{{u.APIVersion, maxAPIVersion}, {u.ClientType, maxClientType}, {u.ModelID, maxModelID}} {
			if len(v.s) > v.limit || !utf8.ValidString(v.s) {
				t.Errorf("%q: %d bytes, at most %d of valid UTF-8", v.s, len(v.s), v.limit)
			}
		}
	})
}
