package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

var (
	dev1 = iot.Identity{Device: "d"}
	mod1 = iot.Identity{Device: "d", Module: "m"}
)

// tokenOf is a credential of an identity, signed with a key.
func tokenOf(id iot.Identity, key []byte, expiry time.Time) device.Credential {
	return device.Credential{SAS: signed(audience(testHost, id.Device, id.Module), key, expiry, "")}
}

// TestKnownIdentityIsForgottenWhenItChanges: what proved an identity, and was
// remembered, proves nothing once the call that changed it has returned.
func TestKnownIdentityIsForgottenWhenItChanges(t *testing.T) {
	hour := testStart.Add(time.Hour)
	deviceToken := tokenOf(dev1, testKey(11), hour)
	moduleToken := tokenOf(mod1, testKey(15), hour)
	policyToken := device.Credential{SAS: signed(testHost, devicePolicy.Primary, hour, "device")}
	put := func(d iot.Device) func(*fixture) error {
		return func(f *fixture) error {
			_, err := f.PutDevice(t.Context(), "d", d, matchAny)
			return err
		}
	}
	putModule := func(m iot.Module) func(*fixture) error {
		return func(f *fixture) error {
			_, err := f.PutModule(t.Context(), mod1, m, matchAny)
			return err
		}
	}
	regenerate := func(target iot.KeyTarget, which iot.KeyChoice) func(*fixture) error {
		return func(f *fixture) error {
			_, err := f.RegenerateKeys(t.Context(), iot.KeyRegeneration{PolicyKey: which, Devices: []iot.KeyTarget{target}})
			return err
		}
	}
	bulk := func(item iot.BulkItem) func(*fixture) error {
		return func(f *fixture) error {
			res, err := f.Bulk(t.Context(), []iot.BulkItem{item})
			if err == nil && !res.IsSuccessful {
				return fmt.Errorf("%+v", res)
			}
			return err
		}
	}
	disabled := iot.Device{Status: iot.StatusDisabled, Authentication: sasKeys(testKey(11), testKey(12))}
	for _, tc := range []struct {
		name   string
		id     iot.Identity
		cred   device.Credential
		change func(*fixture) error
		want   fault.Code
	}{
		{"primary key changed", dev1, deviceToken, put(iot.Device{Authentication: sasKeys(testKey(13), testKey(12))}), fault.IotHubUnauthorized},
		{"primary key moved to the other slot", dev1, deviceToken, put(iot.Device{Authentication: sasKeys(testKey(13), testKey(11))}), 0},
		{"another key changed", dev1, deviceToken, put(iot.Device{Authentication: sasKeys(testKey(11), testKey(13))}), 0},
		{"primary key made anew", dev1, deviceToken, regenerate(iot.KeyTarget{ID: "d"}, iot.PrimaryKey), fault.IotHubUnauthorized},
		{"secondary key made anew", dev1, deviceToken, regenerate(iot.KeyTarget{ID: "d"}, iot.SecondaryKey), 0},
		{"both keys made anew", dev1, deviceToken, regenerate(iot.KeyTarget{ID: "d"}, iot.BothKeys), fault.IotHubUnauthorized},
		{"disabled", dev1, deviceToken, put(disabled), fault.DeviceDisabled},
		{"disabled in bulk", dev1, deviceToken, bulk(iot.BulkItem{ID: "d", ImportMode: iot.ImportUpdate, Status: iot.StatusDisabled, Authentication: sasKeys(testKey(11), testKey(12))}), fault.DeviceDisabled},
		{"disabled, under a policy's token", dev1, policyToken, put(disabled), fault.DeviceDisabled},
		{"another type", dev1, deviceToken, put(iot.Device{Authentication: &iot.Authentication{Type: iot.AuthenticationNone}}), fault.IotHubUnauthorized},
		{"another type, under a policy's token", dev1, policyToken, put(iot.Device{Authentication: &iot.Authentication{Type: iot.AuthenticationCA}}), fault.IotHubUnauthorized},
		{"deleted", dev1, deviceToken, func(f *fixture) error { return f.DeleteDevice(t.Context(), "d", matchAny) }, fault.DeviceNotFound},
		{"deleted in bulk", dev1, deviceToken, bulk(iot.BulkItem{ID: "d", ImportMode: iot.ImportDelete}), fault.DeviceNotFound},
		{"deleted, under a policy's token", dev1, policyToken, func(f *fixture) error { return f.DeleteDevice(t.Context(), "d", matchAny) }, fault.DeviceNotFound},
		{"only words changed", dev1, deviceToken, put(iot.Device{StatusReason: "x", Authentication: sasKeys(testKey(11), testKey(12))}), 0},

		{"module's key changed", mod1, moduleToken, putModule(iot.Module{Authentication: sasKeys(testKey(13), testKey(14))}), fault.IotHubUnauthorized},
		{"module's key made anew", mod1, moduleToken, regenerate(iot.KeyTarget{ID: "d", ModuleID: "m"}, iot.PrimaryKey), fault.IotHubUnauthorized},
		{"module deleted", mod1, moduleToken, func(f *fixture) error { return f.DeleteModule(t.Context(), mod1, matchAny) }, fault.ModuleNotFound},
		{"module deleted in bulk", mod1, moduleToken, bulk(iot.BulkItem{ID: "d", ModuleID: "m", ImportMode: iot.ImportDelete}), fault.ModuleNotFound},
		{"module's device disabled", mod1, moduleToken, put(disabled), fault.DeviceDisabled},
		{"module's device deleted", mod1, moduleToken, func(f *fixture) error { return f.DeleteDevice(t.Context(), "d", matchAny) }, fault.DeviceNotFound},
		{"module's device got other keys", mod1, moduleToken, regenerate(iot.KeyTarget{ID: "d"}, iot.BothKeys), 0},
		{"another module made", mod1, moduleToken, func(f *fixture) error {
			_, err := f.PutModule(t.Context(), iot.Identity{Device: "d", Module: "n"}, iot.Module{}, iot.Match{})
			return err
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.device(t, "d", sasKeys(testKey(11), testKey(12)))
			f.module(t, mod1, sasKeys(testKey(15), testKey(16)))
			f.knows(t, tc.id, tc.cred)
			if err := tc.change(f); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err := f.Authenticate(t.Context(), tc.id, testHost, tc.cred)
				wantCode(t, err, tc.want)
				_, err = f.AuthorizeDevice(t.Context(), tc.id, testHost, resourcePath(tc.id)+"/messages/events", tc.cred)
				if (err == nil) != (tc.want == 0) {
					t.Errorf("over HTTPS: got %v, want %v", err, tc.want)
				}
			}
		})
	}
}

