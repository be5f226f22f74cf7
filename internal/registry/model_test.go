package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// reporter is what checkCounters needs of a test, so that rapid's serves too.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkCounters fails the test unless counters, module counts and status indexes are
// what a scan of all records finds.
func checkCounters(t reporter, f *fixture) {
	t.Helper()
	ctx := context.Background()
	var devices, disabled, modules int64
	perDevice := map[string]int{}
	index := map[string]string{}
	err := f.records.Scan(ctx, moduleKeys, "", func(r store.Record) bool {
		modules++
		perDevice[identityOf(r.Key).Device]++
		return true
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	err = f.records.Scan(ctx, deviceKeys, "", func(r store.Record) bool {
		rec, err := decodeRecord(r.Value)
		if err != nil {
			t.Fatalf("%s: %v", r.Key, err)
		}
		id := identityOf(r.Key).Device
		devices++
		index[enabledIndex+id] = r.Key
		if rec.disabled {
			disabled++
			delete(index, enabledIndex+id)
			index[disabledIndex+id] = r.Key
		}
		if rec.modules != perDevice[id] {
			t.Fatalf("device %s counts %d modules and has %d", id, rec.modules, perDevice[id])
		}
		delete(perDevice, id)
		return true
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	if len(perDevice) != 0 {
		t.Fatalf("modules without a device: %v", perDevice)
	}
	got := map[string]string{}
	if err := f.records.ScanIndex(ctx, "reg/status/", "", func(i, k string) bool { got[i] = k; return true }); err != nil {
		t.Fatalf("scan index: %v", err)
	}
	if diff := cmp.Diff(index, got); diff != "" {
		t.Fatalf("status index: %s", diff)
	}
	for key, want := range map[string]int64{countDevices: devices, countDisabled: disabled, countModules: modules} {
		if n, err := f.records.Counter(ctx, key); err != nil || n != want {
			t.Fatalf("counter %s is %d (%v), a scan finds %d", key, n, err, want)
		}
	}
	want := iot.DeviceStatistics{TotalDeviceCount: devices, EnabledDeviceCount: devices - disabled, DisabledDeviceCount: disabled}
	if s, err := f.Statistics(ctx); err != nil || s != want {
		t.Fatalf("statistics %+v (%v), want %+v", s, err, want)
	}
}

// model is what a registry should hold.
type model struct {
	f       *fixture
	devices map[string]*entry
	modules map[iot.Identity]*entry
}

type entry struct {
	etag string
	gen  string
	dis  bool
	edge bool
}

func (m *model) match(t *rapid.T, have *entry) iot.Match {
	kinds := []iot.Match{{}, matchAny, matchETag("c3RhbGU=")}
	if have != nil {
		kinds = append(kinds, matchETag(have.etag))
	}
	return rapid.SampledFrom(kinds).Draw(t, "match")
}

// expect is what a put should answer.
func expect(have *entry, match iot.Match, absent, there fault.Code) fault.Code {
	switch {
	case match.Kind == iot.MatchCreate && have == nil:
		return 0
	case match.Kind == iot.MatchCreate:
		return there
	case have == nil:
		return absent
	case !match.Holds(have.etag):
		return fault.PreconditionFailed
	}
	return 0
}

func (m *model) code(t *rapid.T, err error, want fault.Code) bool {
	got := fault.Code(0)
	if err != nil {
		got = fault.Of(err)
	}
	if got != want {
		t.Fatalf("got %v, want %v", err, want)
	}
	return err == nil
}

func (m *model) system(dev string, now bool) {
	for _, id := range systemIDs(dev) {
		if now && m.modules[id] == nil {
			m.modules[id] = &entry{}
		} else if !now {
			delete(m.modules, id)
		}
	}
}

func (m *model) putDevice(t *rapid.T) {
	id := rapid.SampledFrom([]string{"a", "b", "b-", "c"}).Draw(t, "device")
	have := m.devices[id]
	match := m.match(t, have)
	next := entry{dis: rapid.Bool().Draw(t, "disabled"), edge: rapid.Bool().Draw(t, "edge")}
	d := iot.Device{Capabilities: &iot.Capabilities{IotEdge: next.edge}}
	if next.dis {
		d.Status = iot.StatusDisabled
	}
	got, err := m.f.PutDevice(t.Context(), id, d, match)
	if !m.code(t, err, expect(have, match, fault.DeviceNotFound, fault.DeviceAlreadyExists)) {
		return
	}
	if have != nil && (got.GenerationID != have.gen || got.ETag == have.etag) {
		t.Fatalf("update gave %+v over %+v", got, have)
	}
	next.etag, next.gen = got.ETag, got.GenerationID
	m.devices[id] = &next
	if next.edge || have != nil && have.edge {
		m.system(id, next.edge)
	}
}

func (m *model) putModule(t *rapid.T) {
	id := iot.Identity{
		Device: rapid.SampledFrom([]string{"a", "b", "b-", "c"}).Draw(t, "device"),
		Module: rapid.SampledFrom([]string{"m", "n"}).Draw(t, "module"),
	}
	have := m.modules[id]
	match := m.match(t, have)
	want := expect(have, match, fault.ModuleNotFound, fault.ModuleAlreadyExistsOnDevice)
	if m.devices[id.Device] == nil {
		want = fault.DeviceNotFound
	}
	got, err := m.f.PutModule(t.Context(), id, iot.Module{}, match)
	if m.code(t, err, want) {
		m.modules[id] = &entry{etag: got.ETag, gen: got.GenerationID}
	}
}

func (m *model) deleteDevice(t *rapid.T) {
	id := rapid.SampledFrom([]string{"a", "b", "b-", "c"}).Draw(t, "device")
	have := m.devices[id]
	match := m.match(t, have)
	want := expect(have, match.ForDelete(), fault.DeviceNotFound, 0)
	if m.code(t, m.f.DeleteDevice(t.Context(), id, match), want) {
		delete(m.devices, id)
		for mod := range m.modules {
			if mod.Device == id {
				delete(m.modules, mod)
			}
		}
	}
}

func (m *model) deleteModule(t *rapid.T) {
	id := iot.Identity{
		Device: rapid.SampledFrom([]string{"a", "b", "b-", "c"}).Draw(t, "device"),
		Module: rapid.SampledFrom([]string{"m", "n"}).Draw(t, "module"),
	}
	have := m.modules[id]
	match := m.match(t, have)
	want := expect(have, match.ForDelete(), fault.ModuleNotFound, 0)
	if m.devices[id.Device] == nil {
		want = fault.DeviceNotFound
	}
	if m.code(t, m.f.DeleteModule(t.Context(), id, match), want) {
		delete(m.modules, id)
	}
}

// check compares the model with what the registry lists.
func (m *model) check(t *rapid.T) {
	list, err := m.f.ListDevices(t.Context(), 0)
	if err != nil || len(list) != len(m.devices) {
		t.Fatalf("%d devices (%v), want %d", len(list), err, len(m.devices))
	}
	found := 0
	for _, d := range list {
		want := m.devices[d.DeviceID]
		if want == nil || d.ETag != want.etag || d.GenerationID != want.gen || d.Capabilities.IotEdge != want.edge ||
			(d.Status == iot.StatusDisabled) != want.dis {
			t.Fatalf("device %s is %+v, want %+v", d.DeviceID, d, want)
		}
		mods, err := m.f.ListModules(t.Context(), d.DeviceID)
		if err != nil {
			t.Fatalf("modules of %s: %v", d.DeviceID, err)
		}
		for _, mod := range mods {
			want := m.modules[iot.Identity{Device: d.DeviceID, Module: mod.ModuleID}]
			if want == nil || want.etag != "" && want.etag != mod.ETag {
				t.Fatalf("module %s/%s is %+v, want %+v", d.DeviceID, mod.ModuleID, mod, want)
			}
		}
		found += len(mods)
	}
	if found != len(m.modules) {
		t.Fatalf("%d modules, want %d", found, len(m.modules))
	}
	checkCounters(t, m.f)
}

func TestRegistryIsAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{f: newFixture(t), devices: map[string]*entry{}, modules: map[iot.Identity]*entry{}}
		rt.Repeat(map[string]func(*rapid.T){
			"put device": m.putDevice, "delete device": m.deleteDevice,
			"put module": m.putModule, "delete module": m.deleteModule,
			"": m.check,
		})
	})
}

// race runs f n times at once and gives how many ended with each code.
func race(n int, f func(i int) error) map[fault.Code]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[fault.Code]int{}
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			err := f(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				codes[0]++
			} else {
				codes[fault.Of(err)]++
			}
		})
	}
	close(gate)
	wg.Wait()
	return codes
}

