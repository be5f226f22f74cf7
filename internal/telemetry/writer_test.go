package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// TestManyWritersKeepTheirOrder: sequences are dense over all writers, and each
// writer's messages stand in the order it appended them, from the ring and from the
// store alike, also after a restart.
func TestManyWritersKeepTheirOrder(t *testing.T) {
	m := storetest.New()
	l := opened(t, Config{Log: m.Log(), Partitions: 2})
	const writers, each = 20, 200
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			var ms []iot.Raw
			for n := range each {
				ms = append(ms, text("%d", n))
			}
			for len(ms) > 0 {
				n := min(len(ms), 1+i)
				send(t, l, fmt.Sprintf("w%d", i), ms[:n]...)
				ms = ms[n:]
			}
		})
	}
	wg.Wait()
	check := func(l *Log) [][]iot.Event {
		all := make([][]iot.Event, 2)
		for p, info := range l.Partitions() {
			events := take(t, l, p, device.Start{}, int(info.Last+1))
			dense(t, events)
			next := map[string]int{}
			for _, e := range events {
				if got, want := string(e.Raw.Body), fmt.Sprint(next[e.Stamp.Identity.Device]); got != want {
					t.Fatalf("%s: message %s, want %s", e.Stamp.Identity, got, want)
				}
				next[e.Stamp.Identity.Device]++
			}
			all[p] = events
		}
		return all
	}
	ring := check(l)
	if got := len(ring[0]) + len(ring[1]); got != writers*each {
		t.Fatalf("%d events, want %d", got, writers*each)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fromStore := check(opened(t, Config{Log: m.Log(), Partitions: 2, RingBytes: -1}))
	for p := range ring {
		if at := differ(ring[p], fromStore[p]); at >= 0 {
			t.Errorf("partition %d: ring and store differ at %d", p, at)
		}
	}
}

