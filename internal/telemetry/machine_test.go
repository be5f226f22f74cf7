package telemetry

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// machine plays the log against what a writer may expect: writers append and are
// fenced, commits succeed and fail, the process restarts, in any order.
type machine struct {
	memory  *storetest.Memory
	log     *Log
	clock   *clock
	live    []*played // of the present run
	past    []*played // of earlier runs
	writers int
}

// played is a writer and what it did.
type played struct {
	w      *Writer
	name   string
	taken  int // messages the log took
	fenced bool
}

func (m *machine) open(t *rapid.T) {
	l, err := load(Config{Log: m.memory.Log(), Partitions: 2, Now: m.clock.now, RingBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	m.log = l
}

func (m *machine) pick(t *rapid.T) *played {
	if len(m.live) == 0 {
		m.newWriter(t)
	}
	return rapid.SampledFrom(m.live).Draw(t, "writer")
}

func (m *machine) newWriter(t *rapid.T) {
	m.writers++
	p := &played{name: fmt.Sprintf("w%d", m.writers)}
	p.w = m.log.Writer(stampOf(fmt.Sprintf("dev%d", rapid.IntRange(0, 3).Draw(t, "device"))), nil)
	m.live = append(m.live, p)
}

// message is the next of the writer; its body says whose and which.
func (p *played) message(ahead, pad int) iot.Raw {
	return text("%s %d %s", p.name, p.taken+ahead, strings.Repeat(".", pad))
}

func (m *machine) append(t *rapid.T) {
	p := m.pick(t)
	var ms []iot.Raw
	pad := rapid.SampledFrom([]int{0, 10, 40_000}).Draw(t, "pad")
	for i := range rapid.IntRange(1, 4).Draw(t, "messages") {
		ms = append(ms, p.message(i, pad))
	}
	n, err := p.w.Append(ms)
	switch {
	case p.fenced:
		if n != 0 || !errors.Is(err, ErrFenced) {
			t.Fatalf("fenced: %d %v", n, err)
		}
	case p.w.Err() != nil:
		if n != 0 || !errors.Is(err, p.w.Err()) {
			t.Fatalf("failed: %d %v", n, err)
		}
	case err != nil:
		t.Fatal(err)
	}
	p.taken += n
}

func (m *machine) fence(t *rapid.T) {
	p := m.pick(t)
	if rapid.Bool().Draw(t, "will") {
		last := p.message(0, 0)
		had := p.w.Appended()
		p.w.Fence(&last)
		p.taken += int(p.w.Appended() - had)
	} else {
		p.w.Fence(nil)
	}
	p.fenced = true
}

func (m *machine) commit(t *rapid.T) {
	m.clock.millis += rapid.Int64Range(-5000, 5000).Draw(t, "ms")
	m.log.step()
}

func (m *machine) failCommit(t *rapid.T) {
	cause := rapid.SampledFrom([]error{store.ErrFull, errors.New("no luck")}).Draw(t, "cause")
	failing(m.memory, cause)
	m.log.step()
	failing(m.memory, nil)
	for _, p := range m.live {
		if err := p.w.Err(); err != nil && fault.Of(err) != fault.ServiceUnavailable && fault.Of(err) != fault.ServerError {
			t.Fatalf("%s ended with %v", p.name, err)
		}
	}
}

// crash loses what was not committed.
func (m *machine) crash(t *rapid.T) {
	m.past = append(m.past, m.live...)
	m.live = nil
	m.open(t)
}

// check reads everything back: dense, and of each writer exactly the prefix that it was
// told is durable.
func (m *machine) check(t *rapid.T) {
	seen := map[string]int{}
	for p := range 2 {
		r, err := m.log.Reader(p, device.Start{})
		if err != nil {
			t.Fatal(err)
		}
		var all []iot.Event
		for info := m.log.Partitions()[p]; !info.Empty && uint64(len(all)) <= info.Last; {
			events, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, events...)
		}
		dense(t, all)
		for _, e := range all {
			var name string
			var n int
			if _, err := fmt.Sscanf(string(e.Raw.Body), "%s %d", &name, &n); err != nil {
				t.Fatal(err)
			}
			if n != seen[name] {
				t.Fatalf("%s: message %d is stored where %d belongs", name, n, seen[name])
			}
			seen[name]++
		}
	}
	for _, p := range append(m.past, m.live...) {
		if got := uint64(seen[p.name]); got != p.w.Durable() || p.w.Durable() > p.w.Appended() || p.w.Appended() != uint64(p.taken) {
			t.Fatalf("%s: %d stored, %d durable, %d appended, %d taken", p.name, got, p.w.Durable(), p.w.Appended(), p.taken)
		}
	}
}

// TestMachineStoresPrefixes is the state machine of writers, fences and failures.
func TestMachineStoresPrefixes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{memory: storetest.New(), clock: &clock{millis: 1_000_000}}
		m.open(t)
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append, "append2": m.append, "writer": m.newWriter, "fence": m.fence,
			"commit": m.commit, "commit2": m.commit, "fail": m.failCommit, "crash": m.crash,
			"": m.check,
		})
	})
}

// TestFencesRaceWithCommits: the same with goroutines, so that the race detector sees
// the locks; of every writer a prefix is stored, whole if nothing failed.
func TestFencesRaceWithCommits(t *testing.T) {
	m := storetest.New()
	l := opened(t, Config{Log: m.Log(), Partitions: 2, RetainEvery: time.Millisecond})
	var commits int // of the committer
	m.Fail(func(op storetest.Op) error {
		if op == storetest.LogCommit {
			if commits++; commits%50 == 0 {
				return store.ErrFull
			}
		}
		return nil
	})
	var mu sync.Mutex
	ended := map[string]*Writer{}
	var wg sync.WaitGroup
	for d := range 8 {
		wg.Go(func() {
			for round := range 40 {
				name := fmt.Sprintf("d%d-%d", d, round)
				w := l.Writer(stampOf(fmt.Sprintf("dev%d", d)), nil)
				mu.Lock()
				ended[name] = w
				mu.Unlock()
				fenced := make(chan struct{})
				go func() {
					defer close(fenced)
					for n := 0; ; n++ {
						if _, err := w.Append([]iot.Raw{text("%s %d", name, n)}); err != nil {
							return
						}
						if n == round {
							w.Fence(nil)
						}
					}
				}()
				if round%2 == 0 {
					w.Fence(nil)
				}
				<-fenced
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	m.Fail(nil)
	seen := map[string]int{}
	again := still(t, Config{Log: m.Log(), Partitions: 2})
	for p, info := range again.Partitions() {
		if info.Empty {
			continue
		}
		for _, e := range take(t, again, p, device.Start{}, int(info.Last+1)) {
			var name string
			var n int
			if _, err := fmt.Sscanf(string(e.Raw.Body), "%s %d", &name, &n); err != nil || n != seen[name] {
				t.Fatalf("%s: message %d where %d belongs (%v)", name, n, seen[name], err)
			}
			seen[name]++
		}
	}
	for name, w := range ended {
		if uint64(seen[name]) != w.Durable() || (w.Err() == nil && w.Durable() != w.Appended()) {
			t.Errorf("%s: %d stored, %d durable, %d appended, %v", name, seen[name], w.Durable(), w.Appended(), w.Err())
		}
	}
}
