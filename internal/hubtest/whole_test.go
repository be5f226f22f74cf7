package hubtest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/amqp"
	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/diagnosis"
	"github.com/berth-iot/berth/internal/hub"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/mqtt"
	"github.com/berth-iot/berth/internal/park"
	"github.com/berth-iot/berth/internal/presence"
	"github.com/berth-iot/berth/internal/registry"
	"github.com/berth-iot/berth/internal/reslog"
	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/internal/telemetry"
)

const hubHost = "hub.example.org"

var (
	deviceKey = []byte("0123456789abcdef0123456789abcdef")
	policyKey = []byte("policy-policy-policy-policy-poli")
	wrongKey  = []byte("wrongwrongwrongwrongwrongwrongwr")
)

// identities are all that the two clients may be.
var identities = []iot.Identity{{Device: "dev1"}, {Device: "dev1", Module: "m"}, {Device: "dev2"}}

// whole is a hub as cmd/berth puts it together, over an engine in memory and without TLS.
type whole struct {
	t         *testing.T
	witness   *witness
	gates     *gates
	engine    *storetest.Memory
	telemetry *telemetry.Log
	diagnosis *diagnosis.Diagnosis
	queues    *c2d.Queues
	presence  *presence.Presence
	registry  *registry.Registry
	hub       *hub.Hub
	lot       *park.Lot
	door      *park.Door
	mqtt      *entrance
	amqp      *entrance
	stop      context.CancelFunc
	serving   sync.WaitGroup
}

// directory is the registry as the queues see it; each needs the other.
type directory struct{ w *whole }

func (d directory) Generation(ctx context.Context, id iot.Identity) (uint64, bool, error) {
	return d.w.registry.Generation(ctx, id)
}

// events shows the telemetry log to readers.
type events struct{ log *telemetry.Log }

func (e events) Partitions() []device.Partition {
	infos := e.log.Partitions()
	all := make([]device.Partition, len(infos))
	for i, p := range infos {
		all[i] = device.Partition{Empty: p.Empty, First: p.First, Last: p.Last, LastOffset: p.LastOffset, LastEnqueued: p.LastEnqueued}
	}
	return all
}

func (e events) Reader(partition int, start device.Start) (device.EventReader, error) {
	return e.log.Reader(partition, start)
}

// connections numbers connections through all runs: the resource log is one for all.
var connections atomic.Uint64

