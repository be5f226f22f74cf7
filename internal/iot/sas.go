package iot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxSAS is the longest token that is read, in bytes: room for a host name and two
// ids of MaxIDLength, each encoded three times over.
const MaxSAS = 4096

// sasScheme is what a token begins with, before one space.
const sasScheme = "SharedAccessSignature"

// maxSASLayers is how many layers of percent-encoding are taken off a resource: Go
// clients send up to three (device-mqtt-http 2.2).
const maxSASLayers = 3

// lastSASExpiry is the last second that has a four-digit year; a later se means it.
const lastSASExpiry = 253_402_300_799

// SAS is a shared access signature token. It proves nothing until Verify has said
// so with a key that the hub knows, Covers with what it is used for, and Expired
// with the time.
type SAS struct {
	Resource   string    // sr exactly as it stood in the token: this text is signed
	Signature  []byte    // sig decoded, 32 bytes
	Expiry     time.Time // se
	ExpiryText string    // se exactly as it stood: this text is signed
	Policy     string    // skn decoded; empty: the identity's own key signed
}

// ParseSAS reads "SharedAccessSignature sr=…&sig=…&se=…[&skn=…]": fields in any
// order, split at the first space, at '&' and at the first '='; sr, sig and se must
// be there, none twice; unknown fields are ignored, for they are not signed. Its
// errors never quote the token.
func ParseSAS(text string) (SAS, error) {
	var s SAS
	if len(text) > MaxSAS {
		return s, fmt.Errorf("shared access signature: longer than %d bytes", MaxSAS)
	}
	scheme, fields, ok := strings.Cut(text, " ")
	if !ok || !strings.EqualFold(scheme, sasScheme) {
		return s, errors.New("shared access signature: does not begin with \"SharedAccessSignature \"")
	}
	f, err := cutSAS(fields)
	if err != nil {
		return s, err
	}
	expiry, err := parseExpiry(f.se)
	if err != nil {
		return s, err
	}
	mac, err := base64.StdEncoding.DecodeString(Unescape(f.sig))
	if err != nil || len(mac) != sha256.Size {
		return s, errors.New("shared access signature: sig is not base64 of 32 bytes")
	}
	return SAS{Resource: f.sr, Signature: mac, Expiry: expiry, ExpiryText: f.se, Policy: Unescape(f.skn)}, nil
}

// sasFields are the fields of a token as they stood.
type sasFields struct{ sr, sig, se, skn string }

// cutSAS splits the fields of a token.
func cutSAS(fields string) (sasFields, error) {
	var f sasFields
	seen := make(map[string]bool, 4)
	for field := range strings.SplitSeq(fields, "&") {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return f, errors.New("shared access signature: a field has no '='")
		}
		name = strings.ToLower(name)
		switch name {
		case "sr":
			f.sr = value
		case "sig":
			f.sig = value
		case "se":
			f.se = value
		case "skn":
			f.skn = value
		default:
			continue
		}
		if seen[name] {
			return f, fmt.Errorf("shared access signature: %s stands twice", name)
		}
		seen[name] = true
	}
	if f.sr == "" || f.sig == "" || f.se == "" {
		return f, errors.New("shared access signature: sr, sig and se must be there")
	}
	return f, nil
}

// parseExpiry reads Unix seconds, digits only.
func parseExpiry(se string) (time.Time, error) {
	n, err := strconv.ParseUint(se, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("shared access signature: se is not a number of seconds since 1970")
	}
	return time.Unix(int64(min(n, lastSASExpiry)), 0).UTC(), nil
}

// Verify reports whether key signed the token: HMAC-SHA256 over the literal texts
// of sr, a line feed, and se. No client lower-cases or normalises them, whatever
// the articles say (device-mqtt-http 2.2).
func (s SAS) Verify(key []byte) bool {
	return len(key) > 0 && hmac.Equal(s.Signature, sasMAC(key, s.Resource, s.ExpiryText))
}

// Expired reports whether the token has lapsed at now, given the tolerance for the
// client's clock (Azure: about 5 minutes).
func (s SAS) Expired(now time.Time, tolerance time.Duration) bool {
	return now.After(s.Expiry.Add(tolerance))
}

// SignSAS makes a token. Resource is plain text ("host" or "host/devices/D"), which
// is percent-encoded here; policy is empty for an identity's own key.
func SignSAS(resource, policy string, key []byte, expiry time.Time) string {
	sr, se := Escape(resource), strconv.FormatInt(expiry.Unix(), 10)
	sig := base64.StdEncoding.EncodeToString(sasMAC(key, sr, se))
	token := sasScheme + " sr=" + sr + "&sig=" + Escape(sig) + "&se=" + se
	if policy != "" {
		token += "&skn=" + Escape(policy)
	}
	return token
}

// sasMAC is the signature of the literal sr and se.
func sasMAC(key []byte, sr, se string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(sr))
	h.Write([]byte{'\n'})
	h.Write([]byte(se))
	return h.Sum(nil)
}

// Covers reports whether the token's resource is the host or a segment-wise prefix
// of host and path. Host says whether a name is one of the hub's, and is asked in
// lower case, without a port; path is plain text without a leading slash, such as
// "devices/D/modules/M". The resource is compared as it stands and with one, two and
// three layers of percent-encoding taken off, because clients differ (device-mqtt-http
// 2.2): a '%' may also be part of an id. The words of the path match without regard to
// case, ids exactly. A trailing api-version segment, which old tools sign, is ignored.
func (s SAS) Covers(host func(string) bool, path string) bool {
	c := s.Coverage(host)
	return c.Covers(path)
}

// Identity gives the device or module that the token's resource names; false if it names
// none of this hub. Host and the layers of encoding are as with Covers.
func (s SAS) Identity(host func(string) bool) (Identity, bool) {
	resource := s.Resource
	for range maxSASLayers + 1 {
		id, ok := resourceIdentity(resource)
		path := "devices/" + id.Device
		if id.IsModule() {
			path += "/modules/" + id.Module
		}
		if ok && s.Covers(host, path) {
			return id, true
		}
		next := Unescape(resource)
		if next == resource {
			break
		}
		resource = next
	}
	return Identity{}, false
}

// resourceIdentity reads host/devices/D[/modules/M].
func resourceIdentity(resource string) (Identity, bool) {
	_, path, _ := strings.Cut(withoutScheme(resource), "/")
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	if len(segments) > 0 && isAPIVersion(segments[len(segments)-1]) {
		segments = segments[:len(segments)-1]
	}
	var id Identity
	switch {
	case len(segments) == 2 && strings.EqualFold(segments[0], "devices"):
		id.Device = segments[1]
	case len(segments) == 4 && strings.EqualFold(segments[0], "devices") && strings.EqualFold(segments[2], "modules"):
		id.Device, id.Module = segments[1], segments[3]
		if !ValidID(id.Module) {
			return Identity{}, false
		}
	}
	return id, ValidID(id.Device)
}

// withoutScheme cuts the scheme off a resource that is a URI: clients of the event
// endpoint sign such (amqp 2).
func withoutScheme(resource string) string {
	if scheme, rest, ok := strings.Cut(resource, "://"); ok && !strings.Contains(scheme, "/") {
		return rest
	}
	return resource
}

// isAPIVersion reports whether a segment is the api-version that old tools append.
func isAPIVersion(segment string) bool {
	segment = strings.TrimPrefix(segment, "?")
	const key = "api-version="
	return len(segment) >= len(key) && strings.EqualFold(segment[:len(key)], key)
}
