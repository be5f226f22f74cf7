package mqtt

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/iot"
)

// username is what an MQTT user name says: H/D/?query, H/D/M/?query, the legacy form
// without '?', or bare H/D and H/D/M (device-mqtt-http 2.1).
type username struct {
	Host       string
	Identity   iot.Identity
	APIVersion string // decoded, cut at maxAPIVersion
	ClientType string // DeviceClientType, decoded, cut at maxClientType
	ModelID    string // decoded
}

// What can be wrong with a user name.
var (
	errUsernameHost   = errors.New("user name: no host name before the first '/'")
	errUsernameDevice = errors.New("user name: the second segment is no device id")
	errUsernameModule = errors.New("user name: the third segment is neither a module id nor a query")
	errUsernameModel  = errors.New("user name: the model id is longer than 255 bytes")
)

// parseUsername reads a user name. Host, device and module are literal, never
// percent-decoded; keys and values of the query are. A third segment is the query if it
// begins with '?' or contains '=', otherwise a module. Unknown keys are ignored, of a
// key that comes twice the last counts.
func parseUsername(s string) (username, error) {
	host, rest, _ := strings.Cut(s, "/")
	if host == "" {
		return username{}, errUsernameHost
	}
	device, rest, _ := strings.Cut(rest, "/")
	if !iot.ValidID(device) {
		return username{}, errUsernameDevice
	}
	u := username{Host: host, Identity: iot.Identity{Device: device}}
	if third, after, _ := strings.Cut(rest, "/"); third != "" && third[0] != '?' && !strings.Contains(third, "=") {
		if !iot.ValidID(third) {
			return username{}, errUsernameModule
		}
		u.Identity.Module, rest = third, after
	}
	for pair := range strings.SplitSeq(strings.TrimPrefix(rest, "?"), "&") {
		key, value, _ := strings.Cut(pair, "=")
		switch iot.Unescape(key) {
		case "api-version":
			u.APIVersion = told(value, maxAPIVersion)
		case "DeviceClientType":
			u.ClientType = told(value, maxClientType)
		case "model-id":
			if u.ModelID = told(value, len(value)); len(u.ModelID) > maxModelID {
				return username{}, errUsernameModel
			}
		}
	}
	return u, nil
}

// told decodes a value and makes it fit to be kept: valid UTF-8 of at most limit bytes.
func told(value string, limit int) string {
	v := strings.ToValidUTF8(iot.Unescape(value), "?")
	if len(v) <= limit {
		return v
	}
	for limit > 0 && !utf8.RuneStart(v[limit]) {
		limit--
	}
	return v[:limit]
}
