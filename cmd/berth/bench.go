package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/bench"
	"github.com/berth-iot/berth/internal/iot"
)

// benchCmd is "berth bench".
type benchCmd struct {
	Register  benchRegisterCmd  `cmd:"" help:"How fast identities are registered."`
	Handshake benchHandshakeCmd `cmd:"" help:"How fast a bare TLS server shakes hands: the bound of connects."`
	Connect   benchConnectCmd   `cmd:"" help:"How fast devices connect, and what an idle one costs."`
	Publish   benchPublishCmd   `cmd:"" help:"How many messages are acknowledged, and how soon: QoS 1, or over AMQP."`
	C2D       benchC2DCmd       `cmd:"" name:"c2d" help:"How soon a message that a back-end sends over AMQP is with the device."`
	Fairness  benchFairnessCmd  `cmd:"" help:"What one flooding device costs the others."`
	Read      benchReadCmd      `cmd:"" help:"How fast stored messages are read as a stream."`
	Events    benchEventsCmd    `cmd:"" help:"How fast messages are read through the Event Hubs-compatible endpoint, and how far behind."`
	Multiplex benchMultiplexCmd `cmd:"" help:"What devices cost that share one AMQP connection."`
	Takeover  benchTakeoverCmd  `cmd:"" help:"How soon a displaced connection is closed."`
	Restart   benchRestartCmd   `cmd:"" help:"How soon a hub that was killed accepts a device again."`
}

// benchRegisterCmd is "berth bench register".
type benchRegisterCmd struct {
	hubFlags
	jsonFlag
	fleetFlags

	Batch   int `default:"100" help:"Identities in one request, 1 to 100; a device and its modules come in one."`
	Modules int `default:"0" help:"Modules of each device, 0 to 50."`
}

