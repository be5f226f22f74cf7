package hub

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/presence"
	"github.com/berth-iot/berth/internal/registry"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// office is a hub whose credentials are a registry's.
type office struct {
	*rig

	registry *registry.Registry
	engine   *storetest.Memory
}

func newOffice(tb testing.TB) *office {
	tb.Helper()
	engine := storetest.New()
	o := &office{rig: newRig(tb, engine), engine: engine}
	var err error
	o.registry, err = registry.New(registry.Config{
		Records: engine.Records(), HubName: "hub", Hosts: func(h string) bool { return h == "hub" },
		Presence: o.presence, Kept: presence.Kept,
	})
	if err != nil {
		tb.Fatal(err)
	}
	o.Hub.keys = o.registry
	o.registry.Watch(o.Changed)
	o.registry.WatchCAs(o.AuthorityRemoved)
	return o
}

func keyOf(n byte) []byte { return []byte(strings.Repeat(string(rune('A'+n)), iot.KeySize)) }

func symmetric(primary, secondary []byte) *iot.Authentication {
	return &iot.Authentication{Type: iot.AuthenticationSAS, SymmetricKey: &iot.SymmetricKey{
		PrimaryKey: iot.NullString(iot.FormatKey(primary)), SecondaryKey: iot.NullString(iot.FormatKey(secondary)),
	}}
}

// enrol registers dev1 and a module of it, each with keys of its own.
func (o *office) enrol(tb testing.TB) {
	tb.Helper()
	if _, err := o.registry.PutDevice(tb.Context(), "dev1", iot.Device{Authentication: symmetric(keyOf(1), keyOf(2))}, iot.Match{}); err != nil {
		tb.Fatal(err)
	}
	if _, err := o.registry.PutModule(tb.Context(), mod1, iot.Module{Authentication: symmetric(keyOf(3), keyOf(4))}, iot.Match{}); err != nil {
		tb.Fatal(err)
	}
}

var mod1 = iot.Identity{Device: "dev1", Module: "m"}

// badge is a hello with a token of the identity's own key.
func badge(id iot.Identity) device.Hello {
	h, key := hello(id, device.MQTT), keyOf(1)
	path := "hub/devices/" + id.Device
	if id.IsModule() {
		key, path = keyOf(3), path+"/modules/"+id.Module
	}
	h.Credential.SAS = iot.SignSAS(path, "", key, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
	return h
}

var anyTag = iot.Match{Kind: iot.MatchAny}

// TestRevokedRightsEndWhatWasBuiltOnThem: the connection at once, whatever it subscribed
// to, and the next connect, though the token was good a moment ago and is remembered
// (threat classes 16 and 17).
func TestRevokedRightsEndWhatWasBuiltOnThem(t *testing.T) {
	disable := func(o *office) error {
		_, err := o.registry.PutDevice(t.Context(), "dev1",
			iot.Device{Status: iot.StatusDisabled, Authentication: symmetric(keyOf(1), keyOf(2))}, anyTag)
		return err
	}
	enable := func(o *office) error {
		_, err := o.registry.PutDevice(t.Context(), "dev1", iot.Device{Authentication: symmetric(keyOf(1), keyOf(2))}, anyTag)
		return err
	}
	remove := func(o *office) error { return o.registry.DeleteDevice(t.Context(), "dev1", anyTag) }
	again := func(o *office) error { o.enrol(t); return nil }
	for _, tc := range []struct {
		name    string
		id      iot.Identity
		revoke  func(*office) error
		ended   fault.Code // of the live session
		refused fault.Code // of the next connect
		restore func(*office) error
		resumed bool // what it had subscribed to is there again
	}{
		{"disabled", dev1, disable, fault.DeviceDisabled, fault.DeviceDisabled, enable, true},
		{"module's device disabled", mod1, disable, fault.DeviceDisabled, fault.DeviceDisabled, enable, true},
		{"deleted", dev1, remove, fault.DeviceNotFound, fault.DeviceNotFound, again, false},
		{"module's device deleted", mod1, remove, fault.DeviceNotFound, fault.DeviceNotFound, again, false},
		{"module deleted", mod1, func(o *office) error {
			return o.registry.DeleteModule(t.Context(), mod1, anyTag)
		}, fault.ModuleNotFound, fault.ModuleNotFound, func(o *office) error {
			_, err := o.registry.PutModule(t.Context(), mod1, iot.Module{Authentication: symmetric(keyOf(3), keyOf(4))}, iot.Match{})
			return err
		}, false},
		{"keys made anew", dev1, func(o *office) error {
			_, err := o.registry.RegenerateKeys(t.Context(), iot.KeyRegeneration{PolicyKey: iot.PrimaryKey, Devices: []iot.KeyTarget{{ID: "dev1"}}})
			return err
		}, fault.IotHubUnauthorized, fault.IotHubUnauthorized, enable, true},
		{"deleted in bulk", dev1, func(o *office) error {
			_, err := o.registry.Bulk(t.Context(), []iot.BulkItem{{ID: "dev1", ImportMode: iot.ImportDelete}})
			return err
		}, fault.DeviceNotFound, fault.DeviceNotFound, again, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newOffice(t)
			o.enrol(t)
			s, _ := o.open(t, badge(tc.id))
			s.Close(device.Goodbye{Kind: device.GoodbyeClean})
			s, bell := o.open(t, badge(tc.id)) // now the token is known
			sub := device.Subscribe{Subs: []device.Subscription{{To: device.Methods, Filter: "$iothub/methods/POST/#"}}}
			if err := subscribe(t, s, bell, 1, sub); err != nil {
				t.Fatal(err)
			}
			publish(t, s, "before")
			if err := tc.revoke(o); err != nil {
				t.Fatal(err)
			}
			if got := fault.Of(s.Err()); s.Err() == nil || got != tc.ended {
				t.Errorf("the session ended with %v, want %v", s.Err(), tc.ended)
			}
			if n, err := s.Append([]iot.Raw{{Source: iot.SourceBag, Body: []byte("after")}}); n != 0 || err == nil {
				t.Errorf("what was published after it was taken: %d, %v", n, err)
			}
			if err := s.Do(device.Op{What: sub}); err == nil {
				t.Error("a subscription after it was taken")
			}
			for range 2 {
				if _, err := o.Open(t.Context(), badge(tc.id), func() {}); fault.Of(err) != tc.refused {
					t.Errorf("the next connect: %v, want %v", err, tc.refused)
				}
			}
			if !tc.resumed {
				o.keepsNothing(t, tc.id)
			}
			if err := tc.restore(o); err != nil {
				t.Fatal(err)
			}
			s, _ = o.open(t, badge(tc.id))
			if subs, present := s.Resumed(); present != tc.resumed || (len(subs) > 0) != tc.resumed {
				t.Errorf("the session resumed %v, present %v, want %v", subs, present, tc.resumed)
			}
		})
	}
}

