package c2d

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// directory is a registry: who is in it, and under which generation.
type directory struct {
	mu       sync.Mutex
	known    map[iot.Identity]uint64
	disabled map[iot.Identity]bool
}

func newDirectory(ids ...iot.Identity) *directory {
	d := &directory{known: map[iot.Identity]uint64{}, disabled: map[iot.Identity]bool{}}
	for _, id := range ids {
		d.known[id] = 7
	}
	return d
}

func (d *directory) Generation(_ context.Context, id iot.Identity) (uint64, bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	generation, ok := d.known[id]
	switch {
	case !ok && id.IsModule():
		return 0, false, fault.New(fault.ModuleNotFound, "test", "module %s", id)
	case !ok:
		return 0, false, fault.New(fault.DeviceNotFound, "test", "device %s", id)
	}
	return generation, !d.disabled[id], nil
}

func (d *directory) set(id iot.Identity, generation uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if generation == 0 {
		delete(d.known, id)
	} else {
		d.known[id] = generation
	}
}

// rig is queues over an engine in memory.
type rig struct {
	*Queues

	tb     testing.TB
	engine *storetest.Memory
	dir    *directory
	seen   *seen
	epoch  uint64
}

// seen is what the observer was told.
type seen struct {
	mu   sync.Mutex
	told []string
}

func (s *seen) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

func (s *seen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.told, ", ")
}

func (s *seen) observer() Observer {
	return Observer{
		Sent:      func() { s.add("sent") },
		Refused:   func(code fault.Code) { s.add("refused %d", int(code)) },
		Abandoned: func() { s.add("abandoned") },
		Ended:     func(e iot.MessageEnd) { s.add("%s %s", e.Status, e.MessageID) },
		Gathered:  func(n int) { s.add("gathered %d", n) },
	}
}

var (
	dev1 = iot.Identity{Device: "dev1"}
	dev2 = iot.Identity{Device: "dev2"}
	mod1 = iot.Identity{Device: "dev1", Module: "m"}
)

// newRig makes queues; change edits their configuration.
func newRig(tb testing.TB, change func(*Config)) *rig {
	tb.Helper()
	return openRig(tb, storetest.New(), newDirectory(dev1, dev2, mod1), change)
}

func openRig(tb testing.TB, engine *storetest.Memory, dir *directory, change func(*Config)) *rig {
	tb.Helper()
	r := &rig{tb: tb, engine: engine, dir: dir, seen: &seen{}}
	cfg := Config{
		Records: engine.Records(), Identities: dir, Generation: engine.Claims().Generation(), HubName: "hub", Observer: r.seen.observer(),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if r.Queues, err = New(cfg); err != nil {
		tb.Fatal(err)
	}
	return r
}

// bubble runs a story in a synctest bubble; the queues are closed at its end.
func bubble(t *testing.T, change func(*Config), story func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change)
		story(t, r)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// message is one with a body like its id.
func message(id string, ack iot.AckMode) *iot.CloudMessage {
	return &iot.CloudMessage{MessageID: id, Ack: ack, Body: []byte(id)}
}

func (r *rig) send(id iot.Identity, messages ...string) {
	r.tb.Helper()
	for _, m := range messages {
		if err := r.Send(context.Background(), id, message(m, iot.AckFull)); err != nil {
			r.tb.Fatalf("send %s: %v", m, err)
		}
	}
}

func (r *rig) pending(id iot.Identity) int {
	r.tb.Helper()
	n, err := r.Pending(context.Background(), id, 7)
	if err != nil {
		r.tb.Fatal(err)
	}
	return n
}

// ear is a consumer and what it heard.
type ear struct {
	*Consumer

	mu      sync.Mutex
	wakes   int
	results map[uint64]error
	tag     uint64
}

// woken is how often it was woken.
func (e *ear) woken() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.wakes
}

func (r *rig) listen(id iot.Identity) *ear {
	e := &ear{results: map[uint64]error{}}
	r.epoch++
	e.Consumer = r.Consume(id, 7, store.Epoch{Counter: r.epoch}, Hooks{
		Wake: func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.wakes++
		},
		Settled: func(tag uint64, err error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if _, twice := e.results[tag]; twice {
				panic("two results under one tag")
			}
			e.results[tag] = err
		},
	})
	return e
}

