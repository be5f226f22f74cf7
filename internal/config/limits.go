package config

import "time"

// The bounds of the settings.
const (
	minPartitions = 2
	maxPartitions = 32
	maxHosts      = 64
	maxBinds      = 64
	maxPort       = 65535

	minRetentionAge   = time.Minute
	maxRetentionAge   = 3650 * 24 * time.Hour
	minRetentionBytes = 8 << 20           // less than this is a few blocks
	maxRetentionBytes = 1_000_000_000_000 // below the gap that is left behind damage (telemetry)
	maxClockSkew      = time.Hour
	maxExpiryGrace    = 24 * time.Hour
	minLogFile        = 1 << 20 // the resource log's library rotates in whole megabytes
	maxLogFile        = 10 << 30
	maxLogBackups     = 1000

	minTTL           = time.Minute // Azure's, as the others of messages
	maxTTL           = 48 * time.Hour
	maxDeliveries    = 100
	minFeedbackBatch = time.Millisecond
	maxFeedbackBatch = time.Minute
	minFeedbackLock  = 5 * time.Second
	maxFeedbackLock  = 5 * time.Minute

	minUnauthenticated = 16
	maxUnauthenticated = 1 << 20

	maxGoodbyeSpread = 10 * time.Second // a stopping hub cuts what is left after 15 s
)

// maxPolicies is how many shared access policies a hub has (service-rest E).
const maxPolicies = 16