func newWhole(t *testing.T, shelf *shelf) *whole {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &whole{t: t, witness: newWitness(), gates: &gates{shut: map[uint64]chan struct{}{}}, engine: storetest.New(), mqtt: newEntrance(), amqp: newEntrance(), stop: stop}
	logger := slog.New(w.witness)
	metrics, err := hub.NewMetrics(prometheus.NewRegistry())
	must(t, err)
	w.telemetry, err = telemetry.Open(telemetry.Config{Log: w.engine.Log(), Partitions: 2, Logger: logger})
	must(t, err)
	groups, err := telemetry.OpenGroups(ctx, w.engine.Records(), time.Now)
	must(t, err)
	w.diagnosis, err = diagnosis.New(diagnosis.Config{Records: w.engine.Records(), Logger: logger, Started: time.Now()})
	must(t, err)
	w.queues, err = c2d.New(c2d.Config{
		Records: w.engine.Records(), Identities: directory{w}, Generation: w.engine.Claims().Generation(), HubName: "hub",
		Observer: c2d.Observer{Ended: w.witness.messageEnded}, Logger: logger,
	})
	must(t, err)
	w.presence, err = presence.New(presence.Config{
		Claims: w.engine.Claims(), Records: w.engine.Records(), Logger: logger,
		Sink: hub.Sinks{metrics, w.witness, shelf.log, w.diagnosis},
	})
	must(t, err)
	w.registry, err = registry.New(registry.Config{
		Records: w.engine.Records(), HubName: "hub", Hosts: iot.NewHosts(hubHost).Has, Presence: w.presence, Kept: presence.Kept, Messages: w.queues, Logger: logger,
		Policies: []iot.Policy{{Name: "device", Primary: policyKey, Secondary: policyKey, Rights: iot.DeviceConnect}},
	})
	must(t, err)
	w.hub, err = hub.New(hub.Config{
		Keys: w.registry, Presence: w.presence, Telemetry: w.telemetry, Queues: w.queues,
		Refusals: refusals{shelf.log, w.diagnosis}, Afterlives: w.diagnosis, Metrics: metrics, Logger: logger,
	})
	must(t, err)
	w.registry.Watch(w.hub.Changed)
	w.lot = park.New(park.Config{Logger: logger, Spread: -1})
	w.door, err = park.NewDoor(park.DoorConfig{Lot: w.lot, Logger: logger})
	must(t, err)
	core := slowCore{w.hub, w.gates}
	devices, err := mqtt.New(mqtt.Config{Core: core, Door: w.door, Logger: logger})
	must(t, err)
	peers, err := amqp.New(amqp.Config{
		Core: core, Gate: w.registry, Door: w.door, Hosts: iot.NewHosts(hubHost), Port: 5671, Commands: w.queues, Queues: w.queues,
		Events: events{w.telemetry}, Groups: groups, Created: groups.Born(), Logger: logger,
	})
	must(t, err)
	w.register()
	w.serving.Go(func() { must(t, devices.Listen(ctx, w.mqtt, facts(device.MQTT))) })
	w.serving.Go(func() { must(t, peers.Listen(ctx, w.amqp, facts(device.AMQP))) })
	return w
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// refusals tells several of connections that were not let in.
type refusals []interface {
	Refused(hello device.Hello, err error, at time.Time)
}

func (rs refusals) Refused(hello device.Hello, err error, at time.Time) {
	for _, r := range rs {
		r.Refused(hello, err, at)
	}
}

// facts is a handshake without TLS.
func facts(transport device.Transport) park.Handshake {
	return func(_ context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
		remote := netip.MustParseAddrPort(nc.RemoteAddr().String())
		host := remote.Addr().As16()
		no := binary.BigEndian.Uint64(host[8:])
		return nc, &device.Conn{ID: no, Transport: transport, Remote: remote, Accepted: time.Now()}, nil, nil
	}
}

// register makes the identities.
func (w *whole) register() {
	w.t.Helper()
	key := iot.FormatKey(deviceKey)
	auth := func() *iot.Authentication {
		return &iot.Authentication{Type: iot.AuthenticationSAS, SymmetricKey: &iot.SymmetricKey{PrimaryKey: iot.NullString(key), SecondaryKey: iot.NullString(key)}}
	}
	for _, id := range identities {
		var err error
		if id.IsModule() {
			_, err = w.registry.PutModule(context.Background(), id, iot.Module{Authentication: auth()}, iot.Match{})
		} else {
			_, err = w.registry.PutDevice(context.Background(), id.Device, iot.Device{Authentication: auth()}, iot.Match{})
		}
		must(w.t, err)
	}
}

// enable lets a device in, or bars it.
func (w *whole) enable(dev string, on bool) {
	w.t.Helper()
	d, err := w.registry.GetDevice(context.Background(), dev)
	must(w.t, err)
	d.Status = iot.StatusEnabled
	if !on {
		d.Status = iot.StatusDisabled
	}
	_, err = w.registry.PutDevice(context.Background(), dev, d, iot.Match{Kind: iot.MatchAny})
	must(w.t, err)
}

// fail makes the log's disk fail from now on, or work again.
func (w *whole) fail(on bool) {
	w.engine.Fail(func(op storetest.Op) error {
		if on && op == storetest.LogCommit {
			return errors.New("no space left on device")
		}
		return nil
	})
}

// dial makes a connection.
func (w *whole) dial(transport device.Transport) *wire {
	at := w.mqtt
	if transport == device.AMQP {
		at = w.amqp
	}
	wire := newWire(connections.Add(1))
	at.wires <- wire
	return wire
}

// close ends the hub as cmd/berth does, in reverse. Its clients must have gone or go now.
func (w *whole) close() {
	w.t.Helper()
	ctx := context.Background()
	w.stop()
	err := w.lot.Shutdown(ctx)
	w.serving.Wait()
	w.hub.Close()
	err = errors.Join(err, w.presence.Close(ctx), w.queues.Close(), w.diagnosis.Close(ctx), w.telemetry.Close(), w.engine.Close())
	if err != nil {
		w.t.Errorf("the hub did not close well: %v", err)
	}
	if n := w.lot.Len(); n != 0 {
		w.t.Errorf("%d connections are left", n)
	}
	if n := w.door.Strangers(); n != 0 {
		w.t.Errorf("%d places of strangers are taken", n)
	}
}

// stored reads the whole log, by identity, in order.
func (w *whole) stored() map[iot.Identity][]string {
	w.t.Helper()
	all := map[iot.Identity][]string{}
	for _, p := range w.telemetry.Partitions() {
		if p.Empty {
			continue
		}
		r, err := w.telemetry.Reader(p.ID, device.Start{})
		must(w.t, err)
		for last := false; !last; {
			es, err := r.Next(context.Background())
			must(w.t, err)
			for i := range es {
				id := es[i].Stamp.Identity
				all[id] = append(all[id], string(es[i].Raw.Body))
				last = es[i].Sequence == p.Last
			}
		}
		r.Close()
	}
	return all
}

// shelf is the resource log of all runs, outside the bubbles: lumberjack never ends the
// goroutine that looks after its files.
type shelf struct {
	log *reslog.Log

	mu    sync.Mutex
	lines [][]byte
}

func newShelf(tb testing.TB) *shelf {
	tb.Helper()
	s := &shelf{}
	var err error
	s.log, err = reslog.Open(reslog.Config{Dir: tb.TempDir(), HubName: "hub", MaxSizeMB: 1, MaxBackups: 1, Stdout: s})
	must(tb, err)
	tb.Cleanup(func() { must(tb, s.log.Close(context.Background())) })
	return s
}

func (s *shelf) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range bytes.Lines(p) {
		s.lines = append(s.lines, bytes.Clone(line))
	}
	return len(p), nil
}

// take gives the records since the last call.
func (s *shelf) take(t *testing.T) [][]byte {
	t.Helper()
	enough := errors.New("the writer has been asked, and has written what waited")
	err := s.log.Read(context.Background(), iot.LogQuery{}, func([]byte) error { return enough })
	if err != nil && !errors.Is(err, enough) {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := slices.Clone(s.lines)
	s.lines = nil
	return lines
}
