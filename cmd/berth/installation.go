package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/config"
	"github.com/berth-iot/berth/internal/diagnosis"
	"github.com/berth-iot/berth/internal/hub"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/park"
	"github.com/berth-iot/berth/internal/pki"
	"github.com/berth-iot/berth/internal/presence"
	"github.com/berth-iot/berth/internal/registry"
	"github.com/berth-iot/berth/internal/reslog"
	"github.com/berth-iot/berth/internal/store/pebble"
	"github.com/berth-iot/berth/internal/telemetry"
)

// installation is everything a hub is made of but its ports, opened on one data
// folder.
type installation struct {
	cfg       config.Config
	hosts     iot.Hosts // as configured
	aliases   iot.Hosts // and the machine's own names
	log       *slog.Logger
	started   time.Time
	first     bool // the data folder was made by this start
	policies  []iot.Policy
	authority *pki.Authority
	engine    *pebble.Engine
	telemetry *telemetry.Log
	groups    *telemetry.Groups
	reslog    *reslog.Log
	diagnosis *diagnosis.Diagnosis // nil: switched off
	queues    *c2d.Queues
	presence  *presence.Presence
	registry  *registry.Registry
	hub       *hub.Hub
	lot       *park.Lot
	metrics   *prometheus.Registry
	closers   []func() error // in order of opening
}

