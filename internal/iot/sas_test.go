package iot

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"
)

// sasKey is bytes 1 to 32.
func sasKey() []byte {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i + 1)
	}
	return key
}

// token signs the literal sr and se as an SDK does; layout places the fields.
func token(layout, sr, se, policy string) string {
	mac := hmac.New(sha256.New, sasKey())
	mac.Write([]byte(sr + "\n" + se))
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return strings.NewReplacer("{sr}", sr, "{sig}", sig, "{se}", se, "{skn}", policy).Replace(layout)
}

const (
	plainLayout  = "SharedAccessSignature sr={sr}&sig={sig}&se={se}"
	nodeLayout   = "SharedAccessSignature sr={sr}&sig={sig}&skn={skn}&se={se}"
	csharpLayout = "SharedAccessSignature sr={sr}&sig={sig}&se={se}&skn={skn}"
	docsLayout   = "SharedAccessSignature sig={sig}&se={se}&skn={skn}&sr={sr}"
)

// TestSASOfEverySDK holds the literal shape each SDK sends (device-mqtt-http 2.2,
// service-rest A.1).
func TestSASOfEverySDK(t *testing.T) {
	hosts := NewHosts("hub.localtest")
	for _, tc := range []struct {
		name, layout, sr, policy string
		path                     string // what the token must cover
	}{
		{"node", nodeLayout, "hub.localtest%2Fdevices%2Fdev1", "", "devices/dev1"},
		{"node module", plainLayout, "hub.localtest%2Fdevices%2Fdev1%2Fmodules%2Fm1", "", "devices/dev1/modules/m1"},
		{"node odd id", plainLayout, "hub.localtest%2Fdevices%2Fa%21%27%28%29%2a", "", "devices/a!'()*"},
		{"python", plainLayout, "hub.localtest%2Fdevices%2Fdev1", "", "devices/dev1"},
		{"csharp", csharpLayout, "hub.localtest%2Fdevices%2Fdev1", "", "devices/dev1"},
		{"csharp odd id, encoded twice", plainLayout, "hub.localtest%2Fdevices%2Fa%252Bb%2523c", "", "devices/a+b#c"},
		{"csharp policy", csharpLayout, "hub.localtest", "device", "devices/dev1"},
		{"java", plainLayout, "hub.localtest/devices/dev1", "", "devices/dev1"},
		{"java odd id", plainLayout, "hub.localtest/devices/a%2Bb/modules/m%23", "", "devices/a+b/modules/m#"},
		{"c", plainLayout, "hub.localtest/devices/dev1", "", "devices/dev1"},
		{"c raw odd id", plainLayout, "hub.localtest/devices/50%25+a", "", "devices/50%25+a"},
		{"embedded c", plainLayout, "hub.localtest%2Fdevices%2Fdev1%2Fmodules%2Fm1", "", "devices/dev1/modules/m1"},
		{"go device", plainLayout, "hub.localtest", "", "devices/dev1"},
		{"go module, three layers", plainLayout, "hub.localtest%25252Fdevices%25252Fdev1%25252Fmodules%25252Fm1", "", "devices/dev1/modules/m1"},
		{"az on a device path", csharpLayout, "hub.localtest%2Fdevices%2Fdev1", "iothubowner", "devices/dev1"},
		{"docs order", docsLayout, "hub.localtest", "service", "twins/dev1"},
		{"explorer", csharpLayout, "hub.localtest", "iothubowner", "devices/dev1"},
		{"devices of a policy", csharpLayout, "hub.localtest%2fdevices", "device", "devices/dev1/modules/m"},
		{"host in capitals", plainLayout, "HUB.LocalTest%2Fdevices%2Fdev1", "", "devices/dev1"},
		{"newer host form", plainLayout, "hub.device.localtest%2Fdevices%2Fdev1", "", "devices/dev1"},
		{"host with port", plainLayout, "hub.localtest%3A8443", "", "devices/dev1"},
		{"words in capitals", plainLayout, "hub.localtest/Devices/dev1/MODULES/m", "", "devices/dev1/modules/m"},
		{"trailing slash", plainLayout, "hub.localtest/devices/dev1/", "", "devices/dev1"},
		{"old tool", plainLayout, "hub.localtest/devices/dev1/api-version=2016-02-03", "", "devices/dev1"},
		{"old tool, encoded", plainLayout, "hub.localtest%2Fdevices%2Fdev1%2F%3Fapi-version%3D2016-02-03", "", "devices/dev1"},
		{"host and api-version", plainLayout, "hub.localtest/api-version=2016-02-03", "", "devices/dev1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := token(tc.layout, tc.sr, "1893456000", tc.policy)
			s, err := ParseSAS(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if s.Resource != tc.sr || s.ExpiryText != "1893456000" || s.Policy != tc.policy {
				t.Errorf("got %+v", s)
			}
			if !s.Verify(sasKey()) {
				t.Error("the signature is not accepted")
			}
			if !s.Covers(hosts.Has, tc.path) {
				t.Errorf("%s does not cover %s", tc.sr, tc.path)
			}
		})
	}
}

