package presence

import (
	"os"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// world is a hub's presence, and who ought to be there.
type world struct {
	*rig
	holder map[iot.Identity]*fake
	ended  map[iot.Identity][]*fake // sessions that are over
	kept   map[iot.Identity]string  // the filter of the kept session, if there is one
	ids    []iot.Identity
}

// TestSimPresence plays random connects, goodbyes, late goodbyes, revocations,
// subscriptions and restarts, and after each asks who holds, who knows that he lost,
// and what is kept.
func TestSimPresence(t *testing.T) {
	want := 20_000
	if s := os.Getenv("BERTH_SIM_STEPS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("BERTH_SIM_STEPS: %v", err)
		}
		want = n
	}
	played := 0
	for played < want && !t.Failed() {
		rapid.Check(t, func(rt *rapid.T) {
			w := &world{
				holder: map[iot.Identity]*fake{}, ended: map[iot.Identity][]*fake{}, kept: map[iot.Identity]string{},
				ids: []iot.Identity{{Device: "a"}, {Device: "a", Module: "m"}, {Device: "b"}},
			}
			w.rig = openRig(t, storetest.New())
			defer func() { w.stopForTest() }()
			const steps = 100
			for range steps {
				w.play(t, rt)
				w.check(rt)
			}
			played += steps
		})
	}
	t.Logf("%d steps", played)
}

func (w *world) play(t *testing.T, rt *rapid.T) {
	t.Helper()
	id := rapid.SampledFrom(w.ids).Draw(rt, "identity")
	f := w.holder[id]
	switch rapid.IntRange(0, 10).Draw(rt, "event") {
	case 0, 1, 2:
		w.over(id)
		w.holder[id] = w.connect(t, id, rapid.SampledFrom([]device.Transport{device.MQTT, device.AMQP}).Draw(rt, "transport"))
	case 3:
		if f != nil {
			f.goodbye()
			w.over(id)
		}
	case 4, 5:
		w.late(t, rt, id)
	case 6:
		w.Revoke(id, fault.IotHubUnauthorized, "keys")
		w.over(id)
	case 7:
		w.RevokeDevice("a", fault.DeviceDisabled, "disabled")
		w.over(w.ids[0])
		w.over(w.ids[1])
	case 8:
		if f != nil {
			w.keep(t, rt, f)
		}
	case 9:
		if err := w.flush(t.Context()); err != nil {
			rt.Fatal(err)
		}
	case 10:
		if rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
			w.restart(t, rt)
		}
	}
}

// over moves the holder, if any, to those who must know that they ended.
func (w *world) over(id iot.Identity) {
	if f := w.holder[id]; f != nil {
		w.ended[id] = append(w.ended[id], f)
		delete(w.holder, id)
	}
}

// late lets a session that is over say goodbye and write once more.
func (w *world) late(t *testing.T, rt *rapid.T, id iot.Identity) {
	t.Helper()
	if len(w.ended[id]) == 0 {
		return
	}
	f := rapid.SampledFrom(w.ended[id]).Draw(rt, "late")
	f.goodbye()
	if err := w.StoreSubscriptions(t.Context(), f.seat, subsOf("stale")); err == nil {
		rt.Fatalf("%s of %v wrote after its end", f.party.Epoch, id)
	}
	if err := w.DropSession(t.Context(), f.seat); err == nil {
		rt.Fatalf("%s of %v dropped after its end", f.party.Epoch, id)
	}
}

// keep lets the holder change its kept session.
func (w *world) keep(t *testing.T, rt *rapid.T, f *fake) {
	t.Helper()
	id := f.party.Identity
	if rapid.IntRange(0, 2).Draw(rt, "clean") == 0 {
		if err := w.DropSession(t.Context(), f.seat); err != nil {
			rt.Fatal(err)
		}
		delete(w.kept, id)
		return
	}
	filter := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "filter")
	if err := w.StoreSubscriptions(t.Context(), f.seat, subsOf(filter)); err != nil {
		rt.Fatal(err)
	}
	w.kept[id] = filter
}

// restart is a stop or a crash; a crash takes every session with it, unannounced.
func (w *world) restart(t *testing.T, rt *rapid.T) {
	t.Helper()
	if rapid.Bool().Draw(rt, "clean stop") {
		if err := w.Close(t.Context()); err != nil {
			rt.Fatal(err)
		}
		w.ear.check(rt, 0)
	}
	w.stopForTest()
	w.rig = openRig(t, w.engine.Restart())
	w.holder, w.ended = map[iot.Identity]*fake{}, map[iot.Identity][]*fake{}
}

func (w *world) check(rt *rapid.T) {
	w.ear.check(rt, len(w.holder))
	if n := w.Connected(); n != len(w.holder) {
		rt.Fatalf("%d sessions connected, want %d", n, len(w.holder))
	}
	for _, id := range w.ids {
		f := w.holder[id]
		if f != nil && f.code() != -1 {
			rt.Fatalf("%s holds %v and ended with %v", f.party.Epoch, id, f.code())
		}
		for _, old := range w.ended[id] {
			if old.code() == -1 || old.fences.Load() > 1 {
				rt.Fatalf("%s of %v lost and knows %v after %d fences", old.party.Epoch, id, old.code(), old.fences.Load())
			}
		}
		p, err := w.Presence.Presence(rt.Context(), id)
		if err != nil || p.Connected != (f != nil) {
			rt.Fatalf("%v reads connected=%v (%v)", id, p.Connected, err)
		}
		filter, want := w.kept[id]
		subs, present, err := w.Subscriptions(rt.Context(), id)
		if err != nil || present != want || want && (len(subs) != 1 || subs[0].Filter != filter) {
			rt.Fatalf("of %v is kept %v %v (%v), want %q", id, present, subs, err, filter)
		}
	}
}
