package pebble

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	kv "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// formatVersion is the one format of Pebble's files that this version writes: the
// first with blob files. Raising it raises the number in FORMAT.
const formatVersion = kv.FormatValueSeparation

// common is what both instances share.
func (e *Engine) common(o Options, t *translator) *kv.Options {
	l := o.Log.With(slog.String("dir", t.dir))
	compactions := newScheduler()
	p := &kv.Options{
		FormatMajorVersion:          formatVersion,
		Logger:                      logger{log: l, fail: e.health.end},
		EventListener:               listener(l, t, compactions),
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: memTables,
		L0StopWritesThreshold:       maxSublevels,
		BytesPerSync:                1 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	p.Experimental.CompactionScheduler = compactions
	return p
}

// recordOptions: small values read at random. What each setting does to a read and a
// write was measured at a million identities (docs/decisions/0009-records-at-a-million.md).
func (e *Engine) recordOptions(o Options, t *translator) *kv.Options {
	p := e.common(o, t)
	p.CacheSize = recordsCache
	if o.CacheBytes > 0 {
		p.CacheSize = o.CacheBytes
	}
	p.Merger = sum()
	for i := range p.Levels {
		l := &p.Levels[i]
		l.FilterPolicy = bloom.FilterPolicy(10) // 1 % false positives
		l.IndexBlockSize = indexBlock
		l.Compression = func() *sstable.CompressionProfile { return sstable.FastestCompression }
	}
	return p
}

// logOptions: blocks written in order, read in order, dropped by range
// (telemetry-log 6). Target file size and level-0 threshold stay at their defaults:
// larger files straddle partitions and are rewritten.
func (e *Engine) logOptions(o Options, t *translator) *kv.Options {
	p := e.common(o, t)
	p.CacheSize = logCache
	p.FlushDelayDeleteRange = 2 * time.Second // or an idle log never returns space
	for i := range p.Levels {
		p.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	p.Experimental.ValueSeparationPolicy = func() kv.ValueSeparationPolicy {
		return kv.ValueSeparationPolicy{
			Enabled:               true,
			MinimumSize:           2 << 10,
			MaxBlobReferenceDepth: 10,
			RewriteMinimumAge:     time.Hour,
			TargetGarbageRatio:    1.0, // never rewrite: retention frees whole blob files
		}
	}
	return p
}

// listener tells the operator what Pebble found behind our back.
func listener(l *slog.Logger, t *translator, compactions *scheduler) *kv.EventListener {
	var told atomic.Int64 // when background work was last reported, Unix nanoseconds
	return &kv.EventListener{
		BackgroundError: func(err error) {
			if kv.IsCorruptionError(err) {
				compactions.rest(damageRest)
			}
			if now, last := time.Now().UnixNano(), told.Load(); now-last > int64(tellEvery) && told.CompareAndSwap(last, now) {
				l.Warn("background work of the store failed and is tried again", slog.Any("err", err))
			}
		},
		DataCorruption: func(i kv.DataCorruptionInfo) { t.damaged(i.Path, i.Details) },
		WriteStallBegin: func(i kv.WriteStallBeginInfo) {
			l.Warn("writes to the store are stalled until flushes catch up", slog.String("reason", i.Reason))
		},
	}
}

// logger is Pebble's logger: its chatter is ours at Debug, its fatal errors end the
// process.
type logger struct {
	log  *slog.Logger
	fail func(error)
}

// Infof is Pebble's chatter.
func (l logger) Infof(format string, args ...any) {
	l.log.Debug("pebble", slog.String("text", fmt.Sprintf(format, args...)))
}

// Errorf is what Pebble could not do and will try again.
func (l logger) Errorf(format string, args ...any) {
	l.log.Warn("pebble", slog.String("text", fmt.Sprintf(format, args...)))
}

// Fatalf is Pebble's report of a failed flush, or of a broken invariant.
func (l logger) Fatalf(format string, args ...any) {
	l.fail(fmt.Errorf(format, args...))
}
