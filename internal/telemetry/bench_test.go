package telemetry

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/pebble"
)

// BenchmarkAppend is 100 writers with 16 messages of 256 bytes in flight, durable on
// disk: one op is one message.
func BenchmarkAppend(b *testing.B) {
	const writers, window = 100, 16
	e, err := pebble.Open(pebble.Options{Dir: b.TempDir(), BallastBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	var commits, batched int
	l, err := Open(Config{Log: e.Log(), RetentionBytes: 256 << 20, Hooks: Hooks{
		Committed: func(_ time.Duration, messages, _ int) { commits++; batched += messages },
	}})
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte(`{"t":21.5}`), 26)[:256]
	ms := make([]iot.Raw, window)
	for i := range ms {
		ms[i] = iot.Raw{Source: iot.SourceBag, Props: []byte("%24.ct=application%2Fjson"), Body: body}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range writers {
		share := b.N / writers
		if i < b.N%writers {
			share++
		}
		wg.Go(func() {
			woken := make(chan struct{}, 1)
			w := l.Writer(iot.Stamp{Identity: iot.Identity{Device: fmt.Sprintf("device-%03d", i)}}, func() {
				select {
				case woken <- struct{}{}:
				default:
				}
			})
			for w.Durable() < uint64(share) {
				if n := min(window-int(w.Appended()-w.Durable()), share-int(w.Appended())); n > 0 {
					if _, err := w.Append(ms[:n]); err != nil {
						b.Error(err)
						return
					}
				}
				<-woken
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if err := l.Close(); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(batched)/float64(max(commits, 1)), "msg/commit")
	if err := e.Close(); err != nil {
		b.Error(err)
	}
}
