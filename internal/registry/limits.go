package registry

import "time"

// Limits of the registry. What Azure limits is named in iot, where the service API's
// words are; these bound what a peer could make the registry do.
const (
	maxList          = 1000            // devices in one answer of ListDevices (service-rest B.1)
	maxParents       = 1               // parent scopes of a device (Azure: "only one parent")
	maxScope         = 192             // bytes of a device scope: prefix, id, dash, ticks, with room
	maxManagedBy     = 128             // characters of managedBy
	maxCertificate   = 16 * 1024       // bytes of a certificate as PEM
	maxChain         = 8               // certificates of a client's chain that are looked at
	maxAttempts      = 64              // tries of one change under compare-and-swap
	bulkWorkers      = 16              // devices of one bulk request changed at once, so that they share flushes
	maxPolicies      = 64              // shared access policies
	maxQuoted        = 64              // bytes of a peer's text that an error quotes
	verificationSize = 24              // random bytes of a verification code: 48 hexadecimal digits, as Azure's
	defaultSkew      = 5 * time.Minute // Azure's tolerance for a token that has expired
)

// The keyring: whichever bound is met first. An identity with two keys of 32 bytes takes
// about 450 bytes, and one that is not there costs one read more.
const (
	maxKnown      = 32 * 1024
	maxKnownBytes = 16 << 20
	ringShards    = 64
	entrySize     = 360 // bytes of an entry and its place in the map, but for its texts and keys
	chainSize     = 96  // bytes of a provedChain
)