func TestDurableOnlyAfterTheFlush(t *testing.T) {
	m := storetest.New()
	begun, release := holding(m)
	l := opened(t, Config{Log: m.Log()})
	woken := make(wait, 1)
	w := l.Writer(stampOf("dev"), woken.wake)
	if n, err := w.Append([]iot.Raw{text("a"), text("b")}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	<-begun
	if n, err := w.Append([]iot.Raw{text("c")}); n != 1 || err != nil {
		t.Fatal(n, err) // the committer is in its flush: the next block takes it
	}
	if w.Durable() != 0 || w.Appended() != 3 {
		t.Errorf("durable %d of %d before the flush ended", w.Durable(), w.Appended())
	}
	if info := l.Partitions()[l.Partition("dev")]; !info.Empty {
		t.Errorf("a reader would see %+v before the flush ended", info)
	}
	close(release)
	woken.until(t, func() bool { return w.Durable() == 3 })
}

func TestFenceIsFinal(t *testing.T) {
	m := storetest.New()
	begun, release := holding(m)
	l := opened(t, Config{Log: m.Log()})
	woken := make(wait, 1)
	w := l.Writer(stampOf("dev"), woken.wake)
	if _, err := w.Append([]iot.Raw{text("1"), text("2")}); err != nil {
		t.Fatal(err)
	}
	<-begun
	if _, err := w.Append([]iot.Raw{text("3")}); err != nil {
		t.Fatal(err)
	}
	will := text("will")
	will.Flags = iot.RawWill
	w.Fence(&will)
	w.Fence(&will) // only the first acts
	if n, err := w.Append([]iot.Raw{text("late")}); n != 0 || !errors.Is(err, ErrFenced) {
		t.Errorf("append after the fence: %d %v", n, err)
	}
	newcomer := l.Writer(stampOf("dev"), nil)
	if _, err := newcomer.Append([]iot.Raw{text("new")}); err != nil {
		t.Fatal(err)
	}
	close(release)
	events := take(t, l, l.Partition("dev"), device.Start{}, 5)
	if diff := cmp.Diff([]string{"1", "2", "3", "will", "new"}, bodies(events)); diff != "" {
		t.Error(diff)
	}
	if events[3].Raw.Flags != iot.RawWill || w.Appended() != 4 {
		t.Errorf("will %+v, appended %d", events[3].Raw, w.Appended())
	}
	woken.until(t, func() bool { return w.Durable() == 4 })
}

func TestMessageTooLargeConcernsItAlone(t *testing.T) {
	l := opened(t, Config{Log: storetest.New().Log()})
	largest := iot.Raw{Source: iot.SourceBag, Props: make([]byte, maxProps), Body: make([]byte, iot.MaxMessageSize-maxProps)}
	cases := map[string]iot.Raw{
		"body":       {Body: make([]byte, iot.MaxMessageSize+1)},
		"sum":        {Props: make([]byte, 1), Body: make([]byte, iot.MaxMessageSize)},
		"properties": {Props: make([]byte, maxProps+1)},
	}
	for name, large := range cases {
		t.Run(name, func(t *testing.T) {
			woken := make(wait, 1)
			w := l.Writer(stampOf(name), woken.wake)
			n, err := w.Append([]iot.Raw{text("before"), largest, large, text("after")})
			if n != 2 || fault.Of(err) != fault.MessageTooLarge {
				t.Fatalf("got %d %v, want 2 and MessageTooLarge", n, err)
			}
			if n, err := w.Append([]iot.Raw{text("after")}); n != 1 || err != nil {
				t.Fatalf("the writer lives on: %d %v", n, err)
			}
			woken.until(t, func() bool { return w.Durable() == 3 })
			w.Fence(&large) // a last message that is too large is left out
			if w.Appended() != 3 {
				t.Errorf("appended %d", w.Appended())
			}
		})
	}
	start := take(t, l, l.Partition("body"), device.Start{}, 2)
	if !bytes.Equal(start[1].Raw.Props, largest.Props) || !bytes.Equal(start[1].Raw.Body, largest.Body) {
		t.Error("the largest message came back changed")
	}
}

// TestBackpressureHoldsAndReleases: beyond 8 MiB pending Append takes nothing, a fence
// is heard nevertheless, other partitions are not held, and whoever was refused is
// woken when there is room.
func TestBackpressureHoldsAndReleases(t *testing.T) {
	m := storetest.New()
	begun, release := holding(m)
	l := opened(t, Config{Log: m.Log(), Partitions: 2})
	id := on(l, 0)
	woken, otherWoken := make(wait, 1), make(wait, 1)
	w, other := l.Writer(stampOf(id), woken.wake), l.Writer(stampOf(id), otherWoken.wake)
	big := iot.Raw{Body: make([]byte, 100<<10)}
	total := uint64(0)
	for {
		n, err := w.Append([]iot.Raw{big, big, big})
		if err != nil {
			t.Fatal(err)
		}
		if total += uint64(n); n < 3 {
			break
		}
	}
	<-begun
	if want := uint64(maxPending / len(big.Body)); total < want || total > want+2 {
		t.Errorf("took %d messages of 100 KiB, want about %d", total, want)
	}
	if n, err := other.Append([]iot.Raw{text("x")}); n != 0 || err != nil {
		t.Errorf("another writer of the full partition: %d %v", n, err)
	}
	beside := l.Writer(stampOf(on(l, 1)), nil)
	if n, err := beside.Append([]iot.Raw{big}); n != 1 || err != nil {
		t.Errorf("a writer of another partition: %d %v", n, err)
	}
	last := text("last")
	w.Fence(&last)
	close(release)
	otherWoken.until(t, func() bool {
		n, err := other.Append([]iot.Raw{text("x")})
		return n == 1 && err == nil
	})
	woken.until(t, func() bool { return w.Durable() == total+1 })
	events := take(t, l, 0, device.Start{}, int(total)+2)
	dense(t, events)
	if got := bodies(events[total:]); !cmp.Equal(got, []string{"last", "x"}) {
		t.Errorf("the end is %q", got)
	}
}

// TestFullDiskRefusesAndRecovers: what a failed commit held is never counted durable,
// its writers end with 503, and a later writer succeeds; sequences stay dense.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	m := storetest.New()
	var refused int
	l := opened(t, Config{Log: m.Log(), Hooks: Hooks{Refused: func(n int, _ error) { refused += n }}})
	send(t, l, "dev", text("before"))
	failing(m, fmt.Errorf("%w: no room", store.ErrFull))
	woken := make(wait, 1)
	w := l.Writer(stampOf("dev"), woken.wake)
	if n, err := w.Append([]iot.Raw{text("lost"), text("lost")}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	woken.until(t, func() bool { return w.Err() != nil })
	if code := fault.Of(w.Err()); code != fault.ServiceUnavailable || !errors.Is(w.Err(), store.ErrFull) {
		t.Errorf("got %v, want 503001 that wraps ErrFull", w.Err())
	}
	if w.Durable() != 0 {
		t.Errorf("%d of a failed commit count as durable", w.Durable())
	}
	if _, err := w.Append([]iot.Raw{text("more")}); fault.Of(err) != fault.ServiceUnavailable {
		t.Errorf("a failed writer takes more: %v", err)
	}
	if _, _, err := l.Append(t.Context(), stampOf("dev"), text("https")); fault.Of(err) != fault.ServiceUnavailable {
		t.Errorf("append over HTTPS: %v", err)
	}
	failing(m, nil)
	send(t, l, "dev", text("after"))
	events := take(t, l, l.Partition("dev"), device.Start{}, 2)
	dense(t, events)
	if diff := cmp.Diff([]string{"before", "after"}, bodies(events)); diff != "" {
		t.Error(diff)
	}
	if err := l.Close(); err != nil || refused != 3 {
		t.Errorf("%d messages were reported refused, want 3 (%v)", refused, err)
	}
}

// TestNothingIsStoredBehindALostMessage: while a commit fails, what was appended behind
// it in the same partition is dropped with it.
func TestNothingIsStoredBehindALostMessage(t *testing.T) {
	m := storetest.New()
	l := still(t, Config{Log: m.Log(), Partitions: 1})
	w, other := l.Writer(stampOf("a"), nil), l.Writer(stampOf("b"), nil)
	appendAll := func(w *Writer, ms ...iot.Raw) {
		if n, err := w.Append(ms); n != len(ms) || err != nil {
			t.Fatal(n, err)
		}
	}
	appendAll(w, text("1"))
	m.Fail(func(op storetest.Op) error {
		if op != storetest.LogCommit {
			return nil
		}
		appendAll(w, text("2")) // while the commit runs
		appendAll(other, text("x"))
		return errors.New("no luck")
	})
	l.step()
	m.Fail(nil)
	l.settle()
	if fault.Of(w.Err()) != fault.ServerError || fault.Of(other.Err()) != fault.ServerError {
		t.Errorf("writers of a failed partition: %v, %v", w.Err(), other.Err())
	}
	if info := l.Partitions()[0]; !info.Empty {
		t.Errorf("something was stored behind a lost message: %+v", info)
	}
}

func TestAppendTellsTheSequence(t *testing.T) {
	l := opened(t, Config{Log: storetest.New().Log(), Partitions: 3})
	next := map[int]uint64{}
	for i := range 60 {
		id := fmt.Sprintf("dev%d", i%7)
		p, seq, err := l.Append(t.Context(), stampOf(id), text("%d", i))
		if err != nil || p != l.Partition(id) || seq != next[p] {
			t.Fatalf("got partition %d, sequence %d, %v; want %d and %d", p, seq, err, l.Partition(id), next[p])
		}
		next[p]++
	}
	if _, _, err := l.Append(t.Context(), stampOf("dev"), iot.Raw{Body: make([]byte, iot.MaxMessageSize+1)}); fault.Of(err) != fault.MessageTooLarge {
		t.Errorf("got %v, want MessageTooLarge", err)
	}
}

// TestAppendingAllocatesNothingPerMessage: a chunk of 1 MiB and a waiter list grow now
// and then; a message costs nothing.
func TestAppendingAllocatesNothingPerMessage(t *testing.T) {
	l := still(t, Config{Log: storetest.New().Log()})
	w := l.Writer(stampOf("dev"), nil)
	ms := []iot.Raw{text("0123456789"), text("0123456789")}
	got := testing.AllocsPerRun(2000, func() {
		if n, err := w.Append(ms); n != 2 || err != nil {
			t.Fatal(n, err)
		}
	})
	if got >= 0.1 {
		t.Errorf("%v allocations for two messages", got)
	}
}
