package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Who does what in a world. mail gets messages, kept changes its subscriptions, and the
// fickle are registered, changed and deleted.
var (
	mailID = iot.Identity{Device: "mail"}
	keptID = iot.Identity{Device: "kept"}
)

const (
	fickle   = 4        // devices that come and go
	pourers  = 6        // devices that send telemetry
	bodySize = 64 << 10 // bytes of a telemetry message, so that retention has work
	queued   = 40       // messages that wait at most: below the limit of a queue
)

// world plays a hub until the power goes, and knows what it acknowledged: what was begun
// and not acknowledged when the power went may have happened or not. After gone nothing
// counts any more, because nobody saw it.
type world struct {
	// shared

	busy atomic.Bool // a message was completed in this life

	// guarded by mu

	mu   sync.Mutex
	gone bool
	off  chan struct{} // closed with gone

	generation uint64
	events     [plantPartitions]map[uint64]string // acknowledged, and read: what a sequence holds
	first      [plantPartitions]uint64            // the earliest kept, as was seen
	poured     int                                // messages begun

	devices  [fickle]int // the number in a device's status reason, 0 if it is not there
	changing [fickle]*int

	sent    []int            // messages queued, in order
	sending int              // being queued, 0 if none
	settled map[int]struct{} // completed
	ending  int              // being completed, 0 if none
	told    map[int]int      // feedback: how often each message's end was completed
	hearing []int            // in the feedback that is being completed
	unsure  map[int]struct{} // in feedback that was being completed when the power went

	subs     []string // filters kept
	changed  []string // as they will be
	changes  bool     // whether a change is under way
	numbered int      // the last number given to anything
}

func newWorld() *world {
	w := &world{settled: map[int]struct{}{}, told: map[int]int{}, unsure: map[int]struct{}{}}
	for p := range w.events {
		w.events[p] = map[uint64]string{}
	}
	return w
}

// note writes something down, unless the power is gone; then it says false.
func (w *world) note(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return false
	}
	f()
	return true
}

// number gives a number that nothing else has.
func (w *world) number() (n int, ok bool) {
	ok = w.note(func() { w.numbered++; n = w.numbered })
	return n, ok
}

// live lets everybody act on a plant until the power is gone.
func (w *world) live(t *testing.T, p *plant, rng *rand.Rand) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range pourers {
		wg.Go(func() { w.pour(t, p, fmt.Sprintf("dev%d", i)) })
	}
	seeds := [4]uint64{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}
	for i, act := range []func(*testing.T, *plant, *rand.Rand){w.correspond, w.register, w.subscribe, w.listen} {
		wg.Go(func() { act(t, p, rand.New(rand.NewPCG(seeds[i], 0))) })
	}
	wg.Wait()
}

// pour sends telemetry.
func (w *world) pour(t *testing.T, p *plant, id string) {
	t.Helper()
	for w.append(t, p, id) {
	}
}

// append sends one message; false when the power is gone.
func (w *world) append(t *testing.T, p *plant, id string) bool {
	t.Helper()
	n, ok := w.number()
	if !ok {
		return false
	}
	body := fmt.Sprintf("%s %d %s", id, n, strings.Repeat(".", bodySize))
	stamp := iot.Stamp{Identity: iot.Identity{Device: id}, Generation: 1}
	partition, seq, err := p.log.Append(context.Background(), stamp, iot.Raw{Source: iot.SourceBag, Body: []byte(body)})
	if err != nil {
		t.Errorf("append: %v", err)
		return false
	}
	infos := p.log.Partitions()
	return w.note(func() {
		if old, used := w.events[partition][seq]; used {
			t.Errorf("partition %d: sequence %d is given to %q, it was %q", partition, seq, short(body), short(old))
		}
		w.events[partition][seq] = body
		for i := range w.first {
			w.first[i] = max(w.first[i], infos[i].First)
		}
		w.poured++
	})
}

func short(body string) string { return strings.TrimRight(body, ".") }

// correspond queues messages, and completes or abandons them, in any order.
func (w *world) correspond(t *testing.T, p *plant, rng *rand.Rand) {
	t.Helper()
	s, b, err := p.enter(t, mailID)
	if err == nil {
		err = w.do(s, b, device.Subscribe{Subs: []device.Subscription{devicebound}})
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close(device.Goodbye{Kind: device.GoodbyeLost})
	for waiting := w.waiting(); ; {
		if waiting < queued && (waiting == 0 || rng.IntN(2) == 0) {
			n, ok := w.number()
			if !ok || !w.note(func() { w.sending = n }) {
				return
			}
			err := p.queues.Send(context.Background(), mailID, &iot.CloudMessage{MessageID: fmt.Sprint(n), Ack: iot.AckFull, Body: []byte(fmt.Sprint(n))})
			if err != nil {
				t.Errorf("send: %v", err)
				return
			}
			w.note(func() { w.sending, w.sent = 0, append(w.sent, n) })
			waiting++
			continue
		}
		m, ok := w.take(s, b)
		if !ok {
			return
		}
		var n int
		if _, err := fmt.Sscan(m.MessageID, &n); err != nil {
			t.Error(err)
			return
		}
		outcome := device.Complete
		if rng.IntN(4) == 0 && m.DeliveryCount < iot.DefaultMaxDeliveries-2 {
			outcome = device.Abandon
		} else if !w.note(func() { w.ending = n }) {
			return
		}
		if err := w.do(s, b, device.Settle{Lock: m.Lock, Outcome: outcome}); err != nil {
			t.Errorf("settle: %v", err)
			return
		}
		if outcome == device.Complete {
			w.note(func() { w.ending = 0; w.settled[n] = struct{}{} })
			w.busy.Store(true)
			waiting--
		}
	}
}

// waiting is how many messages wait.
func (w *world) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sent) - len(w.settled)
}

