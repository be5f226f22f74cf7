package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram of latencies: 32 buckets for each doubling, so a value is at most
// 3.2 % above what was recorded; from 1 ns to 18 minutes, what is beyond counts as that.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	topBit     = 40 // 2^40 ns is 18 minutes
	buckets    = (topBit - subBits + 1) * subBuckets
)

// histogram counts latencies in a fixed array. The zero value is ready; any number
// of goroutines may record.
type histogram struct {
	counts [buckets]atomic.Uint64
	max    atomic.Int64
}

// bucket gives the index for a latency.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v >= 1<<topBit {
		return buckets - 1
	}
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift)&(subBuckets-1)
}

// upper gives the greatest latency that falls into a bucket.
func upper(i int) time.Duration {
	if i < subBuckets {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	return time.Duration((subBuckets+i&(subBuckets-1)+1)<<shift - 1)
}

func (h *histogram) record(d time.Duration) {
	h.counts[bucket(d)].Add(1)
	for {
		old := h.max.Load()
		if int64(d) <= old || h.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// meter is one measure, spread over shards.
type meter struct {
	shard [shards]histogram
}

// of gives the shard for the nth connection.
func (m *meter) of(n int) *histogram { return &m.shard[n%shards] }

// Latency summarises a measure. Durations are in microseconds, because that is
// what a reader compares.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50Micros"`
	P90   float64 `json:"p90Micros"`
	P99   float64 `json:"p99Micros"`
	P999  float64 `json:"p999Micros"`
	Max   float64 `json:"maxMicros"`
}

// summary reads the measure; recording should be over.
func (m *meter) summary() Latency {
	var all [buckets]uint64
	var l Latency
	var longest int64
	for s := range m.shard {
		h := &m.shard[s]
		for i := range all {
			n := h.counts[i].Load()
			all[i] += n
			l.Count += n
		}
		longest = max(longest, h.max.Load())
	}
	at := func(quantile float64) float64 {
		if l.Count == 0 {
			return 0
		}
		need := max(1, uint64(quantile*float64(l.Count)+0.5))
		var seen uint64
		for i, n := range all {
			if seen += n; seen >= need {
				return micros(min(upper(i), time.Duration(longest)))
			}
		}
		return micros(time.Duration(longest))
	}
	l.P50, l.P90, l.P99, l.P999 = at(0.5), at(0.9), at(0.99), at(0.999)
	l.Max = micros(time.Duration(longest))
	return l
}

// micros rounds to a tenth of a microsecond.
func micros(d time.Duration) float64 {
	return float64(d.Round(100*time.Nanosecond)) / float64(time.Microsecond)
}
