package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Read measures how fast stored messages are read: Readers read the same Events messages
// at once, each all of them, through Stream.
type Read struct {
	Target  string // for the report
	Readers int
	Devices int    // that sent the messages, for the report
	Events  uint64 // that every reader is to see, or more
	PID     int    // the server's process; 0: do not measure its use
	// Stream reads to the end of what is stored and calls each for every event.
	Stream func(ctx context.Context, each func()) error
}

func (d Read) check() error {
	if d.Stream == nil {
		return errors.New("a read run needs a way to read")
	}
	return check("readers", d.Readers, 1, MaxReaders)
}

// Run reads and reports. A reader that fails, or sees too little, is counted.
func (d Read) Run(ctx context.Context) (*Report, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	both, err := watchBoth(d.PID)
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
	workers(d.Readers, func(reader int) {
		from, seen := time.Now(), uint64(0)
		err := d.Stream(ctx, func() { seen++ })
		if err == nil && seen < d.Events {
			err = fmt.Errorf("a stream ended after %d of %d events", seen, d.Events)
		}
		if err != nil && ctx.Err() == nil {
			failed.add(err)
		}
		spent.of(reader).record(time.Since(from))
		done.Add(seen)
	})
	length := time.Since(started)
	if err := errors.Join(both.close(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	r := &Report{
		Run: "read", Target: d.Target, TLS: true, Started: started.UTC(), Seconds: length.Seconds(),
		Devices: d.Devices, Readers: d.Readers, Done: done.Load(), Latency: spent.summary(),
	}
	r.finish(length, both, &failed)
	return r, nil
}