// Run measures registration.
func (c *benchRegisterCmd) Run(ctx context.Context, con *console) error {
	if c.Batch < 1 || c.Batch > iot.MaxBulk {
		return usageError(fmt.Sprintf("--batch must be 1 to %d", iot.MaxBulk))
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	fleet := &fleet{fleetFlags: c.fleetFlags, hub: hub, modules: c.Modules}
	report, err := bench.Register{
		Target: hub.Address(), Devices: c.Devices, Modules: c.Modules, Batch: max(1, c.Batch/(1+c.Modules)), Workers: c.workers(manyWorkers), PID: c.PID, Create: fleet.create,
	}.Run(ctx)
	return con.report(report, c.JSON, err, fleet.dismiss(ctx))
}

// benchConnectCmd is "berth bench connect".
type benchConnectCmd struct {
	loadFlags

	Duration  time.Duration `default:"0s" help:"Connect and say goodbye for so long; 0s: connect every device once and hold it."`
	Hold      time.Duration `default:"5s" help:"How long connections are held idle before memory is read."`
	Subscribe bool          `help:"Every device subscribes once: at a hub to its messages, at another server to its topic."`
}

// Run measures connects.
func (c *benchConnectCmd) Run(ctx context.Context, con *console) error {
	return c.measure(ctx, con, bench.Connect{
		Devices: c.Devices, Workers: c.workers(manyWorkers), Duration: c.Duration, Hold: c.Hold, Subscribe: c.Subscribe,
	}.Run)
}

// benchHandshakeCmd is "berth bench handshake".
type benchHandshakeCmd struct {
	loadFlags

	Duration time.Duration `default:"10s" help:"The measured window."`
}

// Run measures handshakes; a hub closes no connection after one, so it needs a target.
func (c *benchHandshakeCmd) Run(ctx context.Context, con *console) error {
	if c.Target == "" || c.Plain {
		return usageError("bench handshake needs --target, a TLS server that closes after the handshake")
	}
	return c.measure(ctx, con, bench.Handshake{Workers: c.workers(manyWorkers), Duration: c.Duration}.Run)
}

// benchPublishCmd is "berth bench publish".
type benchPublishCmd struct {
	loadFlags

	AMQP     bool          `name:"amqp" help:"Over AMQP 1.0 instead of MQTT: each device with a connection, a session and a link of its own."`
	Inflight int           `default:"16" help:"Messages unacknowledged on each connection."`
	Size     int           `default:"256" help:"Bytes of body."`
	Warmup   time.Duration `default:"2s" help:"Load before the measured window."`
	Duration time.Duration `default:"10s" help:"The measured window; 0s: until --messages are sent."`
	Messages uint64        `placeholder:"N" help:"The most each device sends."`
	Rate     float64       `placeholder:"N" help:"Messages a second, all devices together, in bursts of --inflight; latencies then count from when a message was due."`
}

// Run measures publishing.
func (c *benchPublishCmd) Run(ctx context.Context, con *console) error {
	open := c.open
	if c.AMQP {
		open = c.openAMQP
	}
	return c.measureAt(ctx, con, open, bench.Publish{
		Devices: c.Devices, Rate: c.Rate, Inflight: c.Inflight, Size: c.Size, Warmup: c.Warmup, Duration: c.Duration, Messages: c.Messages, Workers: c.workers(manyWorkers),
	}.Run)
}

// benchTakeoverCmd is "berth bench takeover".
type benchTakeoverCmd struct {
	loadFlags

	Rounds   uint64        `placeholder:"N" help:"Takeovers in all."`
	Duration time.Duration `default:"10s" help:"The measured window; 0s: until --rounds are done."`
	Rate     float64       `placeholder:"N" help:"Takeovers a second, all devices together."`
}

// Run measures takeovers.
func (c *benchTakeoverCmd) Run(ctx context.Context, con *console) error {
	return c.measure(ctx, con, bench.Takeover{
		Devices: c.Devices, Workers: c.workers(fewWorkers), Rounds: c.Rounds, Duration: c.Duration, Rate: c.Rate,
	}.Run)
}

// benchFairnessCmd is "berth bench fairness".
type benchFairnessCmd struct {
	loadFlags

	Inflight int           `default:"16" help:"Messages unacknowledged on each connection, or sent at once when paced."`
	Size     int           `default:"256" help:"Bytes of body."`
	Warmup   time.Duration `default:"2s" help:"Load before each measured window."`
	Duration time.Duration `default:"10s" help:"Each of three windows: full speed, half of it, the same beside a flood."`
}

// Run measures fairness; the flooding device comes on top of the others.
func (c *benchFairnessCmd) Run(ctx context.Context, con *console) error {
	plan := bench.Fair{
		Devices: c.Devices, Inflight: c.Inflight, Size: c.Size, Warmup: c.Warmup, Duration: c.Duration, Workers: c.workers(manyWorkers),
	}
	c.Devices++
	return c.measure(ctx, con, plan.Run)
}

// measure prepares the load over MQTT, runs it, shows the report and cleans up.
func (c *loadFlags) measure(ctx context.Context, con *console, run func(context.Context, *bench.Target) (*bench.Report, error)) error {
	return c.measureAt(ctx, con, c.open, run)
}

// measureAt is measure at what open gives.
func (c *loadFlags) measureAt(
	ctx context.Context, con *console, open func() (*bench.Target, *fleet, error), run func(context.Context, *bench.Target) (*bench.Report, error),
) error {
	target, fleet, err := open()
	if err != nil {
		return err
	}
	if err := fleet.enlist(ctx); err != nil {
		return errors.Join(err, fleet.dismiss(ctx))
	}
	report, err := run(ctx, target)
	return con.report(report, c.JSON, err, fleet.dismiss(ctx))
}

// report shows what was measured. A run with failures is shown and is an error.
func (c *console) report(r *bench.Report, asJSON bool, errs ...error) error {
	err := errors.Join(errs...)
	if r == nil {
		return err
	}
	if asJSON {
		err = errors.Join(err, c.json(r))
	} else {
		err = errors.Join(err, r.Print(c.out))
	}
	if r.Failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d operations failed", r.Failed))
	}
	if r.LeftOpen != nil && *r.LeftOpen > 0 {
		err = errors.Join(err, fmt.Errorf("%d displaced connections were left open", *r.LeftOpen))
	}
	return err
}
