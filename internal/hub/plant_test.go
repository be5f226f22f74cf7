package hub

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/diagnosis"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/presence"
	"github.com/berth-iot/berth/internal/registry"
	"github.com/berth-iot/berth/internal/store/pebble"
	"github.com/berth-iot/berth/internal/telemetry"
)

// plantPartitions is how many partitions a plant has.
const plantPartitions = 2

// plant is a whole hub, all services of it, on a file system.
type plant struct {
	*Hub

	engine   *pebble.Engine
	log      *telemetry.Log
	queues   *c2d.Queues
	registry *registry.Registry
	close    func()
}

// directory is the registry as the queues see it: each needs the other.
type directory struct{ p *plant }

func (d directory) Generation(ctx context.Context, id iot.Identity) (generation uint64, enabled bool, err error) {
	return d.p.registry.Generation(ctx, id)
}

// openPlant opens a hub in the order in which cmd/berth does; c says how its log is kept.
// It is closed with the test.
func openPlant(tb testing.TB, fs vfs.FS, c telemetry.Config) *plant {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	p := &plant{}
	var err error
	p.engine, err = pebble.Open(pebble.Options{Dir: "data", FS: fs, CacheBytes: 1 << 20, BallastBytes: 1 << 20, Fatal: func(err error) { tb.Error(err) }})
	must(err)
	c.Log, c.Partitions = p.engine.Log(), plantPartitions
	p.log, err = telemetry.Open(c)
	must(err)
	diag, err := diagnosis.New(diagnosis.Config{Records: p.engine.Records()})
	must(err)
	p.queues, err = c2d.New(c2d.Config{
		Records: p.engine.Records(), Identities: directory{p}, Generation: p.engine.Claims().Generation(), FeedbackBatch: time.Millisecond,
	})
	must(err)
	metrics, err := NewMetrics(prometheus.NewRegistry())
	must(err)
	seats, err := presence.New(presence.Config{Claims: p.engine.Claims(), Records: p.engine.Records(), Sink: Sinks{metrics, diag}})
	must(err)
	p.registry, err = registry.New(registry.Config{
		Records: p.engine.Records(), HubName: "hub", Hosts: func(h string) bool { return h == "hub" },
		Presence: seats, Kept: presence.Kept, Messages: p.queues,
	})
	must(err)
	p.Hub, err = New(Config{Keys: p.registry, Presence: seats, Telemetry: p.log, Queues: p.queues, Refusals: diag, Afterlives: diag, Metrics: metrics})
	must(err)
	p.registry.Watch(p.Changed)
	closed := false
	p.close = func() {
		if closed {
			return
		}
		closed = true
		p.Close()
		ctx := context.Background()
		if err := errors.Join(seats.Close(ctx), p.queues.Close(), diag.Close(ctx), p.log.Close(), p.engine.Close()); err != nil {
			tb.Error(err)
		}
	}
	tb.Cleanup(p.close)
	return p
}

// enter opens a session of an identity that was registered with keyOf(1).
func (p *plant) enter(tb testing.TB, id iot.Identity) (device.Session, bell, error) {
	tb.Helper()
	b := newBell()
	s, err := p.Open(context.Background(), badge(id), b.ring)
	return s, b, err
}
