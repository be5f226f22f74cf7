package telemetry

import "time"

// The bounds of the log.
const (
	// MaxPartitions is the most partitions a log can have (Azure: 32).
	MaxPartitions = 32
	// defaultPartitions is Azure's default.
	defaultPartitions = 4

	// chunkSize is the unit that blocks are cut from, and so the largest block, in bytes.
	chunkSize = 1 << 20
	// maxIdleChunks is how many emptied chunks a partition keeps: one fills while another
	// is committed.
	maxIdleChunks = 2
	// maxProps is the most property bytes of one message: their length is a u16.
	maxProps = 1<<16 - 1
	// maxModel is the most bytes of a model id; a longer one is cut.
	maxModel = 255

	// maxPending is how much one partition may hold that is not yet on stable storage, in
	// bytes. Beyond it Append takes nothing; writers are woken at half.
	maxPending = 8 << 20
	// commitBytes is the most one commit takes of all partitions: below half a memtable,
	// where Pebble would set the batch aside as a memtable of its own.
	commitBytes = 7 << 20

	// markBytes and markEvery: a mark is set when both have passed since the last one.
	markBytes = 4 << 20
	markEvery = time.Second

	// defaultRing is what all rings of recent blocks may hold together, in bytes.
	defaultRing = 32 << 20
	// defaultAge and defaultBytes are what retention keeps of each partition.
	defaultAge   = 24 * time.Hour
	defaultBytes = 2 << 30
	// retainEvery is how often retention looks.
	retainEvery = 5 * time.Second

	// sequenceRate and offsetRate are more than one partition takes in a second. Until the
	// year 2106 sequences made of them stay below 2^53, which JavaScript counts exactly.
	sequenceRate = 1 << 20 // messages
	offsetRate   = 1 << 30 // bytes
	// sequenceGap and offsetGap are more than a partition keeps (config: retention_bytes).
	sequenceGap = 1 << 36 // messages: offsetGap in the smallest there are
	offsetGap   = 1 << 40 // bytes
	// maxMarked is more than stands between two marks: markBytes, and what comes in
	// markEvery and until the next commit. More than this is a gap behind damage.
	maxMarked = 2 * offsetRate

	// readBytes is what a reader behind the ring reads at once, in bytes.
	readBytes = 1 << 20
	// maxWalk is how many damaged blocks a reader passes one by one before it leaps.
	maxWalk = 8
	// defaultCatchUp paces all readers behind the rings together, in bytes per second:
	// unpaced, one of them takes a whole core from ingest.
	defaultCatchUp = 125 << 20
	// maxEvents is the most events Next gives at once.
	maxEvents = 1024
	// maxStamps is how many senders a reader remembers, to give them without a copy.
	maxStamps = 512
)
