package bench

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Takeover measures how long a displaced connection stays open: every worker
// connects a device that is already connected, again and again, and waits for the
// older connection to be closed.
type Takeover struct {
	Devices  int
	Workers  int
	Rounds   uint64        // takeovers in all; 0: no bound but time
	Duration time.Duration // 0: until Rounds are done
	Rate     float64       // takeovers a second, all workers together; 0: as fast as it goes
	Patience time.Duration // after which an old connection counts as left open; 0: 5 s
}

func (t Takeover) check() error {
	if t.Duration == 0 && t.Rounds == 0 {
		return errors.New("a takeover run needs a duration or a number of rounds")
	}
	return errors.Join(
		check("devices", t.Devices, 1, MaxDevices),
		check("workers", t.Workers, 1, MaxWorkers),
		checkDuration("duration", t.Duration),
		checkDuration("patience", t.Patience),
		checkRate(t.Rate),
	)
}

// Run connects every device once, then displaces, and reports.
func (t Takeover) Run(ctx context.Context, target *Target) (*Report, error) {
	if err := errors.Join(t.check(), target.check(), target.only(MQTT)); err != nil {
		return nil, err
	}
	t.Patience = cmp.Or(t.Patience, closeWait)
	both, err := watchBoth(target.PID)
	if err != nil {
		return nil, err
	}
	conns, err := connectAll(ctx, target, 0, t.Devices, min(t.Workers, t.Devices), stamped)
	if err != nil {
		return nil, err
	}
	run := &displacer{plan: t, target: target, holders: make([]*holder, len(conns))}
	for n, c := range conns {
		run.holders[n] = hold(c)
	}
	started := time.Now()
	if err := both.open(); err != nil {
		run.closeAll()
		return nil, err
	}
	run.all(ctx)
	length := time.Since(started)
	err = errors.Join(both.close(), context.Cause(ctx))
	run.closeAll()
	if err != nil {
		return nil, err
	}
	connects, left := run.connect.summary(), run.left.Load()
	r := &Report{
		Run: "takeover", Target: target.Address, TLS: target.TLS != nil, Cipher: target.settled(), Started: started.UTC(), Seconds: length.Seconds(),
		Devices: t.Devices, Rate: t.Rate, Done: run.done.Load(), Latency: run.closed.summary(), Connect: &connects, LeftOpen: &left,
	}
	if kernel := run.kernel.summary(); kernel.Count > 0 {
		r.Kernel = &kernel
	}
	r.finish(length, both, &run.failed)
	return r, nil
}

// displacer is the state that the workers of one run share.
type displacer struct {
	// fixed

	plan   Takeover
	target *Target

	// owned by the worker whose turn the device is

	holders []*holder

	// shared

	begun   atomic.Uint64
	done    atomic.Uint64
	left    atomic.Uint64
	closed  meter // old closed after the new CONNACK
	kernel  meter // the same by the kernel's stamps
	connect meter
	failed  failures
}

// all displaces until the time or the rounds are over.
func (run *displacer) all(ctx context.Context) {
	timed := ctx
	if run.plan.Duration > 0 {
		var cancel context.CancelFunc
		timed, cancel = context.WithTimeout(ctx, run.plan.Duration)
		defer cancel()
	}
	size := min(run.plan.Workers, run.plan.Devices)
	workers(size, func(worker int) {
		pace := newPace(run.plan.Rate, worker, size)
		for n := worker; pace.wait(timed) == nil; n += size { // what has begun is finished
			if n >= run.plan.Devices {
				n = worker
			}
			if run.plan.Rounds > 0 && run.begun.Add(1) > run.plan.Rounds {
				return
			}
			run.displace(ctx, n)
		}
	})
}

// displace connects device n anew and waits until the connection it had is closed.
func (run *displacer) displace(ctx context.Context, n int) {
	from := time.Now()
	c, err := run.target.connect(ctx, n, stamped)
	now := time.Now()
	if err != nil {
		if ctx.Err() == nil {
			run.failed.add(err)
		}
		return
	}
	answered, stamps := c.arrived()
	old := run.holders[n]
	run.holders[n] = hold(c)
	run.connect.of(n).record(now.Sub(from))
	timer := time.NewTimer(run.plan.Patience)
	defer timer.Stop()
	select {
	case at := <-old.ended:
		run.closed.of(n).record(max(0, at.Sub(now)))
		if shut, ok := old.conn.arrived(); ok && stamps {
			run.kernel.of(n).record(max(0, shut.Sub(answered)))
		}
	case <-timer.C:
		run.left.Add(1)
		_ = old.conn.Close()
		<-old.ended
	}
	run.done.Add(1)
}

func (run *displacer) closeAll() {
	for _, h := range run.holders {
		_ = h.conn.leave() // the peer may be gone: nothing is lost by that
		<-h.ended
	}
}

// holder is a connection that waits to be displaced. One goroutine reads it until
// it ends; whoever receives from ended has waited for that goroutine.
type holder struct {
	conn  *conn
	ended chan time.Time // one value: when the server closed it
}

func hold(c *conn) *holder {
	h := &holder{conn: c, ended: make(chan time.Time, 1)}
	if c.heard != nil {
		c.heard.at.Store(0) // from now on a stamp is that of the server's last words
	}
	go func() {
		defer close(h.ended)
		var buf [64]byte
		for {
			if _, err := c.Read(buf[:]); err != nil {
				h.ended <- time.Now()
				_ = c.Close()
				return
			}
		}
	}()
	return h
}