// TestIdentityMadeAgainIsAnother: with the keys of the one that was deleted, but of
// another generation.
func TestIdentityMadeAgainIsAnother(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	cred := tokenOf(dev1, testKey(11), testStart.Add(time.Hour))
	before := f.knows(t, dev1, cred)
	wantCode(t, f.DeleteDevice(t.Context(), "d", matchAny), 0)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	after := f.knows(t, dev1, cred)
	if after.Stamp.Generation <= before.Stamp.Generation {
		t.Errorf("generation %d after %d", after.Stamp.Generation, before.Stamp.Generation)
	}
}

// knows authenticates an identity until it is known, and gives the proof.
func (f *fixture) knows(tb testing.TB, id iot.Identity, cred device.Credential) device.Proof {
	tb.Helper()
	_, err := f.Authenticate(tb.Context(), id, testHost, cred)
	wantCode(tb, err, 0)
	reads := f.countReads()
	proof, err := f.Authenticate(tb.Context(), id, testHost, cred)
	wantCode(tb, err, 0)
	if n := reads.Load(); n != 0 {
		tb.Fatalf("%s is not known: %d reads", id, n)
	}
	return proof
}

// TestKnownTokenIsJudgedByTheTime: it is remembered, and its end is not forgotten.
func TestKnownTokenIsJudgedByTheTime(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	cred := tokenOf(dev1, testKey(11), testStart.Add(time.Hour))
	f.knows(t, dev1, cred)
	f.clock.Set(testStart.Add(time.Hour + 4*time.Minute))
	f.knows(t, dev1, cred)
	f.clock.Set(testStart.Add(time.Hour + 6*time.Minute))
	_, err := f.Authenticate(t.Context(), dev1, testHost, cred)
	wantCode(t, err, fault.IotHubUnauthorized)
	wantDetail(t, err, "the token expired at")
}

