package hub

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/diagnosis"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/presence"
	"github.com/berth-iot/berth/internal/registry"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/internal/telemetry"
)

// rationed are records that notice whoever reads more than a few at once: at a million
// identities nothing but a list may.
type rationed struct {
	store.Records

	tb    testing.TB
	doing string
	most  int // records, or index keys, that one scan may see
}

func (r *rationed) Scan(ctx context.Context, prefix, after string, f func(store.Record) bool) error {
	seen := 0
	return r.Records.Scan(ctx, prefix, after, func(rec store.Record) bool {
		if seen++; seen > r.most {
			r.tb.Errorf("%s read more than %d records under %q", r.doing, r.most, prefix)
			return false
		}
		return f(rec)
	})
}

func (r *rationed) ScanIndex(ctx context.Context, prefix, after string, f func(index, key string) bool) error {
	seen := 0
	return r.Records.ScanIndex(ctx, prefix, after, func(index, key string) bool {
		if seen++; seen > r.most {
			r.tb.Errorf("%s read more than %d keys of the index under %q", r.doing, r.most, prefix)
			return false
		}
		return f(index, key)
	})
}

// TestNothingReadsAllIdentities: neither the start, nor statistics, nor a device's
// whole life. Who lists ten reads ten.
func TestNothingReadsAllIdentities(t *testing.T) {
	const devices, modules = 400, 3
	engine := storetest.New()
	populate(t, engine.Records(), devices, "m", "n", "o")
	records := &rationed{Records: engine.Records(), tb: t, doing: "the start"}

	log, err := telemetry.Open(telemetry.Config{Log: engine.Log()})
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	diag, err := diagnosis.New(diagnosis.Config{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	present, err := presence.New(presence.Config{Claims: engine.Claims(), Records: records, Sink: Sinks{metrics, diag}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := registry.New(registry.Config{
		Records: records, HubName: "hub", Hosts: func(h string) bool { return h == "hub" }, Presence: present, Kept: presence.Kept,
	})
	if err != nil {
		t.Fatal(err)
	}
	queues, err := c2d.New(c2d.Config{Records: records, Identities: keys, Generation: engine.Claims().Generation()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Keys: keys, Presence: present, Telemetry: log, Queues: queues, Refusals: diag, Afterlives: diag, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	keys.Watch(h.Changed)
	keys.Watch(func(id iot.Identity, c registry.Change) {
		if c == registry.Deleted {
			diag.Forget(id)
		}
	})

	ctx := t.Context()
	step := func(doing string, most int, do func() error) {
		t.Helper()
		records.doing, records.most = doing, most
		if err := do(); err != nil {
			t.Errorf("%s: %v", doing, err)
		}
	}
	step("statistics", 0, func() error {
		s, err := keys.Statistics(ctx)
		if want := (iot.DeviceStatistics{TotalDeviceCount: devices, EnabledDeviceCount: devices}); s != want {
			t.Errorf("statistics: got %+v, want %+v", s, want)
		}
		return err
	})
	step("the count of those connected", 0, func() error { _ = present.Connected(); return nil })
	step("a connection", 0, func() error {
		for range 2 {
			for _, id := range []iot.Identity{dev1, mod1} {
				s, err := h.Open(ctx, badge(id), func() {})
				if err != nil {
					return err
				}
				s.Close(device.Goodbye{Kind: device.GoodbyeLost})
			}
		}
		return nil
	})
	step("an explanation", 0, func() error {
		if _, err := diag.Explain(ctx, dev1, time.Time{}); err != nil {
			return err
		}
		_, err := diag.Conflicts(ctx, iot.ConflictQuery{})
		return err
	})
	step("a device read", 0, func() error { _, err := keys.GetDevice(ctx, "dev1"); return err })
	step("a twin read", 0, func() error { _, err := keys.Twin(ctx, dev1); return err })
	step("a list", 10, func() error {
		list, err := keys.ListDevices(ctx, 10)
		if len(list) != 10 {
			t.Errorf("%d devices listed, want 10", len(list))
		}
		return err
	})
	step("the list of a device's modules", modules, func() error { _, err := keys.ListModules(ctx, "dev1"); return err })
	step("a change", 0, func() error {
		_, err := keys.PutDevice(ctx, "dev1", iot.Device{Status: iot.StatusDisabled}, anyTag)
		return err
	})
	step("new keys", 0, func() error {
		_, err := keys.RegenerateKeys(ctx, iot.KeyRegeneration{PolicyKey: iot.BothKeys, Devices: []iot.KeyTarget{{ID: "dev1"}}})
		return err
	})
	step("a bulk request", 0, func() error {
		res, err := keys.Bulk(ctx, []iot.BulkItem{{ID: "new"}, {ID: "new", ModuleID: "m"}, {ID: "dev2", ImportMode: iot.ImportUpdate}})
		if !res.IsSuccessful {
			t.Errorf("bulk: %+v", res)
		}
		return err
	})
	step("a module's end", 0, func() error { return keys.DeleteModule(ctx, iot.Identity{Device: "new", Module: "m"}, anyTag) })
	step("a device's end", modules, func() error { return keys.DeleteDevice(ctx, "dev1", anyTag) })
	step("a refusal", 0, func() error {
		if _, err := h.Open(ctx, badge(dev1), func() {}); fault.Of(err) != fault.DeviceNotFound {
			t.Errorf("a deleted device: %v", err)
		}
		return nil
	})
	step("the stop", 0, func() error {
		h.Close()
		if err := queues.Close(); err != nil {
			return err
		}
		if err := present.Close(ctx); err != nil {
			return err
		}
		if err := diag.Close(ctx); err != nil {
			return err
		}
		return log.Close()
	})
}

// populate registers devices dev0, dev1 and so on with modules of these names, and a
// connection state for each, as they are stored.
func populate(tb testing.TB, records store.Records, devices int, modules ...string) {
	tb.Helper()
	r, err := registry.New(registry.Config{Records: records, Hosts: func(string) bool { return true }})
	if err != nil {
		tb.Fatal(err)
	}
	disconnected := []byte{1, 0, 1, 1, 0, 0}
	for n := range devices {
		id := fmt.Sprintf("dev%d", n)
		items := []iot.BulkItem{{ID: id, Authentication: symmetric(keyOf(1), keyOf(2))}}
		for _, m := range modules {
			items = append(items, iot.BulkItem{ID: id, ModuleID: m, Authentication: symmetric(keyOf(3), keyOf(4))})
		}
		if res, err := r.Bulk(tb.Context(), items); err != nil || !res.IsSuccessful {
			tb.Fatalf("%+v %v", res, err)
		}
		var b store.Batch
		for _, item := range items {
			b.Writes = append(b.Writes, store.Write{
				Key: presence.Kept(iot.Identity{Device: id, Module: item.ModuleID})[0], Value: disconnected, If: store.Absent,
			})
		}
		if _, err := records.Apply(tb.Context(), b); err != nil {
			tb.Fatal(err)
		}
	}
}
