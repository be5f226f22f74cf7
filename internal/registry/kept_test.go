package registry

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// TestWhatOthersKeepGoesWithTheIdentity: in the batch that deletes it, or not at all.
func TestWhatOthersKeepGoesWithTheIdentity(t *testing.T) {
	module := func(name string) iot.Identity { return iot.Identity{Device: "d", Module: name} }
	others := func(id iot.Identity) []string { return []string{"one/" + id.String(), "two/" + id.String()} }
	for _, tc := range []struct {
		name string
		do   func(*fixture) error
		want []string // identities of which nothing is left
	}{
		{"device", func(f *fixture) error { return f.DeleteDevice(t.Context(), "d", matchAny) }, []string{"d", "d/$edgeAgent", "d/$edgeHub", "d/m"}},
		{"module", func(f *fixture) error { return f.DeleteModule(t.Context(), module("m"), matchAny) }, []string{"d/m"}},
		{"no edge device any more", func(f *fixture) error {
			_, err := f.PutDevice(t.Context(), "d", iot.Device{}, matchAny)
			return err
		}, []string{"d/$edgeAgent", "d/$edgeHub"}},
		{"device, in bulk", func(f *fixture) error {
			res, err := f.Bulk(t.Context(), []iot.BulkItem{{ID: "d", ImportMode: iot.ImportDelete}})
			if err == nil && !res.IsSuccessful {
				err = fault.New(fault.Code(res.Errors[0].ErrorCode), "test", "%s", res.Errors[0].ErrorStatus)
			}
			return err
		}, []string{"d", "d/$edgeAgent", "d/$edgeHub", "d/m"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.kept = others
			if _, err := f.PutDevice(t.Context(), "d", edge(), iot.Match{}); err != nil {
				t.Fatal(err)
			}
			f.module(t, module("m"), nil)
			all := []iot.Identity{dev1, module("$edgeAgent"), module("$edgeHub"), module("m"), {Device: "d2"}}
			for _, id := range all {
				for _, k := range others(id) {
					f.plant(t, k, []byte("x"))
				}
			}
			left := func() (gone []string) {
				for _, id := range all {
					n := 0
					for _, k := range others(id) {
						if _, err := f.records.Get(t.Context(), k); err == nil {
							n++
						}
					}
					switch n {
					case 0:
						gone = append(gone, id.String())
					case 1:
						t.Errorf("half of what is kept of %s is gone", id)
					}
				}
				return gone
			}
			f.engine.Fail(func(op storetest.Op) error {
				if op == storetest.RecordsApply {
					return store.ErrFull
				}
				return nil
			})
			wantCode(t, tc.do(f), fault.ServiceUnavailable)
			f.engine.Fail(nil)
			if gone := left(); gone != nil {
				t.Errorf("after a failure nothing is left of %v", gone)
			}
			wantCode(t, tc.do(f), 0)
			if diff := cmp.Diff(fmt.Sprint(tc.want), fmt.Sprint(left())); diff != "" {
				t.Error(diff)
			}
			checkCounters(t, f)
		})
	}
}
