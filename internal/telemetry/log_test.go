package telemetry

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// TestPartitionOfADevice: the mapping is part of the format and never changes.
func TestPartitionOfADevice(t *testing.T) {
	l := still(t, Config{Log: storetest.New().Log(), Partitions: 32})
	for id, want := range map[string]int{"": 5, "a": 12, "dev1": 23, "sensor-0001": 21} {
		if got := l.Partition(id); got != want {
			t.Errorf("%q: partition %d, want %d", id, got, want)
		}
	}
	seen := map[int]int{}
	for i := range 3200 {
		seen[l.Partition(fmt.Sprintf("device-%d", i))]++
	}
	for p := range 32 {
		if seen[p] < 50 || seen[p] > 200 {
			t.Errorf("partition %d got %d of 3200 devices", p, seen[p])
		}
	}
}

func TestOpenRefusesWhatItWouldLose(t *testing.T) {
	m := storetest.New()
	l := opened(t, Config{Log: m.Log(), Partitions: 8})
	send(t, l, on(l, 6), text("x"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, partitions := range []int{4, -1, MaxPartitions + 1} {
		if _, err := Open(Config{Log: m.Log(), Partitions: partitions}); err == nil || !strings.Contains(err.Error(), "partition") {
			t.Errorf("%d partitions: %v", partitions, err)
		}
	}
	m.Alter(6, 0, func(value []byte) {
		value[0] = 2
		reseal(value)
	})
	if _, err := Open(Config{Log: m.Log(), Partitions: 8}); !errors.Is(err, store.ErrFormat) {
		t.Errorf("an end of a newer format: got %v, want ErrFormat", err)
	}
}

// TestCloseCommitsWhatWasAppended, refuses the rest, ends readers and leaves no
// goroutine.
func TestCloseCommitsWhatWasAppended(t *testing.T) {
	before := runtime.NumGoroutine()
	m := storetest.New()
	l := opened(t, Config{Log: m.Log()})
	r, err := l.Reader(l.Partition("dev"), device.Start{At: device.StartEnd})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := r.Next(context.Background()); err != nil {
				ended <- err
				return
			}
		}
	}()
	w := l.Writer(stampOf("dev"), nil)
	var ms []iot.Raw
	for i := range 1000 {
		ms = append(ms, text("%d", i))
	}
	if n, err := w.Append(ms); n != len(ms) || err != nil {
		t.Fatal(n, err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if w.Durable() != 1000 {
		t.Errorf("%d of 1000 messages are durable after Close", w.Durable())
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("the reader ended with %v, want ErrClosed", err)
	}
	if _, err := w.Append(ms); !errors.Is(err, ErrClosed) {
		t.Errorf("append after Close: %v", err)
	}
	last := text("will")
	w.Fence(&last)
	if _, _, err := l.Append(t.Context(), stampOf("dev"), text("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("append over HTTPS after Close: %v", err)
	}
	if w.Appended() != 1000 {
		t.Errorf("%d messages appended, want 1000", w.Appended())
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

func TestPartitionsTellTheirEnds(t *testing.T) {
	c := &clock{millis: 1_700_000_000_123}
	l := still(t, Config{Log: storetest.New().Log(), Partitions: 2, Now: c.now})
	w := l.Writer(stampOf(on(l, 1)), nil)
	size := uint64(messageSize(w.stamp, &iot.Raw{Body: []byte("x")}))
	for range 3 {
		if _, err := w.Append([]iot.Raw{{Body: []byte("x")}, {Body: []byte("y")}}); err != nil {
			t.Fatal(err)
		}
		l.settle()
	}
	infos := l.Partitions()
	want := PartitionInfo{ID: 1, First: 0, Last: 5, LastOffset: 5 * size, LastEnqueued: c.now().UTC()}
	if len(infos) != 2 || infos[0] != (PartitionInfo{Empty: true}) || infos[1] != want {
		t.Errorf("got %+v, want %+v", infos, want)
	}
	if _, err := l.Reader(2, device.Start{}); fault.Of(err) != fault.PartitionNotFound {
		t.Errorf("a reader of partition 2: %v", err)
	}
	if _, err := l.Reader(1, device.Start{At: 99}); fault.Of(err) != fault.ArgumentInvalid {
		t.Errorf("a reader from nowhere: %v", err)
	}
}

// TestClockMayStepBack: enqueued times never do, not even over a restart.
func TestClockMayStepBack(t *testing.T) {
	m := storetest.New()
	c := &clock{millis: 5000}
	conf := Config{Log: m.Log(), Partitions: 1, Now: c.now}
	l := still(t, conf)
	put := func(at int64) {
		c.millis = at
		if _, err := l.Writer(stampOf("dev"), nil).Append([]iot.Raw{text("x")}); err != nil {
			t.Fatal(err)
		}
		l.settle()
	}
	put(5000)
	put(3000)
	l = still(t, conf)
	put(100)
	put(5001)
	events := take(t, l, 0, device.Start{}, 4)
	dense(t, events)
	for i, want := range []int64{5000, 5000, 5000, 5001} {
		if got := events[i].Enqueued.UnixMilli(); got != want {
			t.Errorf("event %d is enqueued at %d, want %d", i, got, want)
		}
	}
}