func TestOfManyCreatesOneWins(t *testing.T) {
	f := newFixture(t)
	const n = 32
	got := race(n, func(int) error {
		_, err := f.PutDevice(context.Background(), "d", edge(), iot.Match{})
		return err
	})
	if diff := cmp.Diff(map[fault.Code]int{0: 1, fault.DeviceAlreadyExists: n - 1}, got); diff != "" {
		t.Error(diff)
	}
	got = race(n, func(int) error {
		_, err := f.PutModule(context.Background(), iot.Identity{Device: "d", Module: "m"}, iot.Module{}, iot.Match{})
		return err
	})
	if diff := cmp.Diff(map[fault.Code]int{0: 1, fault.ModuleAlreadyExistsOnDevice: n - 1}, got); diff != "" {
		t.Error(diff)
	}
	checkCounters(t, f)
}

func TestOfManyUpdatesWithOneETagOneWins(t *testing.T) {
	f := newFixture(t)
	const n = 32
	d := f.device(t, "d", nil)
	got := race(n, func(int) error {
		_, err := f.PutDevice(context.Background(), "d", d, matchETag(d.ETag))
		return err
	})
	if diff := cmp.Diff(map[fault.Code]int{0: 1, fault.PreconditionFailed: n - 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnconditionalUpdatesAllWin(t *testing.T) {
	f := newFixture(t)
	const n = 32
	d := f.device(t, "d", nil)
	before, _, err := f.read(t.Context(), iot.Identity{Device: "d"})
	wantCode(t, err, 0)
	got := race(n, func(int) error {
		_, err := f.PutDevice(context.Background(), "d", d, matchAny)
		return err
	})
	if diff := cmp.Diff(map[fault.Code]int{0: n}, got); diff != "" {
		t.Error(diff)
	}
	after, _, err := f.read(t.Context(), iot.Identity{Device: "d"})
	wantCode(t, err, 0)
	if after.etag != before.etag+n {
		t.Errorf("etag moved by %d, want %d: an update was lost", after.etag-before.etag, n)
	}
}

func TestFiftyModulesAlsoInARace(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	for i := range iot.MaxModules - 4 {
		f.module(t, iot.Identity{Device: "d", Module: fmt.Sprint("old", i)}, nil)
	}
	got := race(16, func(i int) error {
		_, err := f.PutModule(context.Background(), iot.Identity{Device: "d", Module: fmt.Sprint("new", i)}, iot.Module{}, iot.Match{})
		return err
	})
	if diff := cmp.Diff(map[fault.Code]int{0: 4, fault.TooManyModulesOnDevice: 12}, got); diff != "" {
		t.Error(diff)
	}
	checkCounters(t, f)
}

func TestModuleDoesNotSlipPastTheEndOfItsDevice(t *testing.T) {
	for range 50 {
		f := newFixture(t)
		f.device(t, "d", nil)
		f.module(t, iot.Identity{Device: "d", Module: "old"}, nil)
		race(8, func(i int) error {
			if i == 0 {
				return f.DeleteDevice(context.Background(), "d", matchAny)
			}
			_, err := f.PutModule(context.Background(), iot.Identity{Device: "d", Module: fmt.Sprint("m", i)}, iot.Module{}, iot.Match{})
			return err
		})
		checkCounters(t, f)
	}
}

// meanwhile runs other once, just before the next write of the registry is applied:
// what that write was built on is then out of date.
func (f *fixture) meanwhile(other func() error) {
	var begun atomic.Bool
	f.engine.Fail(func(op storetest.Op) error {
		if op != storetest.RecordsApply || !begun.CompareAndSwap(false, true) {
			return nil
		}
		return other()
	})
}

func TestWhatHappensMeanwhileIsNotOverlooked(t *testing.T) {
	mod := func(name string) iot.Identity { return iot.Identity{Device: "d", Module: name} }
	putModule := func(f *fixture, name string, m iot.Match) error {
		_, err := f.PutModule(context.Background(), mod(name), iot.Module{}, m)
		return err
	}
	putDevice := func(f *fixture, d iot.Device, m iot.Match) error {
		_, err := f.PutDevice(context.Background(), "d", d, m)
		return err
	}
	remove := func(f *fixture) error { return f.DeleteDevice(context.Background(), "d", matchAny) }
	for _, tc := range []struct {
		name         string
		do, other    func(*fixture) error
		want         fault.Code
		modulesAfter []string // nil: the device is gone
	}{
		{
			"module made, device removed",
			func(f *fixture) error { return putModule(f, "new", iot.Match{}) }, remove, fault.DeviceNotFound, nil,
		},
		{
			"module made, device removed and made again",
			func(f *fixture) error { return putModule(f, "new", iot.Match{}) },
			func(f *fixture) error { return errors.Join(remove(f), putDevice(f, iot.Device{}, iot.Match{})) },
			0,
			[]string{"new"},
		},
		{
			"device removed, module made", remove,
			func(f *fixture) error { return putModule(f, "new", iot.Match{}) }, 0, nil,
		},
		{
			"two modules made",
			func(f *fixture) error { return putModule(f, "new", iot.Match{}) },
			func(f *fixture) error { return putModule(f, "other", iot.Match{}) },
			0,
			[]string{"new", "old", "other"},
		},
		{
			"the same module made twice",
			func(f *fixture) error { return putModule(f, "new", iot.Match{}) },
			func(f *fixture) error { return putModule(f, "new", iot.Match{}) },
			fault.ModuleAlreadyExistsOnDevice,
			[]string{"new", "old"},
		},
		{
			"module removed, another made",
			func(f *fixture) error { return f.DeleteModule(context.Background(), mod("old"), matchAny) },
			func(f *fixture) error { return putModule(f, "new", iot.Match{}) },
			0,
			[]string{"new"},
		},
		{
			"module updated, device removed",
			func(f *fixture) error { return putModule(f, "old", matchAny) }, remove, fault.DeviceNotFound, nil,
		},
		{
			"module removed twice",
			func(f *fixture) error { return f.DeleteModule(context.Background(), mod("old"), matchAny) },
			func(f *fixture) error { return f.DeleteModule(context.Background(), mod("old"), matchAny) },
			fault.ModuleNotFound,
			[]string{},
		},
		{
			"device updated, module made",
			func(f *fixture) error { return putDevice(f, edge(), matchAny) },
			func(f *fixture) error { return putModule(f, "new", iot.Match{}) },
			0,
			[]string{"$edgeAgent", "$edgeHub", "new", "old"},
		},
		{
			"device updated, device removed",
			func(f *fixture) error { return putDevice(f, edge(), matchAny) }, remove, fault.DeviceNotFound, nil,
		},
		{
			"device removed twice", remove, remove, fault.DeviceNotFound, nil,
		},
		{
			"device disabled, device updated",
			func(f *fixture) error { return putDevice(f, iot.Device{Status: iot.StatusDisabled}, matchAny) },
			func(f *fixture) error { return putDevice(f, iot.Device{}, matchAny) },
			0,
			[]string{"old"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.device(t, "d", nil)
			f.module(t, mod("old"), nil)
			f.meanwhile(func() error { return tc.other(f) })
			wantCode(t, tc.do(f), tc.want)
			checkCounters(t, f)
			if tc.modulesAfter == nil {
				_, err := f.GetDevice(t.Context(), "d")
				wantCode(t, err, fault.DeviceNotFound)
				return
			}
			if diff := cmp.Diff(tc.modulesAfter, moduleNames(t, f, "d")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestETagIsJudgedAgainAfterALostRace(t *testing.T) {
	f := newFixture(t)
	d := f.device(t, "d", nil)
	f.meanwhile(func() error { // the revision moves, the etag does not
		_, err := f.PutModule(context.Background(), iot.Identity{Device: "d", Module: "m"}, iot.Module{}, iot.Match{})
		return err
	})
	d, err := f.PutDevice(t.Context(), "d", d, matchETag(d.ETag))
	wantCode(t, err, 0)
	f.meanwhile(func() error { // the etag moves
		_, err := f.PutDevice(context.Background(), "d", d, matchAny)
		return err
	})
	_, err = f.PutDevice(t.Context(), "d", d, matchETag(d.ETag))
	wantCode(t, err, fault.PreconditionFailed)
	checkCounters(t, f)
}

func TestEndlessContentionEndsWithACode(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	tries := 0
	var inside atomic.Bool
	f.engine.Fail(func(op storetest.Op) error { // somebody else is always faster
		if op != storetest.RecordsApply || !inside.CompareAndSwap(false, true) {
			return nil
		}
		defer inside.Store(false)
		tries++
		if _, err := f.PutDevice(context.Background(), "d", iot.Device{}, matchAny); err != nil {
			t.Error(err)
		}
		return nil
	})
	_, err := f.PutDevice(t.Context(), "d", iot.Device{}, matchAny)
	wantCode(t, err, fault.ServiceUnavailable)
	if tries != maxAttempts {
		t.Errorf("%d tries, want %d", tries, maxAttempts)
	}
}
