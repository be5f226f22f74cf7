package presence

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// modelGrace is how long a session outlives its token in the simulation.
const modelGrace = 5 * time.Second

// TestSimPresenceMeetsItsModel draws claims, goodbyes (late ones, too), revocations,
// expiries, a wall clock that steps back, subscriptions, deletions and restarts, and
// after each compares all that can be asked with a model.
func TestSimPresenceMeetsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var caught any // rapid gives up a program by a panic, which must not end the bubble
		synctest.Test(t, func(t *testing.T) {
			m := &model{
				t: t, holders: make(map[iot.Identity]*actor), subs: make(map[iot.Identity][]device.Subscription),
				known: make(map[iot.Identity]bool),
			}
			m.open(storetest.New())
			defer func() {
				caught = recover()
				m.rig.stopForTest()
			}()
			rt.Repeat(map[string]func(*rapid.T){
				"claim": m.claim, "claim2": m.claim, "claim3": m.claim, "goodbye": m.goodbye, "revoke": m.revoke,
				"revoke device": m.revokeDevice, "revoke where": m.revokeWhere, "wait": m.wait, "step back": m.stepBack,
				"subscribe": m.subscribe, "drop": m.drop, "delete": m.delete, "flush": m.flush, "restart": m.restart,
				"": m.check,
			})
		})
		if caught != nil {
			panic(caught)
		}
	})
}

// model is what must be true of a Presence.
type model struct {
	t        *testing.T
	rig      *rig
	wall     wall
	everyone []*actor // in order of their claims
	holders  map[iot.Identity]*actor
	subs     map[iot.Identity][]device.Subscription // not nil: a session is kept
	known    map[iot.Identity]bool                  // it connected since it was deleted
}

// actor is a session and how it must have ended.
type actor struct {
	*fake
	rig   *rig       // the run it belongs to
	code  fault.Code // -1 while it lives
	fence bool       // it ended by a fence
	by    *actor     // who took over
	ends  time.Time  // when its token's grace ends; zero if it has none
}

var modelIDs = []iot.Identity{{Device: "d"}, {Device: "d", Module: "m"}, {Device: "d", Module: "n"}, {Device: "e", Module: "m"}, {Device: "e"}}

func (m *model) open(engine *storetest.Memory) {
	m.rig = rigOver(m.t, engine, func(c *Config) { c.Now, c.Grace = m.wall.now, modelGrace })
}

func identity(t *rapid.T) iot.Identity { return rapid.SampledFrom(modelIDs).Draw(t, "identity") }

// end says that an actor's session must have ended.
func (m *model) end(a *actor, code fault.Code, fence bool, by *actor) {
	a.code, a.fence, a.by = code, fence, by
	delete(m.holders, a.party.Identity)
}

func (m *model) claim(t *rapid.T) {
	id := identity(t)
	tr := rapid.SampledFrom([]device.Transport{device.MQTT, device.MQTTWS, device.AMQP, device.AMQPWS}).Draw(t, "transport")
	a := &actor{fake: newFake(id, tr), rig: m.rig, code: -1}
	if life := time.Duration(rapid.IntRange(-3, 10).Draw(t, "life")) * time.Second; life != 0 {
		a.party.Proof.Expires = m.wall.now().Add(life)
		a.ends = time.Now().Add(life + modelGrace)
	}
	seat, err := m.rig.Claim(m.t.Context(), &a.party, a.fake, tr)
	if err != nil {
		t.Fatalf("claim of %s: %v", id, err)
	}
	a.seat = seat
	if old := m.holders[id]; old != nil {
		code := fault.ConnectionForcefullyClosedOnNewConnection
		if on := old.party.Conn.Transport; on == device.AMQP || on == device.AMQPWS {
			code = fault.LinkCreationConflict
		}
		m.end(old, code, true, a)
	}
	for _, before := range m.everyone {
		if !before.seat.Epoch().Less(seat.Epoch()) {
			t.Fatalf("epoch %s was granted after %s", seat.Epoch(), before.seat.Epoch())
		}
	}
	m.everyone = append(m.everyone, a)
	m.holders[id], m.known[id] = a, true
}

// someone draws one of the last sessions of this run, most of which have ended.
func (m *model) someone(t *rapid.T) *actor {
	var of []*actor
	for _, a := range m.everyone[max(0, len(m.everyone)-12):] {
		if a.rig == m.rig {
			of = append(of, a)
		}
	}
	if len(of) == 0 {
		t.Skip("nobody came yet")
	}
	return of[rapid.IntRange(0, len(of)-1).Draw(t, "who")]
}

func (m *model) goodbye(t *rapid.T) {
	a := m.someone(t)
	if m.holders[a.party.Identity] == a {
		m.end(a, 0, false, nil)
	}
	a.goodbye()
}

func (m *model) revoke(t *rapid.T) {
	id := identity(t)
	if a := m.holders[id]; a != nil {
		m.end(a, fault.IotHubUnauthorized, true, nil)
	}
	m.rig.Revoke(id, fault.IotHubUnauthorized, "the keys were changed")
}

func (m *model) revokeDevice(t *rapid.T) {
	name := identity(t).Device
	for _, id := range modelIDs {
		if a := m.holders[id]; a != nil && id.Device == name {
			m.end(a, fault.DeviceDisabled, true, nil)
		}
	}
	m.rig.RevokeDevice(name, fault.DeviceDisabled, "the device was disabled")
}

func (m *model) revokeWhere(t *rapid.T) {
	tr := rapid.SampledFrom([]device.Transport{device.MQTT, device.AMQP}).Draw(t, "transport")
	for _, a := range slices.Collect(maps.Values(m.holders)) {
		if a.party.Conn.Transport == tr {
			m.end(a, fault.IotHubUnauthorized, true, nil)
		}
	}
	m.rig.RevokeWhere(func(p *device.Party) bool { return p.Conn.Transport == tr }, fault.IotHubUnauthorized, "the authority was removed")
}

