package main

import (
	"context"
	"time"

	"github.com/berth-iot/berth/internal/bench"
)

// benchC2DCmd is "berth bench c2d".
type benchC2DCmd struct {
	loadFlags

	Size     int           `default:"256" help:"Bytes of body, at least 16."`
	Duration time.Duration `default:"10s" help:"The measured window; 0s: until --messages are sent."`
	Messages uint64        `placeholder:"N" help:"The most in all."`
	Rate     float64       `placeholder:"N" help:"Messages a second, all devices together."`
}

// Run measures cloud-to-device messages: each of --workers back-ends has one on its way.
func (c *benchC2DCmd) Run(ctx context.Context, con *console) error {
	return c.measureAt(ctx, con, c.openAMQP, bench.Devicebound{
		Devices: c.Devices, Size: c.Size, Workers: c.workers(1), Rate: c.Rate, Duration: c.Duration, Messages: c.Messages,
	}.Run)
}
