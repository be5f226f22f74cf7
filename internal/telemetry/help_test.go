package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// patience is how long a test waits for what must come; nothing is timed by it.
const patience = 20 * time.Second

// opened opens a log that is closed with the test.
func opened(tb testing.TB, c Config) *Log {
	tb.Helper()
	l, err := Open(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

// still is a log without goroutines: the test is the committer.
func still(tb testing.TB, c Config) *Log {
	tb.Helper()
	l, err := load(c)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// step commits what was appended, as the committer does once.
func (l *Log) step() {
	if l.gather(); len(l.round.items) > 0 {
		l.commit()
	}
}

// settle commits until nothing waits.
func (l *Log) settle() {
	for !l.idle() {
		l.step()
	}
}

// on gives a device id of the partition.
func on(l *Log, partition int) string {
	for i := 0; ; i++ {
		if id := fmt.Sprintf("dev-%d", i); l.Partition(id) == partition {
			return id
		}
	}
}

func stampOf(id string) iot.Stamp {
	return iot.Stamp{Identity: iot.Identity{Device: id}, Generation: 7}
}

func text(format string, args ...any) iot.Raw {
	return iot.Raw{Source: iot.SourceBag, Props: []byte("a=b"), Body: fmt.Appendf(nil, format, args...)}
}

// wait is a wake that a test can wait for.
type wait chan struct{}

func (w wait) wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// until waits for wakes until the condition holds.
func (w wait) until(t *testing.T, condition func() bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for !condition() {
		select {
		case <-w:
		case <-late.C:
			t.Fatal("it never came")
		}
	}
}

// send appends everything and waits until it is durable.
func send(t *testing.T, l *Log, id string, ms ...iot.Raw) {
	t.Helper()
	woken := make(wait, 1)
	w := l.Writer(stampOf(id), woken.wake)
	total := uint64(len(ms))
	woken.until(t, func() bool {
		if err := w.Err(); err != nil {
			t.Fatal(err)
		}
		n, err := w.Append(ms)
		if err != nil {
			t.Fatal(err)
		}
		ms = ms[n:]
		return w.Durable() == total
	})
}

// take reads n events of a partition.
func take(t *testing.T, l *Log, partition int, start device.Start, n int) []iot.Event {
	t.Helper()
	r, err := l.Reader(partition, start)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return drain(t, r, n)
}

// drain reads at least n events; what they point to is valid without limit.
func drain(t *testing.T, r *Reader, n int) []iot.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out []iot.Event
	for len(out) < n {
		events, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d events: %v", len(out), n, err)
		}
		out = append(out, events...)
	}
	return out
}

// fataler is what a helper needs of a test, rapid or not.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// dense checks that sequences and offsets leave nothing out and times never step back.
func dense(t fataler, events []iot.Event) {
	t.Helper()
	for i := 1; i < len(events); i++ {
		a, b := events[i-1], events[i]
		size := messageSize(stampBytes(a.Stamp), &a.Raw)
		if b.Sequence != a.Sequence+1 || b.Offset != a.Offset+uint64(size) || b.Enqueued.Before(a.Enqueued) {
			t.Fatalf("event %d at %d of %d bytes (%s) is followed by %d at %d (%s)",
				a.Sequence, a.Offset, size, a.Enqueued, b.Sequence, b.Offset, b.Enqueued)
		}
	}
}

// differ gives the first place where two runs of events differ, -1 for none; bodies are
// too large to be printed.
func differ(want, got []iot.Event) int {
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) {
			return i
		}
		a, b := want[i], got[i]
		same := bytes.Equal(a.Raw.Props, b.Raw.Props) && bytes.Equal(a.Raw.Body, b.Raw.Body) &&
			a.Raw.Flags == b.Raw.Flags && a.Raw.Source == b.Raw.Source
		a.Raw, b.Raw = iot.Raw{}, iot.Raw{}
		if !same || !reflect.DeepEqual(a, b) {
			return i
		}
	}
	return -1
}

func bodies(events []iot.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, string(e.Raw.Body))
	}
	return out
}

// failing makes commits fail with the error, nil to let them through.
func failing(m *storetest.Memory, err error) {
	m.Fail(func(op storetest.Op) error {
		if op == storetest.LogCommit {
			return err
		}
		return nil
	})
}

// holding makes commits wait until the channel it gives is closed; begun gets a token at
// each commit.
func holding(m *storetest.Memory) (begun chan struct{}, release chan struct{}) {
	begun, release = make(chan struct{}, 100), make(chan struct{})
	m.Fail(func(op storetest.Op) error {
		if op == storetest.LogCommit {
			begun <- struct{}{}
			<-release
		}
		return nil
	})
	return begun, release
}

// clock is a wall clock that a test sets.
type clock struct{ millis int64 }

func (c *clock) now() time.Time { return time.UnixMilli(c.millis) }
