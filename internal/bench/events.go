package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Events measures how fast stored messages are read through the Event Hubs-compatible
// endpoint: every consumer group reads the same messages at once.
type Events struct {
	Groups  Groups
	Since   time.Time // when the first message may have been stored
	Events  uint64    // that every group is to see
	Devices int       // that sent them, for the report
}

// Run reads and reports. A reader that fails is counted.
func (e Events) Run(ctx context.Context, t *Target) (*Report, error) {
	if err := errors.Join(e.Groups.check(), t.checkAddress(), t.only(AMQP), t.serviced()); err != nil {
		return nil, err
	}
	both, err := watchBoth(t.PID)
	if err != nil {
		return nil, err
	}
	readers, err := t.readers(ctx, e.Groups, since(e.Since))
	if err != nil {
		return nil, err
	}
	defer leaveAll(readers)
	var (
		want    atomic.Uint64
		measure atomic.Bool // stays false: how old a stored message is says nothing
		done    atomic.Uint64
		spent   meter
		failed  failures
	)
	want.Store(e.Events)
	started := time.Now()
	if err := both.open(); err != nil {
		return nil, err
	}
	workers(len(readers), func(n int) {
		if err := readers[n].until(ctx, &want, nil, &measure); err != nil {
			failed.add(err)
		}
		spent.of(n).record(time.Since(started))
		done.Add(readers[n].seen)
	})
	length := time.Since(started)
	if err := errors.Join(both.close(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	r := &Report{
		Run: "events", Target: t.Address, Protocol: AMQP.String(), TLS: t.TLS != nil, Cipher: t.settled(), Started: started.UTC(), Seconds: length.Seconds(),
		Devices: e.Devices, Readers: len(readers), Done: done.Load(), Latency: spent.summary(),
	}
	r.finish(length, both, &failed)
	return r, nil
}

// Beside measures reading while devices send: every consumer group follows the messages
// from before the first one until all that was acknowledged has come. Without a rate the
// devices send alone first, so that what readers cost them can be told.
type Beside struct {
	Groups Groups
	Load   Publish
}

// Following is what readers beside devices had.
type Following struct {
	Groups     int     `json:"groups"`
	Delivered  uint64  `json:"delivered"` // to all groups
	PerSecond  float64 `json:"deliveredPerSecond"`
	Lag        Latency `json:"lag"`        // enqueued to read, of one event in each read and partition
	LagSeconds float64 `json:"lagSeconds"` // the largest
	Alone      float64 `json:"alonePerSecond,omitempty"`
	Ratio      float64 `json:"ratio,omitempty"` // messages acknowledged beside readers, over those without
}

func (f *Following) rows(row func(name, format string, args ...any)) {
	row("read meanwhile", "%d by %d groups, %.0f/s", f.Delivered, f.Groups, f.PerSecond)
	row("enqueued to read", "%s", f.Lag)
	row("largest lag", "%.3f s", f.LagSeconds)
	if f.Alone > 0 {
		row("without readers", "%.0f/s, of which %.2f × beside them", f.Alone, f.Ratio)
	}
}

// Run sends to devices and reads from hub, and reports: the load as a publish run does, and
// the Following beside it.
func (b Beside) Run(ctx context.Context, devices, hub *Target) (*Report, error) {
	if err := errors.Join(b.Groups.check(), hub.checkAddress(), hub.only(AMQP), hub.serviced()); err != nil {
		return nil, err
	}
	var alone *Report
	if b.Load.Rate == 0 {
		var err error
		if alone, err = b.Load.Run(ctx, devices); err != nil {
			return nil, fmt.Errorf("without readers: %w", err)
		}
	}
	readers, err := hub.readers(ctx, b.Groups, fromLatest)
	if err != nil {
		return nil, err
	}
	defer leaveAll(readers)
	report, err := b.follow(ctx, devices, readers)
	if err != nil {
		return nil, err
	}
	report.Run = "beside"
	if alone != nil {
		f := report.Following
		f.Alone = alone.PerSecond
		if f.Alone > 0 {
			f.Ratio = round(report.PerSecond/f.Alone, 100)
		}
		report.Failed += alone.Failed
		report.Failures = append(report.Failures, alone.Failures...)
	}
	return report, nil
}

// follow runs the load beside the readers.
func (b Beside) follow(ctx context.Context, devices *Target, readers []*eventReader) (*Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg      sync.WaitGroup
		want    atomic.Uint64 // what every group is to see
		measure atomic.Bool
		total   atomic.Uint64
		lag     meter
		failed  failures
	)
	want.Store(unknown)
	begun := time.Now()
	for n, r := range readers {
		wg.Go(func() {
			if err := r.until(ctx, &want, lag.of(n), &measure); err != nil && ctx.Err() == nil {
				failed.add(err)
			}
		})
	}
	report, err := b.Load.until(ctx, devices, cue{total: &total, open: func() { measure.Store(true) }})
	if err != nil {
		cancel()
		wg.Wait()
		return nil, err
	}
	want.Store(total.Load())
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	f := &Following{Groups: len(readers), Lag: lag.summary()}
	for _, r := range readers {
		f.Delivered += r.seen
	}
	f.PerSecond = round(float64(f.Delivered)/time.Since(begun).Seconds(), 10)
	f.LagSeconds = round(f.Lag.Max/1e6, 1000)
	report.Following = f
	report.Failed += failed.count
	report.Failures = append(report.Failures, failed.reasons...)
	return report, nil
}
