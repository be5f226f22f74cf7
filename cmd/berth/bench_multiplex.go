package main

import (
	"context"
	"time"

	"github.com/berth-iot/berth/internal/bench"
)

// benchMultiplexCmd is "berth bench multiplex".
type benchMultiplexCmd struct {
	loadFlags

	Hold time.Duration `default:"5s" help:"How long the connection is held idle before memory is read."`
}

// Run measures devices on one connection, at most 999.
func (c *benchMultiplexCmd) Run(ctx context.Context, con *console) error {
	return c.measureAt(ctx, con, c.openAMQP, bench.Multiplex{Devices: c.Devices, Hold: c.Hold}.Run)
}