// provision opens the data folder and everything in it. On an error, what was
// opened is closed.
func provision(ctx context.Context, cfg config.Config, log *slog.Logger, con *console) (_ *installation, err error) {
	in := &installation{
		cfg: cfg, hosts: iot.NewHosts(cfg.Hosts...), aliases: iot.NewHosts(append(slices.Clone(cfg.Hosts), machineNames()...)...), log: log, started: time.Now(),
		lot: park.New(park.Config{Logger: log, Spread: nonZero(cfg.Limits.GoodbyeSpread.Std())}), metrics: prometheus.NewRegistry(),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.close())
		}
	}()
	for _, step := range []func(context.Context, *console) error{
		in.openFolder, in.openKeys, in.openStore, in.openServices,
	} {
		if err := step(ctx, con); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// close closes what was opened, in reverse.
func (in *installation) close() error {
	var all []error
	for _, closer := range slices.Backward(in.closers) {
		all = append(all, closer())
	}
	in.closers = nil
	return errors.Join(all...)
}

func (in *installation) opened(closer func() error) { in.closers = append(in.closers, closer) }

// openFolder makes the data folder and takes it for this process alone.
func (in *installation) openFolder(context.Context, *console) error {
	if err := makeFolder(in.cfg.Data); err != nil {
		return err
	}
	lock, err := pebble.LockFolder(in.cfg.Data)
	if err != nil {
		return err
	}
	in.opened(lock.Close)
	return nil
}

// openKeys makes or reads the policies, the CA and the server certificates.
func (in *installation) openKeys(context.Context, *console) (err error) {
	if _, err := config.ReadPolicies(in.cfg.Data); err != nil {
		in.first = true // OpenPolicies says what is wrong, if anything is
	}
	if in.policies, err = config.OpenPolicies(in.cfg.Data, rand.Reader); err != nil {
		return err
	}
	if err := config.WriteHosts(in.cfg.Data, in.cfg.Hosts); err != nil {
		return err
	}
	in.authority, err = pki.Open(pki.Config{Dir: in.cfg.Data, Names: in.aliases.Certified(), Cert: in.cfg.TLS.Cert, Key: in.cfg.TLS.Key})
	if err != nil {
		return err
	}
	if missing := in.authority.Missing(in.hosts.Certified()); len(missing) > 0 {
		in.log.Warn("the certificate does not hold every name of the hub; clients that dial the others will refuse it",
			slog.Any("names", missing))
	}
	return nil
}

// openStore opens the engine and the services that live in it.
func (in *installation) openStore(ctx context.Context, _ *console) (err error) {
	in.engine, err = pebble.Open(pebble.Options{Dir: filepath.Join(in.cfg.Data, "store"), Log: in.log})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	in.opened(in.engine.Close)
	partitions, err := fixedPartitions(ctx, in.engine.Records(), in.cfg.Telemetry.Partitions)
	if err != nil {
		return err
	}
	if partitions != in.cfg.Telemetry.Partitions {
		in.log.Warn("the number of partitions is fixed when the data folder is made; keeping it",
			slog.Int("partitions", partitions), slog.Int("configured", in.cfg.Telemetry.Partitions))
		in.cfg.Telemetry.Partitions = partitions
	}
	in.reslog, err = reslog.Open(reslog.Config{
		Dir: filepath.Join(in.cfg.Data, "logs"), HubName: in.hosts.Hub(),
		MaxSizeMB:  int(in.cfg.ResourceLog.MaxSize / 1_000_000),
		MaxBackups: in.cfg.ResourceLog.MaxBackups, MaxAgeDays: int(in.cfg.ResourceLog.MaxAge.Std() / (24 * time.Hour)),
		Stdout: in.resourceLogCopy(), Logger: in.log,
	})
	if err != nil {
		return err
	}
	in.opened(func() error { return in.reslog.Close(context.Background()) }) //nolint:contextcheck // what was taken in is flushed though the start was interrupted
	return nil
}

// openServices makes what serves devices and back-ends.
func (in *installation) openServices(ctx context.Context, _ *console) (err error) {
	metrics, err := hub.NewMetrics(in.metrics)
	if err != nil {
		return err
	}
	if err := in.registerProcess(); err != nil {
		return err
	}
	in.telemetry, err = telemetry.Open(telemetry.Config{
		Log: in.engine.Log(), Partitions: in.cfg.Telemetry.Partitions,
		RetentionAge: in.cfg.Telemetry.RetentionAge.Std(), RetentionBytes: int64(in.cfg.Telemetry.RetentionBytes),
		Logger: in.log, Hooks: telemetry.Hooks{Committed: metrics.Committed},
	})
	if err != nil {
		return err
	}
	in.opened(in.telemetry.Close)
	if in.groups, err = telemetry.OpenGroups(ctx, in.engine.Records(), time.Now); err != nil {
		return err
	}
	if err := in.openDiagnosis(); err != nil { //nolint:contextcheck // what is known of conflicts is stored though the start was interrupted
		return err
	}
	if err := in.openQueues(); err != nil { //nolint:contextcheck // what devices settled is stored though the start was interrupted
		return err
	}
	in.presence, err = presence.New(presence.Config{
		Claims: in.engine.Claims(), Records: in.engine.Records(), Sink: in.sinks(metrics),
		Logger: in.log, Grace: in.cfg.SAS.ExpiryGrace.Std(),
	})
	if err != nil {
		return err
	}
	in.opened(func() error { return in.presence.Close(context.Background()) }) //nolint:contextcheck // as above
	in.registry, err = registry.New(registry.Config{                           //nolint:contextcheck // reading the CA list is part of starting
		Records: in.engine.Records(), HubName: in.hosts.Hub(), Hosts: in.aliases.Has, Policies: in.policies,
		Presence: in.presence, Kept: presence.Kept, Messages: in.queues, Skew: nonZero(in.cfg.SAS.ClockSkew.Std()), Logger: in.log,
	})
	if err != nil {
		return err
	}
	return in.openCore(metrics)
}

// openCore makes the hub of the services.
func (in *installation) openCore(metrics *hub.Metrics) (err error) {
	cfg := hub.Config{
		Keys: in.registry, Presence: in.presence, Telemetry: in.telemetry, Queues: in.queues,
		Refusals: in.reslog, Metrics: metrics, Logger: in.log,
	}
	if in.diagnosis != nil {
		cfg.Refusals, cfg.Afterlives = refusals{in.reslog, in.diagnosis}, in.diagnosis
	}
	if in.hub, err = hub.New(cfg); err != nil {
		return err
	}
	in.registry.Watch(in.hub.Changed)
	in.registry.WatchCAs(in.hub.AuthorityRemoved)
	if in.diagnosis != nil {
		in.registry.Watch(in.forget) // after the hub has ended its sessions
	}
	in.opened(func() error { in.hub.Close(); return nil })
	return nil
}

// sinks are all that are told of connections.
func (in *installation) sinks(metrics *hub.Metrics) hub.Sinks {
	sinks := hub.Sinks{metrics, in.reslog}
	if in.diagnosis != nil {
		sinks = append(sinks, in.diagnosis)
	}
	return sinks
}

// nonZero keeps a configured "none at all" from being taken for "the default".
func nonZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// resourceLogCopy is where a second copy of the resource log goes, if anywhere.
func (in *installation) resourceLogCopy() io.Writer {
	if in.cfg.ResourceLog.Stdout {
		return stdout()
	}
	return nil
}

// registerProcess adds the runtime's and the hub's own standing metrics.
func (in *installation) registerProcess() error {
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "berth", Name: "connections",
			Help: "Connections held now, authenticated or not.",
		}, func() float64 { return float64(in.lot.Len()) }),
	} {
		if err := in.metrics.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}
