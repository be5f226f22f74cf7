package hub

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/internal/telemetry"
)

// leaping is a clock on which two seconds pass between two looks, so that every 4 MiB of
// telemetry have a mark of their own and retention has work.
func leaping() func() time.Time {
	var mu sync.Mutex
	now := time.Now()
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(2 * time.Second)
		return now
	}
}

// TestPowerLossOfTheWholeHub takes the power away between two operations of the file
// system, of either instance of the store, while devices send, messages are queued,
// settled and reported, identities come and go and subscriptions change, retention deletes,
// and, every other time, while the hub is still starting. Of what was not flushed, 0 to
// 100 % survives. Each time everything acknowledged is there, nothing is there twice, no
// number is used again, and what is told in several records is told alike.
func TestPowerLossOfTheWholeHub(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := telemetry.Config{RingBytes: -1, CatchUpRate: -1, RetentionBytes: 1 << 20, RetainEvery: time.Millisecond, Now: leaping()}
	w := newWorld()
	fs := vfs.NewCrashableMem()
	first := openPlant(t, fs, c)
	for _, id := range []iot.Identity{mailID, keptID} {
		if _, err := first.registry.PutDevice(t.Context(), id.Device, iot.Device{Authentication: symmetric(keyOf(1), keyOf(2))}, iot.Match{}); err != nil {
			t.Fatal(err)
		}
	}
	w.reset()
	for i := range 150 { // so that retention has something to delete from the first round on
		w.append(t, first, fmt.Sprintf("dev%d", i%pourers))
	}
	first.close()

	for round := range storetest.Rounds(t, 5) {
		if round%2 == 0 {
			fs = w.round(t, fs, c, rng, 1+rng.IntN(500), underLoad)
		} else {
			fs = w.round(t, fs, c, rng, 1+rng.IntN(120), fromStart)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	w.reset()
	p := openPlant(t, fs, c)
	w.check(t, p)
	w.hear(t, p, func() bool { return w.untold() == 0 })
	if n := w.untold(); n > 0 {
		t.Errorf("of %d messages it is not told that they were completed", n)
	}
	for n, times := range w.told {
		if _, done := w.settled[n]; times > 1 || !done {
			t.Errorf("that message %d was completed is told %d times; it was: %v", n, times, done)
		}
	}
	p.close()
	t.Logf("%d events, %d messages, %d of them completed; partitions begin at %v", w.poured, len(w.sent), len(w.settled), w.first)
	if w.poured == 0 || len(w.settled) == 0 {
		t.Error("that was no load")
	}
}

// counting says from when on the writes are counted to the one at which the power goes.
type counting string

const (
	fromStart counting = "from the start"
	underLoad counting = "from the first message completed"
)

// round lives on a file system until its so-manieth write, and gives what a loss of power
// at that moment leaves.
func (w *world) round(t *testing.T, fs *vfs.MemFS, c telemetry.Config, rng *rand.Rand, cut int, from counting) *vfs.MemFS {
	t.Helper()
	w.reset()
	var left *vfs.MemFS
	survives, chance := rng.IntN(101), rand.New(rand.NewPCG(rng.Uint64(), 0))
	var countdown atomic.Int64
	countdown.Store(int64(cut))
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || from == underLoad && !w.busy.Load() || countdown.Add(-1) != 0 {
			return nil
		}
		w.mu.Lock() // nothing is acknowledged, and nothing begun, between this and the copy
		defer w.mu.Unlock()
		w.gone = true
		close(w.off)
		left = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: survives, RNG: chance})
		return nil
	})
	p := openPlant(t, errorfs.Wrap(fs, inject), c)
	w.check(t, p)
	if !t.Failed() {
		w.live(t, p, rng)
	}
	p.close()
	if left == nil { // the check failed before the cut
		return fs
	}
	return left
}

// untold is how many completed messages' feedback must still come.
func (w *world) untold() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := 0
	for n := range w.settled {
		if _, unsure := w.unsure[n]; w.told[n] == 0 && !unsure {
			left++
		}
	}
	return left
}

// reset begins a new life.
func (w *world) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone, w.off = false, make(chan struct{})
	w.busy.Store(false)
}

// check compares a plant that was opened after a loss of power with what the world knows,
// and takes over what came of what was under way. The power may go again meanwhile.
func (w *world) check(t *testing.T, p *plant) {
	t.Helper()
	g := p.engine.Claims().Generation()
	if g <= w.generation {
		t.Errorf("generation %d after %d", g, w.generation)
	}
	w.note(func() { w.generation = g }) // if the power is gone already, nobody has seen it
	for i, info := range p.log.Partitions() {
		w.checkEvents(t, p, i, info)
	}
	w.checkDevices(t, p)
	w.checkMail(t, p)
	w.checkSubscriptions(t, p)
}

