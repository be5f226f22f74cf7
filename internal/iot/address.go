package iot

import "strings"

// ParseDevicebound reads the address of a cloud-to-device message,
// /devices/{d}/messages/devicebound or /devices/{d}/modules/{m}/messages/devicebound:
// with a scheme and host before it or not, with a leading slash or not, its fixed words
// in any letter case, its ids percent-encoded or not (amqp 3, 5).
func ParseDevicebound(to string) (Identity, bool) {
	if _, rest, ok := strings.Cut(to, "://"); ok {
		_, to, _ = strings.Cut(rest, "/")
	}
	// One part more than the longest address has: so a longer one does not match.
	words := strings.SplitN(strings.TrimPrefix(to, "/"), "/", 7)
	var id Identity
	switch {
	case len(words) == 4 && like(words, "devices", "", "messages", "devicebound"):
		id = Identity{Device: Unescape(words[1])}
	case len(words) == 6 && like(words, "devices", "", "modules", "", "messages", "devicebound"):
		id = Identity{Device: Unescape(words[1]), Module: Unescape(words[3])}
		if id.Module == "" {
			return Identity{}, false
		}
	}
	return id, id.Device != ""
}

// like reports whether words are as the pattern says, in any letter case; "" stands for
// any word.
func like(words []string, pattern ...string) bool {
	for i, p := range pattern {
		if p != "" && !strings.EqualFold(words[i], p) {
			return false
		}
	}
	return true
}
