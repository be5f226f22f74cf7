package iot

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// errBag is the one thing that can be wrong with a property bag.
var errBag = errors.New("property bag: a property has no name")

// TrimBag takes from the end of a telemetry topic what is no part of the bag: one
// leading '?' and one trailing '/' (.NET always sends it, others at times).
func TrimBag(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte{'?'})
	return bytes.TrimSuffix(b, []byte{'/'})
}

// ScanBag checks the syntax of a property bag, trimmed, without allocating: pairs
// joined by '&', each with a name before its first '='. Nothing else can be wrong:
// a client in C sends values that it does not encode at all, so a '%' or '/' or '='
// in a value stands for itself (device-mqtt-http 3).
func ScanBag(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	for {
		if len(b) == 0 || b[0] == '=' || b[0] == '&' {
			return errBag
		}
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			return nil
		}
		b = b[i+1:]
	}
}

// parseBag reads a property bag into system and application properties. It takes
// whatever ScanBag takes; of anything else it drops the nameless pairs.
func parseBag(bag string, system, application *propSet) {
	if bag == "" {
		return
	}
	for pair := range strings.SplitSeq(bag, "&") {
		rawName, rawValue, hasValue := strings.Cut(pair, "=")
		if rawName == "" {
			continue
		}
		p := Property{Name: decodeText(rawName), Value: decodeText(rawValue), Null: !hasValue}
		switch name, ok := systemOfBag(p.Name); {
		case !ok:
			application.set(p)
		case name != "":
			p.Name = name
			system.set(p)
		}
	}
}

// decodeText decodes a percent-encoded text. What would not be UTF-8 stays as it
// was sent, so that every property can be shown.
func decodeText(s string) string {
	if d := Unescape(s); utf8.ValidString(d) {
		return d
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// systemOfBag gives the system property that a decoded key of a bag means: ok is
// false for an application property, the name empty for one that only the hub may
// write. An unknown key in the system's namespace stays under its own name.
func systemOfBag(key string) (name string, ok bool) {
	if key == Ack || key == OperationName { // .NET sends these without a prefix
		return key, true
	}
	short, ok := strings.CutPrefix(key, "$.")
	if !ok {
		return "", false
	}
	if short == "cdid" || short == "cmid" {
		return "", true // the true identity is stamped
	}
	for _, p := range bagKeys() {
		if p.short == short {
			return p.name, true
		}
	}
	return key, true
}

// bagKey is the short name of a system property in a bag, behind "$.".
type bagKey struct{ short, name string }

// bagKeys is the table of device-mqtt-http 3, the commonest first.
func bagKeys() [14]bagKey {
	return [...]bagKey{
		{"mid", MessageID},
		{"cid", CorrelationID},
		{"uid", UserID},
		{"to", To},
		{"ct", ContentType},
		{"ce", ContentEncoding},
		{"exp", ExpiryTime},
		{"ctime", CreationTime},
		{"on", OutputName},
		{"ifid", InterfaceID},
		{"sub", ComponentName},
		{"schema", MessageSchema},
		{"diagid", DiagnosticID},
		{"diagctx", DiagnosticTrace},
	}
}
