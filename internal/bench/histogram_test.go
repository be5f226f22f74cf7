package bench

import (
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// discard is a connection that takes everything.
type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func TestBucketsHoldWhatTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<topBit-1).Draw(t, "latency"))
		i := bucket(d)
		if i < 0 || i >= buckets || d > upper(i) || i > 0 && d <= upper(i-1) {
			t.Fatalf("%d is in bucket %d, up to %d", d, i, upper(i))
		}
		if float64(upper(i)-d) > 0.032*float64(d) {
			t.Fatalf("bucket %d is too wide for %d: up to %d", i, d, upper(i))
		}
	})
	for _, d := range []time.Duration{-1, 1 << topBit, math.MaxInt64} {
		if i := bucket(d); i < 0 || i >= buckets {
			t.Errorf("%d is in bucket %d", d, i)
		}
	}
}

func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(1, int64(time.Minute)), 1, 200).Draw(t, "latencies")
		m := new(meter)
		for n, v := range all {
			m.of(n).record(time.Duration(v))
		}
		got := m.summary()
		slices.Sort(all)
		for _, q := range []struct{ quantile, got float64 }{{0.5, got.P50}, {0.9, got.P90}, {0.99, got.P99}, {0.999, got.P999}} {
			rank := max(1, int(q.quantile*float64(len(all))+0.5))
			want := float64(all[rank-1]) / 1000
			if q.got < want-0.1 || q.got > want*1.033+0.1 {
				t.Fatalf("quantile %g of %d: got %g µs, want %g", q.quantile, len(all), q.got, want)
			}
		}
		if want := micros(time.Duration(all[len(all)-1])); got.Count != uint64(len(all)) || got.Max != want {
			t.Fatalf("got %+v, want max %g", got, want)
		}
	})
}

func TestParseStat(t *testing.T) {
	text := "12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 100 200 300"
	if got, err := parseStat([]byte(text)); err != nil || got != 2*time.Second {
		t.Errorf("got %s %v, want 2s", got, err)
	}
	for _, bad := range []string{"", "12 (a", "12 (a) S 1 2", "12 (a) S 1 2 3 4 5 6 7 8 9 10 x 50 0"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}
