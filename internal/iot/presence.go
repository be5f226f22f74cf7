package iot

import "time"

// Presence is what is known of an identity's connection, as the registry and the
// twin show it.
type Presence struct {
	Connected    bool
	Since        time.Time // when Connected last changed; zero if it never did
	LastActivity time.Time // last connect, packet or disconnect seen; zero if none
}
