package main

import (
	"context"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/bench"
	"github.com/berth-iot/berth/internal/client"
)

// fillInflight is how many messages each device has in flight while it sends what is
// then read.
const fillInflight = 64

// benchReadCmd is "berth bench read".
type benchReadCmd struct {
	loadFlags

	Messages uint64 `default:"1000" help:"Messages that each device sends first, to be read."`
	Size     int    `default:"256" help:"Bytes of body."`
	Readers  int    `default:"1" help:"Streams at once, each of all messages."`
}

// Run measures reading: the devices send, then every reader reads all of it.
func (c *benchReadCmd) Run(ctx context.Context, con *console) error {
	if c.Target != "" {
		return usageError("bench read needs a hub: another server has no stream of events")
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	return c.measure(ctx, con, func(ctx context.Context, t *bench.Target) (*bench.Report, error) {
		begun := time.Now()
		if err := c.fill(ctx, t, c.Size, c.Messages); err != nil {
			return nil, err
		}
		query := client.EventQuery{FromTime: begun, NoFollow: true}
		return bench.Read{
			Target: hub.Address(), Readers: c.Readers, Devices: c.Devices, Events: uint64(c.Devices) * c.Messages, PID: c.PID,
			Stream: func(ctx context.Context, each func()) error {
				return hub.Events(ctx, query, func([]byte) error { each(); return nil })
			},
		}.Run(ctx)
	})
}

// fill has every device send so many messages.
func (c *loadFlags) fill(ctx context.Context, t *bench.Target, size int, messages uint64) error {
	filled, err := bench.Publish{
		Devices: c.Devices, Inflight: fillInflight, Size: size, Messages: messages, Workers: c.workers(manyWorkers),
	}.Run(ctx, t)
	if err == nil && filled.Failed > 0 {
		err = fmt.Errorf("%d devices could not send what is to be read: %s", filled.Failed, filled.Failures[0])
	}
	return err
}
