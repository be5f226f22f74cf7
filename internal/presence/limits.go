package presence

import "time"

const (
	// shards is how many parts the map of live identities has; a device and its modules
	// share one.
	shards = 256
	// DefaultGrace is how long a session outlives its token (connections 7: Azure
	// documents ten minutes).
	DefaultGrace = 10 * time.Minute
	// sweepEvery is how late an expiry may be noticed.
	sweepEvery = time.Second
	// flushEvery is how many sweeps pass between two writes of what is written behind.
	flushEvery = 2
	// maxBatch bounds the records of one write.
	maxBatch = 1024
	// maxPending bounds what one shard has still to write; beyond it the record of one
	// more identity is dropped, and reads as it did before.
	maxPending = 16 * 1024
	// wallSlack is how far the wall clock may run ahead of the monotonic one between two
	// sweeps before tokens are looked at again.
	wallSlack = time.Second
	// maxSubscriptions and maxFilter bound what a kept session is read as: more than
	// the hub grants, and the longest MQTT topic filter.
	maxSubscriptions = 256
	maxFilter        = 65535
	// maxAttempts bounds how often a lost compare-and-swap of a session is tried again.
	maxAttempts = 8
)

// flushWithin bounds one round of writing states behind.
const flushWithin = 30 * time.Second
