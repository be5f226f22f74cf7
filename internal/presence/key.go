package presence

import "github.com/berth-iot/berth/internal/iot"

// The keys of the store. Ids never hold '/', so a device's own key and its modules'
// are told apart, and one prefix finds the modules.
const (
	stateKeys   = "presence/state/"
	sessionKeys = "presence/session/"
)

func stateKey(id iot.Identity) string { return stateKeys + id.String() }

func sessionKey(id iot.Identity) string { return sessionKeys + id.String() }