// do performs an operation of a session whose results nobody else takes.
func (w *world) do(s device.Session, b bell, what device.Operation) error {
	const tag = 77
	if err := s.Do(device.Op{Tag: tag, What: what}); err != nil {
		return err
	}
	for {
		if got := s.Take(make([]device.Delivery, 1), device.Room{}); len(got) == 1 {
			return got[0].Err
		}
		select {
		case <-b:
		case <-time.After(10 * time.Second):
			return errors.New("no result came")
		}
	}
}

// take waits for the next message; false when the power is gone.
func (w *world) take(s device.Session, b bell) (*iot.LockedMessage, bool) {
	for {
		if got := s.Take(make([]device.Delivery, 1), device.Room{Messages: 1, Bytes: 1 << 20}); len(got) == 1 {
			return got[0].Message, true
		}
		select {
		case <-b:
		case <-w.off:
			return nil, false
		}
	}
}

// register makes, changes and deletes devices.
func (w *world) register(t *testing.T, p *plant, rng *rand.Rand) {
	t.Helper()
	for {
		i := rng.IntN(fickle)
		id := fmt.Sprintf("fickle%d", i)
		there, next := 0, 0
		if !w.note(func() {
			there = w.devices[i]
			if there == 0 || rng.IntN(3) > 0 {
				w.numbered++
				next = w.numbered
			}
			w.changing[i] = &next
		}) {
			return
		}
		err := change(p, id, there, next)
		if err != nil {
			t.Errorf("change %s from %d to %d: %v", id, there, next, err)
			return
		}
		w.note(func() { w.devices[i], w.changing[i] = next, nil })
	}
}

// change brings a device from one number to another.
func change(p *plant, id string, there, next int) error {
	ctx, match := context.Background(), anyTag
	if next == 0 {
		return p.registry.DeleteDevice(ctx, id, anyTag)
	}
	if there == 0 {
		match = iot.Match{}
	}
	_, err := p.registry.PutDevice(ctx, id, iot.Device{
		Authentication: symmetric(keyOf(1), keyOf(2)), StatusReason: iot.NullString(fmt.Sprint(next)),
	}, match)
	return err
}

// subscribe changes what a session keeps.
func (w *world) subscribe(t *testing.T, p *plant, rng *rand.Rand) {
	t.Helper()
	s, b, err := p.enter(t, keptID)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close(device.Goodbye{Kind: device.GoodbyeLost})
	for {
		filter := fmt.Sprintf("f%d", rng.IntN(5))
		var what device.Operation
		var next []string
		if !w.note(func() {
			if slices.Contains(w.subs, filter) {
				next = slices.DeleteFunc(slices.Clone(w.subs), func(f string) bool { return f == filter })
				what = device.Unsubscribe{Filters: []string{filter}}
			} else {
				next = append(slices.Clone(w.subs), filter)
				what = device.Subscribe{Subs: []device.Subscription{{To: device.Methods, Filter: filter, QoS: 1}}}
			}
			w.changed, w.changes = next, true
		}) {
			return
		}
		if err := w.do(s, b, what); err != nil {
			t.Errorf("%T: %v", what, err)
			return
		}
		w.note(func() { w.subs, w.changes = next, false })
	}
}

// listen completes feedback messages as they come.
func (w *world) listen(t *testing.T, p *plant, _ *rand.Rand) {
	t.Helper()
	w.hear(t, p, func() bool { return false })
}

// hear completes feedback until enough says so, or the power is gone.
func (w *world) hear(t *testing.T, p *plant, enough func() bool) {
	t.Helper()
	b := newBell()
	r, err := p.queues.Feedback(b.ring)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for !enough() {
		got := r.Take(make([]device.Delivery, 1), device.Room{Messages: 1, Bytes: 1 << 20})
		switch {
		case len(got) == 0:
			select {
			case <-b:
			case <-w.off:
				return
			case <-late.C:
				return
			}
		case got[0].Message != nil:
			var records []iot.FeedbackRecord
			if err := json.Unmarshal(got[0].Message.Body, &records); err != nil {
				t.Error(err)
				return
			}
			if !w.note(func() { w.hearing = numbers(t, records) }) {
				return
			}
			if err := r.Do(device.Op{Tag: 1, What: device.Settle{Lock: got[0].Message.Lock, Outcome: device.Complete}}); err != nil {
				t.Error(err)
				return
			}
		case got[0].Err != nil && fault.Of(got[0].Err) != fault.DeviceMessageLockLost:
			t.Error(got[0].Err)
			return
		default:
			w.note(func() {
				for _, n := range w.hearing {
					w.told[n]++
				}
				w.hearing = nil
			})
		}
	}
}

// numbers are the messages that feedback is about.
func numbers(t *testing.T, records []iot.FeedbackRecord) []int {
	t.Helper()
	var all []int
	for _, r := range records {
		var n int
		if _, err := fmt.Sscan(r.OriginalMessageID, &n); err != nil || r.StatusCode != iot.FeedbackSuccess {
			t.Errorf("feedback %+v: %v", r, err)
		}
		all = append(all, n)
	}
	return all
}