// TestKnownTokenProvesNothingElse: neither another path, nor another host, nor another
// identity with the same key.
func TestKnownTokenProvesNothingElse(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	f.device(t, "e", sasKeys(testKey(11), testKey(12)))
	f.module(t, mod1, sasKeys(testKey(11), testKey(12)))
	hour := testStart.Add(time.Hour)
	cred := tokenOf(dev1, testKey(11), hour)
	f.knows(t, dev1, cred)
	f.knows(t, iot.Identity{Device: "e"}, tokenOf(iot.Identity{Device: "e"}, testKey(11), hour))
	f.knows(t, mod1, tokenOf(mod1, testKey(11), hour))
	_, err := f.Authenticate(t.Context(), iot.Identity{Device: "e"}, testHost, cred)
	wantCode(t, err, fault.IotHubUnauthorized)
	_, err = f.Authenticate(t.Context(), dev1, "other.example", cred)
	wantCode(t, err, fault.IotHubNotFound)
	_, err = f.Authenticate(t.Context(), dev1, testHost, tokenOf(mod1, testKey(11), hour))
	wantCode(t, err, fault.IotHubUnauthorized)
	for path, want := range map[string]fault.Code{
		"devices/d/messages/events": 0, "devices/d": 0, "/devices/d/": 0,
		"devices/e": fault.IotHubUnauthorizedAccess, "devices/d2": fault.IotHubUnauthorizedAccess, "devices": fault.IotHubUnauthorizedAccess,
	} {
		_, err := f.AuthorizeDevice(t.Context(), dev1, testHost, path, cred)
		wantCode(t, err, want)
	}
}

// TestTokenForAPartIsNotRememberedForTheWhole: a token may cover less than the identity.
func TestTokenForAPartIsNotRememberedForTheWhole(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	part := device.Credential{SAS: signed(testHost+"/devices/d/messages/events", testKey(11), testStart.Add(time.Hour), "")}
	for range 2 {
		_, err := f.AuthorizeDevice(t.Context(), dev1, testHost, "devices/d/messages/events", part)
		wantCode(t, err, 0)
	}
	_, err := f.Authenticate(t.Context(), dev1, testHost, part)
	wantCode(t, err, fault.IotHubUnauthorized)
	_, err = f.AuthorizeDevice(t.Context(), dev1, testHost, "devices/d/files", part)
	wantCode(t, err, fault.IotHubUnauthorizedAccess)
}

// TestWhoProvesNothingLeavesNothing: strangers cannot crowd out devices.
func TestWhoProvesNothingLeavesNothing(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	f.device(t, "off", sasKeys(testKey(11), testKey(12)))
	if _, err := f.PutDevice(t.Context(), "off", iot.Device{Status: iot.StatusDisabled, Authentication: sasKeys(testKey(11), testKey(12))}, matchAny); err != nil {
		t.Fatal(err)
	}
	off := iot.Identity{Device: "off"}
	for id, cred := range map[iot.Identity]device.Credential{
		dev1: tokenOf(dev1, testKey(13), testStart.Add(time.Hour)), off: tokenOf(off, testKey(11), testStart.Add(time.Hour)),
	} {
		if _, err := f.Authenticate(t.Context(), id, testHost, cred); err == nil {
			t.Fatalf("%s was let in", id)
		}
		if found, _ := f.keyring.find(id); found != nil {
			t.Errorf("%s is known", id)
		}
	}
}

// TestChangeBetweenCheckAndRememberingIsSeen: what was read before a change is not
// remembered after it, whenever the change began.
func TestChangeBetweenCheckAndRememberingIsSeen(t *testing.T) {
	cred := tokenOf(dev1, testKey(11), testStart.Add(time.Hour))
	change := func(f *fixture) {
		if _, err := f.PutDevice(t.Context(), "d", iot.Device{Authentication: sasKeys(testKey(13), testKey(14))}, matchAny); err != nil {
			t.Error(err)
		}
	}
	for name, between := range map[string]func(f *fixture) (before, after func()){
		"begun after the record was read": func(f *fixture) (before, after func()) {
			return func() {}, func() { change(f) }
		},
		"begun before the record was read, stored after": func(f *fixture) (before, after func()) {
			begun, store, stored := make(chan struct{}), make(chan struct{}), make(chan struct{})
			before = func() {
				f.engine.Fail(func(op storetest.Op) error {
					if op == storetest.RecordsApply {
						close(begun)
						<-store
					}
					return nil
				})
				go func() { defer close(stored); change(f) }()
				<-begun
			}
			return before, func() { close(store); <-stored }
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.device(t, "d", sasKeys(testKey(11), testKey(12)))
			before, after := between(f)
			before()
			// The scope of a token is looked at after the record was read, and asks for the host.
			asked, hosts := 0, f.hosts
			f.hosts = func(host string) bool {
				if asked++; asked == 2 {
					after()
				}
				return hosts(host)
			}
			_, err := f.Authenticate(t.Context(), dev1, testHost, cred)
			wantCode(t, err, 0) // the check began before the change was over
			if asked < 2 {
				t.Fatal("the change never happened")
			}
			f.engine.Fail(nil)
			_, err = f.Authenticate(t.Context(), dev1, testHost, cred)
			wantCode(t, err, fault.IotHubUnauthorized)
		})
	}
}

