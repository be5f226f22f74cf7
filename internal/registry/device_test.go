package registry

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

var matchAny = iot.Match{Kind: iot.MatchAny}

func matchETag(tag string) iot.Match { return iot.Match{Kind: iot.MatchETag, ETag: tag} }

// asJSON is v as a JSON object.
func asJSON(tb testing.TB, v any) map[string]any {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestNewDeviceHasEveryMember(t *testing.T) {
	f := newFixture(t)
	d := f.device(t, "d1", nil)
	got := asJSON(t, d)
	pk, sk := d.Authentication.Keys()
	for _, k := range []string{pk, sk} {
		if key, err := iot.ParseKey(k); err != nil || len(key) != iot.KeySize {
			t.Errorf("generated key: %d bytes, %v", len(key), err)
		}
	}
	if pk == sk {
		t.Error("both keys are the same")
	}
	want := map[string]any{
		"deviceId": "d1", "generationId": fmt.Sprint(iot.Ticks(testStart)), "etag": got["etag"],
		"connectionState": "Disconnected", "status": "enabled", "statusReason": nil,
		"connectionStateUpdatedTime": "0001-01-01T00:00:00Z", "statusUpdatedTime": "0001-01-01T00:00:00Z",
		"lastActivityTime": "0001-01-01T00:00:00Z", "cloudToDeviceMessageCount": 0.0,
		"authentication": map[string]any{
			"symmetricKey":   map[string]any{"primaryKey": pk, "secondaryKey": sk},
			"x509Thumbprint": map[string]any{"primaryThumbprint": nil, "secondaryThumbprint": nil}, "type": "sas",
		},
		"capabilities": map[string]any{"iotEdge": false}, "parentScopes": []any{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	read, err := f.GetDevice(t.Context(), "d1")
	wantCode(t, err, 0)
	if diff := cmp.Diff(d, read); diff != "" {
		t.Errorf("what was answered is not what is stored: %s", diff)
	}
}

func TestDeviceShowsItsConnection(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	since, seen := testStart.Add(time.Minute), testStart.Add(2*time.Minute)
	f.conns.are[iot.Identity{Device: "d"}] = iot.Presence{Connected: true, Since: since, LastActivity: seen}
	d, err := f.GetDevice(t.Context(), "d")
	wantCode(t, err, 0)
	if d.ConnectionState != iot.Connected || d.ConnectionStateUpdatedTime != iot.TimeOf(since) || d.LastActivityTime != iot.TimeOf(seen) {
		t.Errorf("got %+v", d)
	}
	f.conns.err = store.ErrClosed
	_, err = f.GetDevice(t.Context(), "d")
	wantCode(t, err, fault.ServiceUnavailable)
}

func TestIfMatch(t *testing.T) {
	for _, tc := range []struct {
		name   string
		exists bool
		match  func(etag string) iot.Match
		put    fault.Code // 0: done
		del    fault.Code
		text   string // of the refused put
	}{
		{"no tag, absent", false, func(string) iot.Match { return iot.Match{} }, 0, fault.DeviceNotFound, ""},
		{"no tag, there", true, func(string) iot.Match { return iot.Match{} }, fault.DeviceAlreadyExists, 0, "A device with ID 'd' is already registered."},
		{"any, absent", false, func(string) iot.Match { return matchAny }, fault.DeviceNotFound, fault.DeviceNotFound, "device 'd' is not registered"},
		{"any, there", true, func(string) iot.Match { return matchAny }, 0, 0, ""},
		{"etag, absent", false, matchETag, fault.DeviceNotFound, fault.DeviceNotFound, "device 'd' is not registered"},
		{"etag, there", true, matchETag, 0, 0, ""},
		{"stale etag", true, func(string) iot.Match { return matchETag("MQ==") }, fault.PreconditionFailed, fault.PreconditionFailed, "ETag mismatch for device ID 'd'"},
		{"etag in another case", true, func(e string) iot.Match { return matchETag(strings.ToLower(e)) }, fault.PreconditionFailed, fault.PreconditionFailed, "ETag mismatch for device ID 'd'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			etag := "MjI="
			if tc.exists {
				etag = f.device(t, "d", nil).ETag
			}
			before, _ := f.GetDevice(t.Context(), "d")
			got, err := f.PutDevice(t.Context(), "d", iot.Device{StatusReason: "new"}, tc.match(etag))
			wantCode(t, err, tc.put)
			after, _ := f.GetDevice(t.Context(), "d")
			switch {
			case err != nil:
				wantDetail(t, err, tc.text)
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("a refused put changed something: %s", diff)
				}
			case after.StatusReason != "new" || got.ETag != after.ETag:
				t.Errorf("put has no effect: %+v", after)
			}

			f = newFixture(t)
			if tc.exists {
				etag = f.device(t, "d", nil).ETag
			}
			err = f.DeleteDevice(t.Context(), "d", tc.match(etag))
			wantCode(t, err, tc.del)
			_, err = f.GetDevice(t.Context(), "d")
			if there := err == nil; there != (tc.exists && tc.del != 0) {
				t.Errorf("after the delete, is it there: %v", there)
			}
		})
	}
}

func TestUpdateRaisesTheETagByOneAndKeepsTheGeneration(t *testing.T) {
	f := newFixture(t)
	d := f.device(t, "d", nil)
	rec, _, err := f.read(t.Context(), iot.Identity{Device: "d"})
	wantCode(t, err, 0)
	f.clock.Set(testStart.Add(time.Hour))
	for i := range uint64(3) {
		next, err := f.PutDevice(t.Context(), "d", d, matchETag(d.ETag))
		wantCode(t, err, 0)
		if want := iot.IdentityETag(rec.etag + i + 1); next.ETag != want || next.GenerationID != d.GenerationID {
			t.Errorf("update %d: etag %q, want %q; generation %s, want %s", i, next.ETag, want, next.GenerationID, d.GenerationID)
		}
		d = next
	}
	wantCode(t, f.DeleteDevice(t.Context(), "d", iot.Match{}), 0)
	f.clock.Set(testStart) // even if the clock stepped back
	if again := f.device(t, "d", nil); again.GenerationID == d.GenerationID {
		t.Error("the same id made again has the same generation")
	}
}

func TestUpdateReplacesTheWholeDevice(t *testing.T) {
	f := newFixture(t)
	const parent = "ms-azure-iot-edge://gw-637345907161634714"
	_, err := f.PutDevice(t.Context(), "d", iot.Device{
		Status: iot.StatusDisabled, StatusReason: "why", DeviceScope: parent, Authentication: sasKeys(testKey(11), testKey(12)),
	}, iot.Match{})
	wantCode(t, err, 0)
	d, err := f.PutDevice(t.Context(), "d", iot.Device{}, matchAny)
	wantCode(t, err, 0)
	pk, sk := d.Authentication.Keys()
	if d.Status != iot.StatusEnabled || d.StatusReason != "" || d.DeviceScope != "" || len(d.ParentScopes) != 0 ||
		pk == iot.FormatKey(testKey(11)) || sk == iot.FormatKey(testKey(12)) || pk == "" || sk == "" {
		t.Errorf("something of the old device was left: %+v", d)
	}
}

func TestReadOnlyMembersOfARequestMeanNothing(t *testing.T) {
	f := newFixture(t)
	d, err := f.PutDevice(t.Context(), "d", iot.Device{
		DeviceID: "d", GenerationID: "1", ETag: "MQ==", ConnectionState: iot.Connected, CloudToDeviceMessageCount: 9,
		ConnectionStateUpdatedTime: iot.TimeOf(testStart), StatusUpdatedTime: iot.TimeOf(testStart), LastActivityTime: iot.TimeOf(testStart),
	}, iot.Match{})
	wantCode(t, err, 0)
	if d.GenerationID == "1" || d.ETag == "MQ==" || d.ConnectionState != iot.Disconnected || d.CloudToDeviceMessageCount != 0 ||
		!d.ConnectionStateUpdatedTime.IsZero() || !d.StatusUpdatedTime.IsZero() || !d.LastActivityTime.IsZero() {
		t.Errorf("got %+v", d)
	}
}

func TestStatusUpdatedTimeMovesWithTheStatus(t *testing.T) {
	f := newFixture(t)
	d := f.device(t, "d", nil)
	for i, step := range []struct {
		status iot.Status
		moves  bool
	}{{iot.StatusEnabled, false}, {iot.StatusDisabled, true}, {iot.StatusDisabled, false}, {"", true}, {iot.StatusEnabled, false}} {
		now := testStart.Add(time.Duration(i+1) * time.Hour)
		f.clock.Set(now)
		want := d.StatusUpdatedTime
		if step.moves {
			want = iot.TimeOf(now)
		}
		next, err := f.PutDevice(t.Context(), "d", iot.Device{Status: step.status, Authentication: d.Authentication}, matchAny)
		wantCode(t, err, 0)
		if !next.StatusUpdatedTime.Equal(want.Time) {
			t.Errorf("step %d: %s, want %s", i, next.StatusUpdatedTime, want)
		}
		d = next
	}
}

func TestBadDevicesAreRefused(t *testing.T) {
	f := newFixture(t)
	sha1Hex, sha256Hex := strings.Repeat("aB", 20), strings.Repeat("0F", 32)
	key := func(n int) iot.NullString { return iot.NullString(iot.FormatKey(make([]byte, n))) }
	keys := func(p, s iot.NullString) *iot.Authentication {
		return &iot.Authentication{Type: iot.AuthenticationSAS, SymmetricKey: &iot.SymmetricKey{PrimaryKey: p, SecondaryKey: s}}
	}
	both := keys(key(32), key(32))
	both.Type, both.X509Thumbprint = "", thumbprints(sha1Hex, "").X509Thumbprint
	for i, tc := range []struct {
		id   string
		dev  iot.Device
		want fault.Code
	}{
		{"", iot.Device{}, fault.ArgumentInvalid},
		{strings.Repeat("x", 129), iot.Device{}, fault.ArgumentInvalid},
		{strings.Repeat("x", 128), iot.Device{}, 0},
		{"a b", iot.Device{}, fault.ArgumentInvalid},
		{"a/b", iot.Device{}, fault.ArgumentInvalid},
		{"ä", iot.Device{}, fault.ArgumentInvalid},
		{"Az09-:.+%_#*?!(),=@;$'", iot.Device{}, 0},
		{"a", iot.Device{DeviceID: "b"}, fault.ArgumentInvalid},
		{"a", iot.Device{DeviceID: "A"}, fault.ArgumentInvalid},
		{"reason128", iot.Device{StatusReason: iot.NullString(strings.Repeat("ä", 128))}, 0},
		{"a", iot.Device{StatusReason: iot.NullString(strings.Repeat("a", 129))}, fault.ArgumentInvalid},
		{"a", iot.Device{Status: "asleep"}, fault.ArgumentInvalid},
		{"key16", iot.Device{Authentication: keys(key(16), key(64))}, 0},
		{"a", iot.Device{Authentication: keys(key(15), key(32))}, fault.ArgumentInvalid},
		{"a", iot.Device{Authentication: keys(key(32), key(65))}, fault.ArgumentInvalid},
		{"a", iot.Device{Authentication: keys("not base64!", key(32))}, fault.ArgumentInvalid},
		{"thumb1", iot.Device{Authentication: thumbprints(sha1Hex, "")}, 0},
		{"thumb2", iot.Device{Authentication: thumbprints(sha256Hex, strings.ToLower(sha256Hex))}, 0},
		{"a", iot.Device{Authentication: thumbprints(sha1Hex, sha256Hex)}, fault.ArgumentInvalid},
		{"a", iot.Device{Authentication: thumbprints(sha1Hex[1:], "")}, fault.ArgumentInvalid},
		{"a", iot.Device{Authentication: thumbprints("zz"+sha1Hex[2:], "")}, fault.ArgumentInvalid},
		{"a", iot.Device{Authentication: thumbprints("", "")}, fault.ArgumentInvalid},
		{"a", iot.Device{Authentication: both}, fault.ArgumentInvalid},
		{"a", iot.Device{Authentication: &iot.Authentication{Type: iot.AuthenticationSAS, X509Thumbprint: thumbprints(sha1Hex, "").X509Thumbprint}}, fault.ArgumentInvalid},
		{"a", iot.Device{DeviceScope: "gw"}, fault.InvalidDeviceScope},
		{"a", iot.Device{DeviceScope: "ms-azure-iot-edge://gw"}, fault.InvalidDeviceScope},
		{"a", iot.Device{DeviceScope: "ms-azure-iot-edge://gw-x"}, fault.InvalidDeviceScope},
		{"a", iot.Device{DeviceScope: "ms-azure-iot-edge://g w-1"}, fault.InvalidDeviceScope},
		{"a", iot.Device{ParentScopes: iot.Scopes{"ms-azure-iot-edge://a-1", "ms-azure-iot-edge://b-2"}}, fault.InvalidDeviceScope},
		{"a", iot.Device{ParentScopes: iot.Scopes{"gw"}}, fault.InvalidDeviceScope},
	} {
		_, err := f.PutDevice(t.Context(), tc.id, tc.dev, iot.Match{})
		if got := fault.Of(err); err == nil && tc.want != 0 || err != nil && got != tc.want {
			t.Errorf("case %d: got %v, want %v", i, err, tc.want)
		}
		if err != nil && (strings.Contains(err.Error(), "not base64!") || len(fault.Detail(err)) > 300) {
			t.Errorf("case %d: the error quotes what it should not: %v", i, err)
		}
	}
	if _, err := f.GetDevice(t.Context(), "a"); fault.Of(err) != fault.DeviceNotFound {
		t.Errorf("a refused device is there: %v", err)
	}
	for _, id := range []string{"", "a b", strings.Repeat("x", 129)} {
		_, err := f.GetDevice(t.Context(), id)
		wantCode(t, err, fault.ArgumentInvalid)
		wantCode(t, f.DeleteDevice(t.Context(), id, matchAny), fault.ArgumentInvalid)
		_, err = f.ListModules(t.Context(), id)
		wantCode(t, err, fault.ArgumentInvalid)
		_, err = f.Twin(t.Context(), iot.Identity{Device: id})
		wantCode(t, err, fault.ArgumentInvalid)
	}
}

func TestAuthenticationIsKeptAsItsTypeMeans(t *testing.T) {
	f := newFixture(t)
	upper := strings.ToUpper(strings.Repeat("ab", 20))
	for id, tc := range map[string]struct {
		send *iot.Authentication
		want map[string]any // without generated keys
	}{
		"absent type with a thumbprint": {
			&iot.Authentication{X509Thumbprint: thumbprints(upper, "").X509Thumbprint},
			map[string]any{"type": "selfSigned", "thumb": upper, "keys": false},
		},
		"empty keys are made": {
			&iot.Authentication{Type: iot.AuthenticationSAS, SymmetricKey: &iot.SymmetricKey{}},
			map[string]any{"type": "sas", "thumb": nil, "keys": true},
		},
		"empty thumbprints beside keys": {
			&iot.Authentication{SymmetricKey: &iot.SymmetricKey{}, X509Thumbprint: &iot.X509Thumbprint{}},
			map[string]any{"type": "sas", "thumb": nil, "keys": true},
		},
		"certificate authority drops keys": {
			&iot.Authentication{Type: iot.AuthenticationCA, SymmetricKey: sasKeys(testKey(1), testKey(2)).SymmetricKey},
			map[string]any{"type": "certificateAuthority", "thumb": nil, "keys": false},
		},
		"none": {
			&iot.Authentication{Type: iot.AuthenticationNone},
			map[string]any{"type": "none", "thumb": nil, "keys": false},
		},
	} {
		d := f.device(t, strings.ReplaceAll(id, " ", "-"), tc.send)
		a := asJSON(t, d)["authentication"].(map[string]any)
		thumbs, keys := a["x509Thumbprint"].(map[string]any), a["symmetricKey"].(map[string]any)
		got := map[string]any{"type": a["type"], "thumb": thumbs["primaryThumbprint"], "keys": keys["primaryKey"] != nil && keys["secondaryKey"] != nil}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

func TestOneEmptyKeyRenewsThatKeyAlone(t *testing.T) {
	f := newFixture(t)
	d := f.device(t, "d", sasKeys(testKey(11), testKey(12)))
	d.Authentication.SymmetricKey.PrimaryKey = ""
	d, err := f.PutDevice(t.Context(), "d", d, matchETag(d.ETag))
	wantCode(t, err, 0)
	pk, sk := d.Authentication.Keys()
	if pk == "" || pk == iot.FormatKey(testKey(11)) || sk != iot.FormatKey(testKey(12)) {
		t.Error("the primary key was not renewed, or the secondary was")
	}
}

func TestListIsInOrderOfIDsAndBounded(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 30 {
		id := fmt.Sprintf("dev-%02d", (i*7)%30)
		f.device(t, id, nil)
		f.module(t, iot.Identity{Device: id, Module: "m"}, nil)
		want = append(want, id)
	}
	slices.Sort(want)
	for top, n := range map[int]int{0: 30, -1: 30, 1: 1, 7: 7, 30: 30, 1000: 30, 1001: 30} {
		list, err := f.ListDevices(t.Context(), top)
		wantCode(t, err, 0)
		var got []string
		for _, d := range list {
			got = append(got, d.DeviceID)
		}
		if diff := cmp.Diff(want[:n], got); diff != "" {
			t.Errorf("top %d: %s", top, diff)
		}
	}
	if empty, err := newFixture(t).ListDevices(t.Context(), 5); err != nil || empty == nil || len(empty) != 0 {
		t.Errorf("no devices: %v, %v", empty, err)
	}
}

func TestListStopsAtAThousand(t *testing.T) {
	f := newFixture(t)
	value := (&record{method: methodSAS, keys: [2][]byte{testKey(1), testKey(2)}}).encode()
	for i := range maxList + 1 {
		f.plant(t, fmt.Sprintf("%sd%05d", deviceKeys, i), value)
	}
	list, err := f.ListDevices(t.Context(), 5000)
	wantCode(t, err, 0)
	if len(list) != maxList {
		t.Errorf("got %d devices, want %d", len(list), maxList)
	}
}

func TestDamagedRecordIsAnInternalError(t *testing.T) {
	f := newFixture(t)
	f.plant(t, deviceKeys+"d", []byte("rubbish"))
	_, err := f.GetDevice(t.Context(), "d")
	wantCode(t, err, fault.ServerError)
	_, err = f.ListDevices(t.Context(), 10)
	wantCode(t, err, fault.ServerError)
}