func TestSASKnownSignature(t *testing.T) {
	// Computed apart from this code: HMAC-SHA256 of the literal text with bytes 1 to 32.
	s, err := ParseSAS("SharedAccessSignature sr=hub.localtest%2fdevices%2fdev1&sig=oAwOu5pF7ZRZSfjcIxn%2fLx%2blU8SGmViFsdwYpxoRDVw%3d&se=1893456000")
	if err != nil || !s.Verify(sasKey()) {
		t.Fatalf("%+v, %v", s, err)
	}
	s.Resource = "hub.localtest%2Fdevices%2Fdev1" // the same resource, spelled otherwise
	if s.Verify(sasKey()) {
		t.Error("the spelling of sr must be signed, not its meaning")
	}
}

func TestSASVerifyRefusesWhatIsNotSigned(t *testing.T) {
	s, err := ParseSAS(SignSAS("h/devices/d", "", sasKey(), time.Unix(1893456000, 0)))
	if err != nil || !s.Verify(sasKey()) {
		t.Fatalf("%+v, %v", s, err)
	}
	other := sasKey()
	other[31] ^= 1
	for name, key := range map[string][]byte{"another key": other, "no key": nil, "empty key": {}, "short key": other[:5]} {
		if s.Verify(key) {
			t.Errorf("%s is accepted", name)
		}
	}
	for name, change := range map[string]func(*SAS){
		"resource": func(s *SAS) { s.Resource += "x" }, "expiry": func(s *SAS) { s.ExpiryText = "1893456001" },
		"signature": func(s *SAS) { s.Signature = bytes.Clone(s.Signature[:31]) },
		"boundary":  func(s *SAS) { s.Resource, s.ExpiryText = s.Resource+"\n1", "893456000" },
	} {
		changed := s
		change(&changed)
		if changed.Verify(sasKey()) {
			t.Errorf("changed %s is accepted", name)
		}
	}
}

func TestSASCoversNothingElse(t *testing.T) {
	hosts := NewHosts("hub.localtest")
	for _, tc := range []struct{ sr, path string }{
		{"other.localtest/devices/dev1", "devices/dev1"},
		{"hub.localtest.evil.org/devices/dev1", "devices/dev1"},
		{"hub.localtest:x/devices/dev1", "devices/dev1"},
		{"", "devices/dev1"},
		{"/devices/dev1", "devices/dev1"},
		{"hub.localtest/devices/dev", "devices/dev1"},
		{"hub.localtest/devices/dev1", "devices/dev"},
		{"hub.localtest/devices/DEV1", "devices/dev1"},
		{"hub.localtest/device", "devices/dev1"},
		{"hub.localtest/devices/dev1/modules/m1", "devices/dev1"},
		{"hub.localtest/devices/dev1/modules/m1", "devices/dev1/modules/m2"},
		{"hub.localtest/devices/dev1/modules/m1", "devices/dev2/modules/m1"},
		{"hub.localtest//dev1", "devices/dev1"},
		{"hub.localtest/devices/dev1/x/api-version=1", "devices/dev1"},
		{"hub.localtest/devices/MODULES", "devices/modules"},
		{"hub.localtest%2525252Fdevices%2525252Fdev1", "devices/dev1"}, // four layers
	} {
		if (SAS{Resource: tc.sr}).Covers(hosts.Has, tc.path) {
			t.Errorf("%q covers %q", tc.sr, tc.path)
		}
	}
}

