package bench

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ownPID is the process of the load generator.
func ownPID() int { return os.Getpid() }

// Connect measures connects. With a Duration it churns: every worker connects one
// device after the other and says goodbye at once. Without, it connects every
// device, holds them all idle for Hold, and asks each for a sign of life.
type Connect struct {
	Devices   int
	Workers   int           // handshakes at once
	Duration  time.Duration // churn for so long; 0: connect all and hold
	Hold      time.Duration // idle time before memory is read
	Subscribe bool          // every device takes one subscription; it is not part of the measured connect
}

func (c Connect) check() error {
	return errors.Join(
		check("devices", c.Devices, 1, MaxDevices),
		check("workers", c.Workers, 1, MaxWorkers),
		checkDuration("duration", c.Duration),
		checkDuration("hold", c.Hold),
		func() error {
			if c.Hold > maxHold {
				return errors.New("hold is longer than the keep-alive of the connections allows: at most " + maxHold.String())
			}
			return nil
		}(),
	)
}

// Run connects and reports; an error means that no run took place.
func (c Connect) Run(ctx context.Context, t *Target) (*Report, error) {
	if err := errors.Join(c.check(), t.check(), t.only(MQTT)); err != nil {
		return nil, err
	}
	both, err := watchBoth(t.PID)
	if err != nil {
		return nil, err
	}
	run := &connector{plan: c, target: t}
	started := time.Now()
	if err := both.open(); err != nil {
		return nil, err
	}
	if c.Duration > 0 {
		run.churn(ctx)
	} else {
		run.all(ctx)
	}
	length := time.Since(started)
	defer run.closeAll()
	if err := errors.Join(both.close(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	r := &Report{
		Run: "connect", Target: t.Address, TLS: t.TLS != nil, Cipher: t.settled(), Started: started.UTC(), Seconds: length.Seconds(),
		Devices: c.Devices, Done: run.done.Load(), Latency: run.meter.summary(),
	}
	if c.Duration == 0 {
		if err := run.hold(ctx, r, both); err != nil {
			return nil, err
		}
	}
	r.finish(length, both, &run.failed)
	return r, nil
}

// connector is the state that the workers of one run share.
type connector struct {
	// fixed

	plan   Connect
	target *Target
	with   hearing
	first  int // number of the first device

	// shared

	next   atomic.Int64
	done   atomic.Uint64
	meter  meter
	failed failures

	// owned by the worker that took the index, then by Run

	held []*conn
}

// workers runs fn on n goroutines and waits for them.
func workers(n int, fn func(worker int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

// one connects device n and measures it.
func (run *connector) one(ctx context.Context, n int) *conn {
	from := time.Now()
	c, err := run.target.connect(ctx, run.first+n, run.with)
	if err != nil {
		if ctx.Err() == nil {
			run.failed.add(err)
		}
		return nil
	}
	run.meter.of(n).record(time.Since(from))
	run.done.Add(1)
	if run.plan.Subscribe {
		if err := c.subscribe(); err != nil {
			run.failed.add(errors.Join(err, c.Close()))
			return nil
		}
	}
	return c
}

// all connects every device once.
func (run *connector) all(ctx context.Context) {
	run.held = make([]*conn, run.plan.Devices)
	workers(min(run.plan.Workers, run.plan.Devices), func(int) {
		for ctx.Err() == nil {
			n := int(run.next.Add(1)) - 1
			if n >= run.plan.Devices {
				return
			}
			run.held[n] = run.one(ctx, n)
		}
	})
}

// churn connects and leaves until the time is over. Workers have devices of their
// own, so that none displaces another's.
func (run *connector) churn(ctx context.Context) {
	timed, cancel := context.WithTimeout(ctx, run.plan.Duration)
	defer cancel()
	size := min(run.plan.Workers, run.plan.Devices)
	workers(size, func(worker int) {
		for n := worker; timed.Err() == nil; n += size { // what has begun is finished
			if n >= run.plan.Devices {
				n = worker
			}
			if c := run.one(ctx, n); c != nil {
				if err := c.leave(); err != nil {
					run.failed.add(err)
				}
			}
		}
	})
}

// hold leaves the connections idle, reads what the server's memory has grown by,
// and then pings every one.
func (run *connector) hold(ctx context.Context, r *Report, both *pair) error {
	if err := wait(ctx, nil, nil, run.plan.Hold); err != nil {
		return err
	}
	if err := both.remember(); err != nil {
		return err
	}
	var alive atomic.Int64
	run.next.Store(0)
	workers(min(run.plan.Workers, run.plan.Devices), func(int) {
		for ctx.Err() == nil {
			n := int(run.next.Add(1)) - 1
			if n >= run.plan.Devices {
				return
			}
			if c := run.held[n]; c != nil {
				if err := c.ping(); err != nil {
					run.failed.add(err)
					continue
				}
				alive.Add(1)
			}
		}
	})
	count := int(alive.Load())
	r.Alive = &count
	return nil
}

// closeAll says goodbye on what is still held.
func (run *connector) closeAll() {
	for n, c := range run.held {
		if c != nil {
			_ = c.leave() // the peer may be gone: nothing is lost by that
			run.held[n] = nil
		}
	}
}

// connectAll connects every device from number first on, or none.
func connectAll(ctx context.Context, t *Target, first, devices, size int, with hearing) ([]*conn, error) {
	run := &connector{plan: Connect{Devices: devices, Workers: size}, target: t, with: with, first: first}
	run.all(ctx)
	if run.failed.count > 0 || ctx.Err() != nil {
		run.closeAll()
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		return nil, errors.New(run.failed.reasons[0])
	}
	return run.held, nil
}
