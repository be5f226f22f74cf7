package reslog

import "time"

const (
	// maxQueue bounds the records that wait to be written. Beyond it they are counted, and
	// a record says how many are missing.
	maxQueue = 64 * 1024
	// maxWrite bounds, in bytes, what one write to the file holds, unless one line alone
	// is longer.
	maxWrite = 256 * 1024
	// gatherFor is how long a record waits for others to be written with: in a storm of
	// connects one write then serves many.
	gatherFor = 10 * time.Millisecond
	// keptWrite is the largest buffer, in bytes, that is kept for the next write.
	keptWrite = 64 * 1024
	// maxLine is the longest line, in bytes, that is read back; what is written is shorter
	// by the limits below, each byte escaped twice.
	maxLine = 128 * 1024
	// ringLines and ringBytes bound what is kept in memory for those who follow.
	ringLines = 4096
	ringBytes = 4 << 20
	// maxTailBytes bounds the lines that a reader with Tail gathers.
	maxTailBytes = 8 << 20
	// errorRate and errorBurst bound the records per second that refused connections,
	// requests and messages cause, per category: whoever need not prove anything must not
	// rotate away what was written of others. What goes beyond is counted, and a record
	// says how many.
	errorRate  = 20
	errorBurst = 200
	// maxText, maxShort and maxReason bound, in bytes, what is written of a string that a
	// peer chose.
	maxText   = 1024
	maxShort  = 256
	maxReason = 512
	// secretSlack is how many bytes beyond a limit are looked at for a secret that the
	// limit would cut in two; the longest key has 88.
	secretSlack = 128
	// The defaults of Config.
	defaultMaxSizeMB  = 64
	defaultMaxBackups = 8
	defaultMaxAgeDays = 30
)
