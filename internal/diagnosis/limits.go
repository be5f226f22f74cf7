package diagnosis

import "time"

const (
	// maxCases is how many identities' conflicts are kept by default.
	maxCases = 10_000
	// maxKept is how many of a story's displacements are kept whole: its first maxFirst, so
	// that one can see how it began, and the most recent ones. The others are counted.
	maxKept  = 32
	maxFirst = 8
	// maxNodes is how many installations, and how many tokens, a story tells apart.
	maxNodes = 16
	// maxBeaten is how many displaced values of one dimension a story remembers.
	maxBeaten = 16
	// maxHot and maxHotConflicts bound what is kept in memory of cases; the others are read
	// when they are touched again. A case with a displacement that is not judged yet
	// is never put away, so maxPending bounds those on top.
	maxHot          = 4096
	maxHotConflicts = 16 * 1024
	// maxPending bounds the displacements whose afterlife is awaited; the oldest counts as
	// not observed when there are more.
	maxPending = 16 * 1024
	// maxEarly bounds the afterlives that came before their displacement was told.
	maxEarly = 1024
	// maxQueue bounds the events that wait for the clerk; those beyond are counted, and
	// followers are told.
	maxQueue = 64 * 1024
	// maxRefusals bounds, of those, the refused connections: whoever is refused has proved
	// nothing and may not crowd out what is known of others.
	maxRefusals = 4096
	// maxTroubles bounds the identities whose latest trouble is remembered, for ends and
	// for refusals each.
	maxTroubles = 16 * 1024
	// maxFollow bounds what waits for one follower; beyond it the follower is told how
	// many are missing. maxFollowers bounds the followers of one kind.
	maxFollow    = 4096
	maxFollowers = 256
	// maxText, maxShort and maxReason bound, in bytes, what is kept of a string that a peer
	// chose.
	maxText   = 512
	maxShort  = 128
	maxReason = 256
	// maxRecord bounds a stored record that is read, in bytes.
	maxRecord = 1 << 20
	// maxPast is how many earlier stories of an identity are kept as they were explained.
	// Of each, maxPastConflicts displacements are kept.
	maxPast          = 3
	maxPastConflicts = 8
	// maxBehind bounds the records that wait to be written while the store takes nothing.
	maxBehind = 64 * 1024
	// maxBatch bounds the records of one write.
	maxBatch = 512
)

const (
	// judgeEvery is how often touched stories are judged, writeEvery how often they are
	// written behind.
	judgeEvery = 250 * time.Millisecond
	writeEvery = time.Second
	// writeWithin bounds one write, and closeWithin all that Close has still to write.
	writeWithin = 10 * time.Second
	closeWithin = 30 * time.Second
	// tellEvery is how often followers hear of a story that only grows.
	tellEvery = time.Second
	// tellWithin is how long the log waits for a story to be more than undecided.
	tellWithin = 10 * time.Second
	// afterlifeWithin is how long the word on a displaced connection is awaited: the probe
	// takes five seconds at most.
	afterlifeWithin = 6 * time.Second
	// storyGap is how long after its last displacement a story still goes on: longer than
	// the longest renewal rhythm, 65 minutes and a tenth.
	storyGap = 2 * time.Hour
)

// What the rules measure with.
const (
	// returnAtOnce is how soon after a displacement, but for two round trips, a client that
	// was displaced dials again: SDKs wait 100 ms at most at first (device-mqtt-http 9). Some
	// clients wait a second; returnWithin is for those that can be recognised.
	returnAtOnce = 500 * time.Millisecond
	returnWithin = 1500 * time.Millisecond

	// returnsAtLeast is how many such returns in a row of live connections are evidence.
	returnsAtLeast = 4

	// keptSpan is how far apart connections with one token must have been opened for it to
	// be one that its client keeps. Tokens signed with the same key in the same second are
	// the same text, whoever made them.
	keptSpan = 1500 * time.Millisecond

	// togetherWithin is how soon one program that opens two connections sets out for the
	// second when it has the first; a second program has to start first. What the first
	// needed to be let in, and two round trips, are added: a slow machine or network is as
	// slow the second time.
	togetherWithin = 300 * time.Millisecond

	// promptAtLeast is how soon a live client answers the hub's close at the latest, or
	// four round trips if that is longer: a late answer may be a network's late flush.
	promptAtLeast = 250 * time.Millisecond
	promptRTTs    = 4
	// quietAtLeast is how long a connection without keep-alive has been silent when that
	// is worth noting; with one it is half the keep-alive.
	quietAtLeast = 30 * time.Second
	// quietAMQP is the same for AMQP: half the hub's idle time-out, after which clients send
	// an empty frame (amqp 1).
	quietAMQP = 2 * time.Minute
	// stalledAtLeast is how long the kernel has waited for an acknowledgement when that is
	// no longer a round trip.
	stalledAtLeast = 2 * time.Second
	// followedWithin is how soon another displacement shows that the one before was no
	// handover and no renewal.
	followedWithin = 30 * time.Second
	// repeatedWithin is how far apart displacements of connections with one token are that
	// show both of them alive.
	repeatedWithin = 2 * time.Minute
	// twinTokens is how far apart the ends of tokens are that one process made at once.
	twinTokens = 2 * time.Second
	// renewalBefore is how near its end a token is renewed.
	renewalBefore = 15 * time.Minute
	// rootCauseWithin is how long after a trouble a displacement may come from it, or one
	// and a half keep-alives if that is longer.
	rootCauseWithin = time.Minute
)
