package pebble

import "time"

// The bounds of the engine.
const (
	// maxKey bounds a record key, an index key and a counter key, in bytes.
	maxKey = 4 << 10
	// maxValue bounds a record's value, in bytes; a value lives in one batch, and a batch
	// must fit a memtable.
	maxValue = 4 << 20
	// maxIndex bounds the index keys of one record.
	maxIndex = 256
	// maxBatch bounds the writes, and the deltas, of one batch.
	maxBatch = 4 << 10

	// maxTallies bounds the counters whose sums are kept in memory.
	maxTallies = 1 << 10

	// stripes is the number of locks that order the writes of one key. A write holds its
	// lock over its flush, so it must be well above the number of concurrent writers.
	stripes = 1 << 10
	// claimShards is the number of maps that claims are spread over.
	claimShards = 64

	// retryPause is how long a failed write of a table waits before Pebble hears of it and
	// tries again.
	retryPause = 100 * time.Millisecond
	// tellEvery is how often the operator is told of background work that fails.
	tellEvery = 10 * time.Second
	// maxTold is how many damaged places the operator is told of.
	maxTold = 256

	// scanCheck is how many records a scan passes between looks at its context.
	scanCheck = 256

	// grantEvery is how often an instance is asked whether it wants to compact more.
	grantEvery = 100 * time.Millisecond
	// damageRest is how long an instance compacts nothing after a compaction that met damage.
	damageRest = time.Minute
	// maxSublevels is how many flushes may wait to be compacted before Pebble lets writes
	// wait, without end if the compaction cannot succeed because a table is damaged; so from
	// fullSublevels on, writes are refused. Until then 14 GiB are written beside the damage.
	maxSublevels  = 1 << 10
	fullSublevels = maxSublevels - 128
	// sublevelsEvery is how often they are counted: at 600 MB/s written, 38 come between.
	sublevelsEvery = time.Second

	// maxPartitions is how many partitions of a log are looked at when it is damaged: no log
	// has more (telemetry.MaxPartitions).
	maxPartitions = 32
	// mendBatch is how much of a damaged log is copied at once, in bytes.
	mendBatch = 4 << 20

	// suspectEvery is how often it is noted for the next start that a table is damaged.
	suspectEvery = time.Second

	// settleWithin is how long Close waits for what it flushes.
	settleWithin = 5 * time.Second

	// defaultReserve is the free space below which writes are refused.
	defaultReserve = 256 << 20
	// defaultBallast is the size of the file that is given up when the disk is full
	// nevertheless, so that writes under way can end.
	defaultBallast = 32 << 20
	// spaceEvery is how often free space is looked at. At 600 MB/s written, 150 MB pass
	// between two looks: less than the reserve.
	spaceEvery = 250 * time.Millisecond

	// recordsCache is the block cache of the records instance, in bytes.
	recordsCache = 64 << 20
	// logCache is the block cache of the log instance, in bytes: readers go through the
	// ring of the telemetry log, not through this.
	logCache = 16 << 20
	// indexBlock is the size of an index block of the records, in bytes: one for each
	// table. With Pebble's 4 KiB a read goes through an index of the index, and through one
	// block more.
	indexBlock = 256 << 10
	// memTable is the memtable of either instance, in bytes (telemetry-log 6).
	memTable = 16 << 20
	// memTables is how many memtables may wait for their flush before writes stop.
	memTables = 4
)
