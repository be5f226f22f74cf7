package bench

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// Handshake measures a server that does nothing but TLS handshakes and then closes, as
// the bound of what a connect can cost: every worker dials, shakes hands and waits for
// the server's close, again and again.
type Handshake struct {
	Workers  int
	Duration time.Duration
}

func (h Handshake) check() error {
	if h.Duration <= 0 {
		return errors.New("a handshake run needs a duration")
	}
	return errors.Join(check("workers", h.Workers, 1, MaxWorkers), checkDuration("duration", h.Duration))
}

// Run shakes hands and reports.
func (h Handshake) Run(ctx context.Context, t *Target) (*Report, error) {
	if err := errors.Join(h.check(), t.checkAddress()); err != nil {
		return nil, err
	}
	if t.TLS == nil {
		return nil, errors.New("a handshake run needs TLS")
	}
	both, err := watchBoth(t.PID)
	if err != nil {
		return nil, err
	}
	var (
		done   atomic.Uint64
		spent  meter
		failed failures
	)
	started := time.Now()
	if err := both.open(); err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, h.Duration)
	defer cancel()
	workers(h.Workers, func(worker int) {
		for timed.Err() == nil { // what has begun is finished
			from := time.Now()
			if err := t.shake(ctx, worker); err != nil {
				if ctx.Err() == nil {
					failed.add(err)
				}
				return
			}
			spent.of(worker).record(time.Since(from))
			done.Add(1)
		}
	})
	length := time.Since(started)
	if err := errors.Join(both.close(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	r := &Report{
		Run: "handshake", Target: t.Address, TLS: true, Cipher: t.settled(), Started: started.UTC(), Seconds: length.Seconds(),
		Done: done.Load(), Latency: spent.summary(),
	}
	r.finish(length, both, &failed)
	return r, nil
}

// shake does one handshake and waits for the server to close.
func (t *Target) shake(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	c, err := t.dial(ctx, n, unstamped)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // the server has closed already
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	var buf [64]byte
	if _, err := c.Read(buf[:]); !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("the server did not close after the handshake"), err)
	}
	return nil
}