// keepsNothing checks that the store holds no word of an identity.
func (o *office) keepsNothing(tb testing.TB, id iot.Identity) {
	tb.Helper()
	err := o.engine.Records().Scan(tb.Context(), "presence/", "", func(rec store.Record) bool {
		if strings.HasSuffix(rec.Key, "/"+id.String()) {
			tb.Errorf("%s is left", rec.Key)
		}
		return true
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// TestHubThatDiesWhileItDeletesKeepsNothing: the records of an identity go in one batch,
// before anybody is told. So who takes the name after a crash finds no session of
// another's.
func TestHubThatDiesWhileItDeletesKeepsNothing(t *testing.T) {
	o := newOffice(t)
	o.enrol(t)
	for _, id := range []iot.Identity{dev1, mod1} {
		s, bell := o.open(t, badge(id))
		if err := subscribe(t, s, bell, 1, device.Subscribe{Subs: []device.Subscription{{To: device.Methods, Filter: "f"}}}); err != nil {
			t.Fatal(err)
		}
	}
	o.registry.Watch(func(id iot.Identity, _ registry.Change) { o.keepsNothing(t, id) })
	applied := 0
	o.engine.Fail(func(op storetest.Op) error {
		if op != storetest.RecordsApply {
			return nil
		}
		if applied++; applied > 1 {
			return store.ErrFull // nothing after the first batch
		}
		return nil
	})
	if err := o.registry.DeleteDevice(t.Context(), "dev1", anyTag); err != nil {
		t.Fatal(err)
	}
	o.engine.Fail(nil)
	o.keepsNothing(t, dev1)
	o.keepsNothing(t, mod1)
}

// TestRevocationBesideConnects: of many connects at the moment of a change, none lives
// on what was good before it.
func TestRevocationBesideConnects(t *testing.T) {
	for round := range 100 {
		o := newOffice(t)
		o.enrol(t)
		s, _ := o.open(t, badge(dev1))
		var wg sync.WaitGroup
		var mu sync.Mutex
		sessions := []device.Session{s}
		for range 4 {
			wg.Go(func() {
				for range 3 {
					if s, err := o.Open(t.Context(), badge(dev1), func() {}); err == nil {
						mu.Lock()
						sessions = append(sessions, s)
						mu.Unlock()
					}
				}
			})
		}
		change := iot.Device{Authentication: symmetric(keyOf(5), keyOf(6))}
		if round%2 == 0 {
			change = iot.Device{Status: iot.StatusDisabled, Authentication: symmetric(keyOf(1), keyOf(2))}
		}
		if _, err := o.registry.PutDevice(t.Context(), "dev1", change, anyTag); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for _, s := range sessions {
			if s.Err() == nil {
				t.Fatalf("round %d: a session lives on a right that was taken", round)
			}
		}
		o.close()
	}
}