// checkEvents: every event acknowledged and not before the earliest kept is there, as it
// was; the earliest kept never comes back; there is no gap.
func (w *world) checkEvents(t *testing.T, p *plant, partition int, info telemetry.PartitionInfo) {
	t.Helper()
	known := w.events[partition]
	if info.Empty {
		if len(known) > 0 {
			t.Errorf("partition %d is empty, %d events were acknowledged", partition, len(known))
		}
		return
	}
	if info.First < w.first[partition] {
		t.Errorf("partition %d begins at %d, it began at %d", partition, info.First, w.first[partition])
	}
	w.note(func() { w.first[partition] = max(w.first[partition], info.First) })
	r, err := p.log.Reader(partition, device.Start{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	there := map[uint64]string{}
	next := uint64(0)
	for next <= info.Last {
		events, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("partition %d at %d of %d: %v", partition, next, info.Last, err)
		}
		for _, e := range events {
			// Retention goes on, and may pass the reader, up to what it kept just now.
			if e.Sequence != next && e.Sequence > max(info.First, p.log.Partitions()[partition].First) {
				t.Fatalf("partition %d: %d follows %d, the earliest kept was %d", partition, e.Sequence, next, info.First)
			}
			next = e.Sequence + 1
			there[e.Sequence] = string(e.Raw.Body)
		}
	}
	kept := p.log.Partitions()[partition].First
	for seq, body := range known {
		if got, ok := there[seq]; seq >= kept && (!ok || got != body) {
			t.Errorf("partition %d: event %d was %q and is %q", partition, seq, short(body), short(got))
		} else if ok && got != body {
			t.Errorf("partition %d: event %d was %q and is read as %q", partition, seq, short(body), short(got))
		}
		if seq > info.Last {
			t.Errorf("partition %d ends at %d, %d was acknowledged", partition, info.Last, seq)
		}
	}
	maps.Copy(known, there) // what was not acknowledged was seen: now it stays
}

// checkDevices: each is as it was, or as the change under way would have made it, and the
// counts count them.
func (w *world) checkDevices(t *testing.T, p *plant) {
	t.Helper()
	for i := range w.devices {
		got := 0
		d, err := p.registry.GetDevice(t.Context(), fmt.Sprintf("fickle%d", i))
		switch {
		case err == nil:
			if _, err := fmt.Sscan(string(d.StatusReason), &got); err != nil {
				t.Fatal(err)
			}
		case fault.Of(err) != fault.DeviceNotFound:
			t.Fatal(err)
		}
		if was, to := w.devices[i], w.changing[i]; got != was && (to == nil || got != *to) {
			t.Errorf("device %d is at %d, it was at %d (a change was under way: %v)", i, got, was, to != nil)
		}
		w.devices[i], w.changing[i] = got, nil
	}
	all, err := p.registry.ListDevices(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := p.registry.Statistics(t.Context())
	if err != nil || int(stats.TotalDeviceCount) != len(all) {
		t.Errorf("%d devices are listed and %d counted (%v)", len(all), stats.TotalDeviceCount, err)
	}
}

// checkMail: the messages that wait are those that were queued and not completed, in order,
// and their count counts them.
func (w *world) checkMail(t *testing.T, p *plant) {
	t.Helper()
	s, b, err := p.enter(t, mailID)
	if err != nil {
		t.Fatal(err)
	}
	if _, present := s.Resumed(); !present { // the first time
		if err := w.do(s, b, device.Subscribe{Subs: []device.Subscription{devicebound}}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := p.registry.GetDevice(t.Context(), mailID.Device)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, m := range receive(t, s, b, d.CloudToDeviceMessageCount) {
		var n int
		if _, err := fmt.Sscan(string(m.Body), &n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	s.Close(device.Goodbye{Kind: device.GoodbyeLost})
	if depth, err := p.queues.Depth(t.Context()); err != nil || int(depth) != len(got) {
		t.Errorf("%d messages wait and %d are counted (%v)", len(got), depth, err)
	}
	if w.sending != 0 && slices.Contains(got, w.sending) {
		w.sent = append(w.sent, w.sending)
	}
	if w.ending != 0 && !slices.Contains(got, w.ending) {
		w.settled[w.ending] = struct{}{}
	}
	w.sending, w.ending = 0, 0
	var want []int
	for _, n := range w.sent {
		if _, done := w.settled[n]; !done {
			want = append(want, n)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the messages that wait are %v, want %v", got, want)
	}
	for _, n := range w.hearing { // it was completed, or comes again
		w.unsure[n] = struct{}{}
	}
	w.hearing = nil
}

// checkSubscriptions: they are as they were, or as the change under way would have made
// them.
func (w *world) checkSubscriptions(t *testing.T, p *plant) {
	t.Helper()
	s, _, err := p.enter(t, keptID)
	if err != nil {
		t.Fatal(err)
	}
	resumed, _ := s.Resumed()
	s.Close(device.Goodbye{Kind: device.GoodbyeLost})
	var got []string
	for _, sub := range resumed {
		got = append(got, sub.Filter)
	}
	if !slices.Equal(got, w.subs) && (!w.changes || !slices.Equal(got, w.changed)) {
		t.Errorf("kept are %v, want %v, or, if a change is under way (%v), %v", got, w.subs, w.changes, w.changed)
	}
	w.subs, w.changes = got, false
}