// take takes up to n messages, whatever their size, once all is quiet.
func (e *ear) take(n int) []*iot.LockedMessage {
	var got []*iot.LockedMessage
	dst := make([]device.Delivery, 4)
	for range 3 * n {
		synctest.Wait()
		k := e.Take(dst, device.Room{Messages: n - len(got), Bytes: 1 << 20})
		for _, d := range dst[:k] {
			got = append(got, d.Message)
		}
		if len(got) == n {
			break
		}
	}
	return got
}

// ids takes up to n messages and names them.
func (e *ear) ids(n int) string { return names(e.take(n)) }

func names(ms []*iot.LockedMessage) string {
	var ids []string
	for _, m := range ms {
		ids = append(ids, m.MessageID)
	}
	return strings.Join(ids, " ")
}

// settle settles a message and waits for the result.
func (e *ear) settle(m *iot.LockedMessage, outcome device.Outcome) error {
	e.tag++
	e.Settle(e.tag, m.Lock, outcome)
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	err, ok := e.results[e.tag]
	if !ok {
		panic("no result of a settlement")
	}
	return err
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantCode(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if err == nil || fault.Of(err) != code {
		t.Errorf("%s: got %v, want %v", what, err, code)
	}
}

// desk is a back-end's receiver and what it heard.
type desk struct {
	device.Receiver

	mu    sync.Mutex
	wakes int
	tag   uint64
}

// woken is how often it was woken.
func (d *desk) woken() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wakes
}

func (r *rig) desk() *desk {
	r.tb.Helper()
	d := &desk{}
	var err error
	d.Receiver, err = r.Feedback(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.wakes++
	})
	if err != nil {
		r.tb.Fatal(err)
	}
	return d
}

// take takes up to n messages once all is quiet.
func (d *desk) take(n int) []*iot.LockedMessage {
	var got []*iot.LockedMessage
	dst := make([]device.Delivery, 8)
	for range 3 * n {
		for _, g := range d.Take(dst, device.Room{Messages: n - len(got), Bytes: 1 << 20}) {
			got = append(got, g.Message)
		}
		if len(got) == n {
			break
		}
		synctest.Wait()
	}
	return got
}

func (d *desk) settle(m *iot.LockedMessage, outcome device.Outcome) error {
	d.tag++
	if err := d.Do(device.Op{Tag: d.tag, What: device.Settle{Lock: m.Lock, Outcome: outcome}}); err != nil {
		return err
	}
	synctest.Wait()
	got := d.Take(make([]device.Delivery, 1), device.Room{})
	if len(got) != 1 || got[0].Tag != d.tag {
		panic(fmt.Sprintf("results %v, want that of %d", got, d.tag))
	}
	return got[0].Err
}

// records reads a feedback message.
func records(tb testing.TB, m *iot.LockedMessage) []iot.FeedbackRecord {
	tb.Helper()
	var list []iot.FeedbackRecord
	if err := json.Unmarshal(m.Body, &list); err != nil {
		tb.Fatal(err)
	}
	return list
}

// keys lists what the store holds under a prefix.
func (r *rig) keys(prefix string) []string {
	r.tb.Helper()
	list := []string{}
	if err := r.engine.Records().Scan(context.Background(), prefix, "", func(rec store.Record) bool {
		list = append(list, rec.Key)
		return true
	}); err != nil {
		r.tb.Fatal(err)
	}
	return list
}

// sleep lets time pass until all is quiet again.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// places counts the identities in memory.
func (r *rig) places() int {
	n := 0
	for _, sh := range r.shards {
		sh.mu.Lock()
		n += len(sh.places)
		sh.mu.Unlock()
	}
	return n
}

// gate makes the next write wait until the gate is closed, and then be refused or not.
func (r *rig) gate(refuse bool) chan struct{} {
	gate := make(chan struct{})
	r.engine.Fail(func(op storetest.Op) error {
		if op != storetest.RecordsApply {
			return nil
		}
		<-gate
		r.engine.Fail(nil)
		if refuse {
			return store.ErrFull
		}
		return nil
	})
	return gate
}