func TestParseSASMistakes(t *testing.T) {
	const sig = "oAwOu5pF7ZRZSfjcIxn%2fLx%2blU8SGmViFsdwYpxoRDVw%3d"
	for name, text := range map[string]string{
		"empty":             "",
		"no scheme":         "sr=h&sig=" + sig + "&se=1",
		"other scheme":      "Bearer sr=h&sig=" + sig + "&se=1",
		"scheme alone":      "SharedAccessSignature",
		"nothing behind":    "SharedAccessSignature ",
		"no sr":             "SharedAccessSignature sig=" + sig + "&se=1",
		"no sig":            "SharedAccessSignature sr=h&se=1",
		"no se":             "SharedAccessSignature sr=h&sig=" + sig,
		"empty sr":          "SharedAccessSignature sr=&sig=" + sig + "&se=1",
		"sr twice":          "SharedAccessSignature sr=h&sig=" + sig + "&se=1&sr=h",
		"se no number":      "SharedAccessSignature sr=h&sig=" + sig + "&se=soon",
		"se negative":       "SharedAccessSignature sr=h&sig=" + sig + "&se=-1",
		"se too long":       "SharedAccessSignature sr=h&sig=" + sig + "&se=18446744073709551616",
		"sig short":         "SharedAccessSignature sr=h&sig=AAAA&se=1",
		"sig no base64":     "SharedAccessSignature sr=h&sig=!&se=1",
		"a field without =": "SharedAccessSignature sr=h&sig=" + sig + "&se=1&skn",
		"two spaces":        "SharedAccessSignature  sr=h&sig=" + sig + "&se=1",
		"too long":          "SharedAccessSignature sr=h&sig=" + sig + "&se=1&x=" + strings.Repeat("x", MaxSAS),
	} {
		s, err := ParseSAS(text)
		if err == nil {
			t.Errorf("%s: read as %+v", name, s)
		} else if strings.Contains(err.Error(), "oAwO") {
			t.Errorf("%s: the error quotes the token: %v", name, err)
		}
	}
	s, err := ParseSAS("sharedaccesssignature SR=h&SIG=" + sig + "&se=1&st=0")
	if err != nil || s.Resource != "h" {
		t.Errorf("names in capitals and unknown fields: %+v, %v", s, err)
	}
	if s, err = ParseSAS("SharedAccessSignature sr=h&sig=" + sig + "&se=18446744073709551615"); err != nil || s.Expiry.Year() != 9999 {
		t.Errorf("an end beyond the calendar: %v, %v", s.Expiry, err)
	}
}

func TestSASExpires(t *testing.T) {
	s := SAS{Expiry: time.Unix(1000, 0)}
	for at, want := range map[int64]bool{0: false, 1000: false, 1300: false, 1301: true} {
		if got := s.Expired(time.Unix(at, 0), 5*time.Minute); got != want {
			t.Errorf("at %d: expired %v, want %v", at, got, want)
		}
	}
}

func FuzzParseSAS(f *testing.F) {
	for _, layout := range []string{plainLayout, nodeLayout, csharpLayout, docsLayout} {
		f.Add(token(layout, "h%2Fdevices%2Fd", "1893456000", "p%20q"))
		f.Add(token(layout, "h/devices/a%2525252Bb", "0", ""))
	}
	f.Add("SharedAccessSignature sr=%&sig=%%&se=1&skn=%2")
	hosts := NewHosts("h")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSAS(text)
		if err != nil {
			return
		}
		if len(s.Signature) != sha256.Size || s.Resource == "" {
			t.Fatalf("%q: %+v", text, s)
		}
		s.Verify(sasKey())
		if s.Covers(func(string) bool { return false }, "devices/d") {
			t.Fatalf("%q covers a host that is not ours", text)
		}
		s.Covers(hosts.Has, "devices/d/modules/m")
	})
}