// wait lets whole seconds pass, as the sweeper does.
func (m *model) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds")) * time.Second)
	synctest.Wait()
	for _, a := range slices.Collect(maps.Values(m.holders)) {
		if !a.ends.IsZero() && !time.Now().Before(a.ends) {
			m.end(a, fault.IotHubUnauthorized, true, nil)
		}
	}
}

// stepBack sets the wall clock back, which must change nothing.
func (m *model) stepBack(t *rapid.T) {
	m.wall.ahead.Add(-int64(rapid.IntRange(1, 3600).Draw(t, "seconds")) * int64(time.Second))
}

func (m *model) subscribe(t *rapid.T) {
	a := m.someone(t)
	subs := subsOf(rapid.SliceOfN(rapid.SampledFrom([]string{"", "a/#", "b"}), 0, 3).Draw(t, "filters")...)
	err := m.rig.StoreSubscriptions(m.t.Context(), a.seat, subs)
	if m.may(t, a, err) {
		m.subs[a.party.Identity] = append([]device.Subscription{}, subs...)
	}
}

func (m *model) drop(t *rapid.T) {
	a := m.someone(t)
	if m.may(t, a, m.rig.DropSession(m.t.Context(), a.seat)) {
		delete(m.subs, a.party.Identity)
	}
}

// may reports whether a holds, and demands that err says so.
func (m *model) may(t *rapid.T, a *actor, err error) bool {
	holds := m.holders[a.party.Identity] == a
	want := a.code
	if want == 0 {
		want = fault.ClientClosedRequest
	}
	if holds != (err == nil) || !holds && fault.Of(err) != want {
		t.Fatalf("%s of %s, which ended with %d, wrote with %v", a.party.Epoch, a.party.Identity, a.code, err)
	}
	return holds
}

func (m *model) delete(t *rapid.T) {
	id := identity(t)
	code := fault.DeviceNotFound
	for _, of := range modelIDs {
		if of == id || !id.IsModule() && of.Device == id.Device {
			m.rig.remove(m.t, of)
		}
	}
	if id.IsModule() {
		code = fault.ModuleNotFound
		m.rig.Revoke(id, code, "the module was deleted")
	} else {
		m.rig.RevokeDevice(id.Device, code, "the device was deleted")
	}
	for _, of := range modelIDs {
		if of != id && (id.IsModule() || of.Device != id.Device) {
			continue
		}
		if err := m.rig.Forget(m.t.Context(), of); err != nil {
			t.Fatal(err)
		}
		if a := m.holders[of]; a != nil {
			m.end(a, code, true, nil)
		}
		delete(m.subs, of)
		delete(m.known, of)
	}
}

func (m *model) flush(t *rapid.T) {
	if err := m.rig.flush(m.t.Context()); err != nil {
		t.Fatal(err)
	}
}

// restart ends the run as a crash does, right after what waited was written.
func (m *model) restart(t *rapid.T) {
	m.flush(t)
	m.rig.stopForTest()
	for id := range m.holders {
		delete(m.holders, id)
	}
	m.open(m.rig.engine.Restart())
}

// check compares.
func (m *model) check(t *rapid.T) {
	if got := m.rig.Connected(); got != len(m.holders) {
		t.Fatalf("%d connected, want %d", got, len(m.holders))
	}
	m.rig.ear.check(t, len(m.holders))
	for _, a := range m.everyone {
		m.checkActor(t, a)
	}
	for _, id := range modelIDs {
		m.checkIdentity(t, id)
	}
}

func (m *model) checkActor(t *rapid.T, a *actor) {
	if a.rig != m.rig {
		return
	}
	what := fmt.Sprintf("%s of %s", a.party.Epoch, a.party.Identity)
	if got := a.fake.code(); got != a.code {
		t.Fatalf("%s ended with %d, want %d", what, got, a.code)
	}
	if n, want := a.fences.Load() == 1, a.fence; n != want || a.fences.Load() > 1 {
		t.Fatalf("%s was fenced %d times, want a fence: %v", what, a.fences.Load(), want)
	}
	e := a.ended.Load()
	switch {
	case e == nil:
	case a.fence && e.Reason == "":
		t.Fatalf("%s was fenced without a reason", what)
	case (e.By != nil) != (a.by != nil), e.By != nil && e.By.Epoch != a.by.party.Epoch:
		t.Fatalf("%s was ended by %+v, want %+v", what, e.By, a.by)
	}
}

func (m *model) checkIdentity(t *rapid.T, id iot.Identity) {
	holds := store.Epoch{}
	if a := m.holders[id]; a != nil {
		holds = a.seat.Epoch()
	}
	if got, err := m.rig.engine.Claims().Holder(m.t.Context(), id.String()); err != nil || got != holds {
		t.Fatalf("%s: %s holds at the store (%v), want %s", id, got, err, holds)
	}
	p, err := m.rig.Presence.Presence(m.t.Context(), id)
	if err != nil || p.Connected != !holds.IsZero() || p.Since.IsZero() == m.known[id] || p.LastActivity.IsZero() == m.known[id] {
		t.Fatalf("%s: presence %+v (%v), want connected %v, known %v", id, p, err, !holds.IsZero(), m.known[id])
	}
	subs, present, err := m.rig.Subscriptions(m.t.Context(), id)
	if want := m.subs[id]; err != nil || present != (want != nil) || !slices.Equal(subs, want) {
		t.Fatalf("%s: subscriptions %v %v (%v), want %v", id, subs, present, err, want)
	}
}
