package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Register measures the creation of identities through Create, which is handed
// ranges of at most Batch devices.
type Register struct {
	Target  string // for the report
	Devices int
	Modules int // of each device, made with it
	Batch   int // devices in one request
	Workers int // requests at once
	PID     int // the server's process; 0: do not measure its use
	Create  func(ctx context.Context, first, count int) error
}

func (g Register) check() error {
	if g.Create == nil {
		return errors.New("a register run needs a way to create")
	}
	return errors.Join(
		check("devices", g.Devices, 1, MaxDevices),
		check("modules", g.Modules, 0, maxModules),
		check("batch", g.Batch, 1, 1000),
		check("workers", g.Workers, 1, MaxWorkers),
	)
}

// Run creates every device and reports. A request that is refused is counted, with
// its reason, and the run goes on.
func (g Register) Run(ctx context.Context) (*Report, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	both, err := watchBoth(g.PID)
	if err != nil {
		return nil, err
	}
	var (
		next   atomic.Int64
		done   atomic.Uint64
		spent  meter
		failed failures
	)
	started := time.Now()
	if err := both.open(); err != nil {
		return nil, err
	}
	workers(min(g.Workers, g.Devices), func(worker int) {
		for ctx.Err() == nil {
			first := int(next.Add(int64(g.Batch))) - g.Batch
			if first >= g.Devices {
				return
			}
			count := min(g.Batch, g.Devices-first)
			from := time.Now()
			if err := g.Create(ctx, first, count); err != nil {
				failed.add(err)
				continue
			}
			spent.of(worker).record(time.Since(from))
			done.Add(uint64(count * (1 + g.Modules)))
		}
	})
	length := time.Since(started)
	if err := errors.Join(both.close(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	r := &Report{
		Run: "register", Target: g.Target, TLS: true, Started: started.UTC(), Seconds: length.Seconds(),
		Devices: g.Devices, Done: done.Load(), Latency: spent.summary(),
	}
	r.finish(length, both, &failed)
	return r, nil
}
