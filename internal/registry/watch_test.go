package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/iot"
)

func TestWatchersHearWhatEndsAConnection(t *testing.T) {
	upper, lower := strings.Repeat("AB", 20), strings.Repeat("ab", 20)
	other := strings.Repeat("CD", 20)
	base := sasKeys(testKey(11), testKey(12))
	for _, tc := range []struct {
		name     string
		from, to iot.Device
		want     []string
	}{
		{"nothing changes", iot.Device{Authentication: base}, iot.Device{Authentication: base}, nil},
		{"only words change", iot.Device{Authentication: base}, iot.Device{Authentication: base, StatusReason: "x"}, nil},
		{"disabled", iot.Device{Authentication: base}, iot.Device{Authentication: base, Status: iot.StatusDisabled}, []string{"d disabled"}},
		{"enabled", iot.Device{Authentication: base, Status: iot.StatusDisabled}, iot.Device{Authentication: base}, nil},
		{"still disabled", iot.Device{Authentication: base, Status: iot.StatusDisabled}, iot.Device{Authentication: base, Status: iot.StatusDisabled}, nil},
		{"primary key", iot.Device{Authentication: base}, iot.Device{Authentication: sasKeys(testKey(13), testKey(12))}, []string{"d credentials changed"}},
		{"secondary key", iot.Device{Authentication: base}, iot.Device{Authentication: sasKeys(testKey(11), testKey(13))}, []string{"d credentials changed"}},
		{"keys swapped", iot.Device{Authentication: base}, iot.Device{Authentication: sasKeys(testKey(12), testKey(11))}, nil},
		{"rolled forward", iot.Device{Authentication: base}, iot.Device{Authentication: sasKeys(testKey(12), testKey(13))}, []string{"d credentials changed"}},
		{"new keys made", iot.Device{Authentication: base}, iot.Device{}, []string{"d credentials changed"}},
		{"type", iot.Device{Authentication: base}, iot.Device{Authentication: &iot.Authentication{Type: iot.AuthenticationCA}}, []string{"d credentials changed"}},
		{"to none", iot.Device{Authentication: &iot.Authentication{Type: iot.AuthenticationCA}}, iot.Device{Authentication: &iot.Authentication{Type: iot.AuthenticationNone}}, []string{"d credentials changed"}},
		{"thumbprint", iot.Device{Authentication: thumbprints(upper, "")}, iot.Device{Authentication: thumbprints(other, "")}, []string{"d credentials changed"}},
		{"thumbprint gone", iot.Device{Authentication: thumbprints(upper, other)}, iot.Device{Authentication: thumbprints(upper, "")}, []string{"d credentials changed"}},
		{"thumbprint's letter case", iot.Device{Authentication: thumbprints(upper, "")}, iot.Device{Authentication: thumbprints(lower, "")}, nil},
		{"thumbprint added", iot.Device{Authentication: thumbprints(upper, "")}, iot.Device{Authentication: thumbprints(upper, other)}, nil},
		{"both at once", iot.Device{Authentication: base}, iot.Device{Status: iot.StatusDisabled}, []string{"d disabled", "d credentials changed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			if _, err := f.PutDevice(t.Context(), "d", tc.from, iot.Match{}); err != nil {
				t.Fatal(err)
			}
			f.module(t, iot.Identity{Device: "d", Module: "m"}, nil)
			var got []string
			f.Watch(func(id iot.Identity, c Change) { got = append(got, id.String()+" "+c.String()) })
			if _, err := f.PutDevice(t.Context(), "d", tc.to, matchAny); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWatchersHearAfterTheChangeIsStored(t *testing.T) {
	f := newFixture(t)
	f.device(t, "d", nil)
	f.module(t, iot.Identity{Device: "d", Module: "m"}, nil)
	f.module(t, iot.Identity{Device: "d", Module: "n"}, nil)
	var got []string
	f.Watch(func(id iot.Identity, c Change) {
		rec, _, err := f.read(t.Context(), id)
		if err != nil || c == Deleted && rec != nil || c == Disabled && !rec.disabled {
			t.Errorf("%s %s is told before it is stored: %+v, %v", id, c, rec, err)
		}
		got = append(got, "first "+id.String()+" "+c.String())
	})
	f.Watch(func(id iot.Identity, c Change) { got = append(got, "second "+id.String()+" "+c.String()) })
	steps := []struct {
		do   func() error
		want []string
	}{
		{func() error {
			_, err := f.PutModule(t.Context(), iot.Identity{Device: "d", Module: "m"}, iot.Module{}, matchAny)
			return err
		}, []string{"d/m credentials changed"}},
		{func() error {
			_, err := f.RegenerateKeys(t.Context(), iot.KeyRegeneration{PolicyKey: iot.PrimaryKey, Devices: []iot.KeyTarget{{ID: "d"}}})
			return err
		}, []string{"d credentials changed"}},
		{func() error { return f.DeleteModule(t.Context(), iot.Identity{Device: "d", Module: "m"}, matchAny) }, []string{"d/m deleted"}},
		{func() error {
			_, err := f.Bulk(t.Context(), []iot.BulkItem{{ID: "d", Status: iot.StatusDisabled, Authentication: &iot.Authentication{Type: iot.AuthenticationNone}}})
			return err
		}, []string{"d disabled", "d credentials changed"}},
		{func() error { return f.DeleteDevice(t.Context(), "d", matchAny) }, []string{"d deleted", "d/n deleted"}},
		{func() error { // what was refused is told to nobody
			if err := f.DeleteDevice(t.Context(), "d", matchAny); err == nil {
				t.Error("deleted twice")
			}
			return nil
		}, nil},
	}
	for i, step := range steps {
		got = nil
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, w := range step.want {
			want = append(want, "first "+w, "second "+w)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("step %d: %s", i, diff)
		}
	}
}