// TestNothingIsRememberedWhileItIsWritten: during a write every check reads.
func TestNothingIsRememberedWhileItIsWritten(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	cred := tokenOf(dev1, testKey(11), testStart.Add(time.Hour))
	f.knows(t, dev1, cred)
	done := f.keyring.changing([]store.Write{{Key: key(dev1)}})
	second := f.keyring.changing([]store.Write{{Key: key(dev1)}})
	reads := f.countReads()
	for i := range int64(4) {
		if i == 2 {
			done() // the other goes on
		}
		_, err := f.Authenticate(t.Context(), dev1, testHost, cred)
		wantCode(t, err, 0)
		if reads.Load() != i+1 {
			t.Fatalf("%d reads in %d checks during a write", reads.Load(), i+1)
		}
	}
	second()
	f.knows(t, dev1, cred)
}

// TestFailedWriteForgetsToo: nobody can say what a write that failed left behind.
func TestFailedWriteForgetsToo(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	cred := tokenOf(dev1, testKey(11), testStart.Add(time.Hour))
	f.knows(t, dev1, cred)
	f.engine.Fail(func(op storetest.Op) error {
		if op == storetest.RecordsApply {
			return store.ErrFull
		}
		return nil
	})
	_, err := f.PutDevice(t.Context(), "d", iot.Device{}, matchAny)
	wantCode(t, err, fault.ServiceUnavailable)
	if found, _ := f.keyring.find(dev1); found != nil {
		t.Error("the identity is still known")
	}
	f.knows(t, dev1, cred)
}

// TestKnownChainIsForgottenWithItsAuthority: and when its time is over.
func TestKnownChainIsForgottenWithItsAuthority(t *testing.T) {
	from, to := testStart.Add(-time.Hour), testStart.Add(time.Hour)
	root := authority(t, "root", from, to.Add(time.Hour), issued{})
	short := authority(t, "short", from, testStart.Add(time.Minute), root)
	cert, brief := leaf(t, "d", from, to, root), leaf(t, "d", from, to, short)
	fresh := func(t *testing.T) *fixture {
		t.Helper()
		f := newFixture(t)
		f.device(t, "d", &iot.Authentication{Type: iot.AuthenticationCA})
		if _, err := f.PutCA(t.Context(), "root", root.pem(), true, iot.Match{}); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, tc := range []struct {
		name  string
		chain []issued
		then  func(*fixture) error
		want  fault.Code
	}{
		{"the authority is removed", []issued{cert}, func(f *fixture) error { return f.DeleteCA(t.Context(), "root", iot.Match{}) }, fault.IotHubUnauthorized},
		{"another authority is added", []issued{cert}, func(f *fixture) error {
			other := authority(t, "other", from, to, issued{})
			_, err := f.PutCA(t.Context(), "other", other.pem(), true, iot.Match{})
			return err
		}, 0},
		{"the certificate's time is over", []issued{cert}, func(f *fixture) error { f.clock.Set(to.Add(time.Second)); return nil }, fault.IotHubUnauthorized},
		{"the time of one above it is over", []issued{brief, short}, func(f *fixture) error { f.clock.Set(testStart.Add(2 * time.Minute)); return nil }, fault.IotHubUnauthorized},
		{"the clock steps back before it", []issued{cert}, func(f *fixture) error { f.clock.Set(from.Add(-time.Second)); return nil }, fault.IotHubUnauthorized},
		{"the device is disabled", []issued{cert}, func(f *fixture) error {
			_, err := f.PutDevice(t.Context(), "d", iot.Device{Status: iot.StatusDisabled, Authentication: &iot.Authentication{Type: iot.AuthenticationCA}}, matchAny)
			return err
		}, fault.DeviceDisabled},
		{"nothing", []issued{cert}, func(*fixture) error { return nil }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := fresh(t)
			cred := certs(tc.chain...)
			first, err := f.Authenticate(t.Context(), dev1, testHost, cred)
			wantCode(t, err, 0)
			if diff := cmp.Diff(first, f.knows(t, dev1, cred)); diff != "" {
				t.Error(diff)
			}
			if err := tc.then(f); err != nil {
				t.Fatal(err)
			}
			_, err = f.Authenticate(t.Context(), dev1, testHost, cred)
			wantCode(t, err, tc.want)
		})
	}
	f := fresh(t)
	f.knows(t, dev1, certs(cert))
	_, err := f.Authenticate(t.Context(), dev1, testHost, certs(leaf(t, "d", from, to, issued{}), root))
	wantCode(t, err, fault.IotHubUnauthorized) // another leaf
}

