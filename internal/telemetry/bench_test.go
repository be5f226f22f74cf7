package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
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

// BenchmarkRead is 1 and 8 readers that follow one partition: one op is one event
// delivered to one of them.
func BenchmarkRead(b *testing.B) {
	for _, readers := range []int{1, 8} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) { benchmarkRead(b, readers) })
	}
}

func benchmarkRead(b *testing.B, readers int) {
	b.Helper()
	e, err := pebble.Open(pebble.Options{Dir: b.TempDir(), BallastBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	l, err := Open(Config{Log: e.Log(), Partitions: 1, RetentionBytes: 256 << 20})
	if err != nil {
		b.Fatal(err)
	}
	each := b.N/readers + 1
	ms := make([]iot.Raw, 64)
	for i := range ms {
		ms[i] = iot.Raw{Source: iot.SourceBag, Body: make([]byte, 256)}
	}
	var wg sync.WaitGroup
	for range readers {
		r, err := l.Reader(0, device.Start{At: device.StartEnd})
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			defer r.Close()
			for seen := 0; seen < each; {
				events, err := r.Next(context.Background())
				if err != nil {
					b.Error(err)
					return
				}
				seen += len(events)
			}
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	woken := make(wait, 1)
	w := l.Writer(iot.Stamp{Identity: iot.Identity{Device: "device-001"}}, woken.wake)
	for sent := 0; sent < each; {
		n, err := w.Append(ms[:min(len(ms), each-sent)])
		if err != nil {
			b.Fatal(err)
		}
		if sent += n; n == 0 {
			<-woken
		}
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := l.Close(); err != nil {
		b.Error(err)
	}
	if err := e.Close(); err != nil {
		b.Error(err)
	}
}