// TestKeyringIsBounded: in entries and in bytes, and those used lately stay.
func TestKeyringIsBounded(t *testing.T) {
	for name, thumb := range map[string]string{"entries": "", "bytes": string(make([]byte, 4096))} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring()
			favourite := iot.Identity{Device: "favourite"}
			keep := func(id iot.Identity) {
				_, moment := k.find(id)
				k.keep(id, &known{keys: [2][]byte{testKey(1), testKey(2)}, thumbs: [2]string{thumb}}, moment)
			}
			keep(favourite)
			for i := range 2 * maxKnown {
				keep(iot.Identity{Device: fmt.Sprint(i)})
				if found, _ := k.find(favourite); found == nil {
					t.Fatalf("what is used all the time was dropped after %d others", i)
				}
			}
			entries, bytes := 0, 0
			for i := range k.shards {
				sh := &k.shards[i]
				inList, sum := 0, 0
				for e := sh.ends.newer; e != &sh.ends; e = e.newer {
					inList, sum = inList+1, sum+e.size
				}
				if inList != len(sh.entries) || sum != sh.bytes || len(sh.changing) != 0 {
					t.Fatalf("the list holds %d entries of %d bytes, the map %d, the count says %d", inList, sum, len(sh.entries), sh.bytes)
				}
				entries, bytes = entries+inList, bytes+sum
			}
			if entries > maxKnown || bytes > maxKnownBytes || entries < maxKnown/16 {
				t.Errorf("%d entries of %d bytes, at most %d and %d", entries, bytes, maxKnown, maxKnownBytes)
			}
		})
	}
}

// TestKeyringCannotBeTold plays random programs: a registry that remembers answers as
// one that was made just now.
func TestKeyringCannotBeTold(t *testing.T) {
	keys := [][]byte{testKey(11), testKey(12), testKey(13)}
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		id := func() iot.Identity {
			return iot.Identity{Device: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "device"), Module: rapid.SampledFrom([]string{"", "m"}).Draw(rt, "module")}
		}
		keyPair := func() *iot.Authentication {
			return sasKeys(rapid.SampledFrom(keys).Draw(rt, "primary"), rapid.SampledFrom(keys).Draw(rt, "secondary"))
		}
		put := func(*rapid.T) {
			match := rapid.SampledFrom([]iot.Match{{}, matchAny}).Draw(rt, "match")
			if id := id(); id.IsModule() {
				_, _ = f.PutModule(rt.Context(), id, iot.Module{Authentication: keyPair()}, match)
			} else {
				status := rapid.SampledFrom([]iot.Status{iot.StatusEnabled, iot.StatusEnabled, iot.StatusDisabled}).Draw(rt, "status")
				_, _ = f.PutDevice(rt.Context(), id.Device, iot.Device{Status: status, Authentication: keyPair()}, match)
			}
		}
		check := func(*rapid.T) {
			id := id()
			expiry := testStart.Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour}).Draw(rt, "life"))
			cred := tokenOf(id, rapid.SampledFrom(keys).Draw(rt, "key"), expiry)
			if rapid.Bool().Draw(rt, "policy") {
				cred.SAS = signed(testHost, devicePolicy.Primary, expiry, devicePolicy.Name)
			}
			got, gotErr := f.Authenticate(rt.Context(), id, testHost, cred)
			forgetful := newFixtureOn(t, f.engine)
			forgetful.clock.Set(f.clock.Now())
			want, wantErr := forgetful.Authenticate(rt.Context(), id, testHost, cred)
			got.TokenHash, want.TokenHash = 0, 0
			if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
				rt.Fatalf("got %v, want %v %s", gotErr, wantErr, diff)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": put, "put more": put,
			"check": check, "check again": check, "check once more": check,
			"delete": func(*rapid.T) {
				if id := id(); id.IsModule() {
					_ = f.DeleteModule(rt.Context(), id, matchAny)
				} else {
					_ = f.DeleteDevice(rt.Context(), id.Device, matchAny)
				}
			},
			"regenerate": func(*rapid.T) {
				id := id()
				_, _ = f.RegenerateKeys(rt.Context(), iot.KeyRegeneration{
					PolicyKey: iot.PrimaryKey, Devices: []iot.KeyTarget{{ID: id.Device, ModuleID: id.Module}},
				})
			},
			"time": func(*rapid.T) {
				f.clock.Set(testStart.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "minute")) * time.Minute))
			},
		})
	})
}
