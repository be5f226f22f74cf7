package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/berth-iot/berth/internal/bench"
	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/iot"
)

// benchEventsCmd is "berth bench events".
type benchEventsCmd struct {
	loadFlags

	Groups   int           `default:"1" help:"Consumer groups that read, each all messages on a connection of its own; those beyond $$Default are made for the run."`
	Size     int           `default:"256" help:"Bytes of body."`
	Messages uint64        `default:"1000" help:"Messages that each device sends first over MQTT, to be read."`
	Beside   bool          `help:"Read while the devices send, instead of behind them."`
	Rate     float64       `placeholder:"N" help:"With --beside: messages a second, all devices together; else they send as fast as they can, first without readers."`
	Inflight int           `default:"16" help:"With --beside: messages unacknowledged on each connection, or sent at once when paced."`
	Warmup   time.Duration `default:"2s" help:"With --beside: load before each measured window."`
	Duration time.Duration `default:"10s" help:"With --beside: each measured window."`
}

// Run measures reading through the Event Hubs-compatible endpoint.
func (c *benchEventsCmd) Run(ctx context.Context, con *console) error {
	if c.Groups < 1 || c.Groups > iot.MaxConsumerGroups {
		return usageError(fmt.Sprintf("--groups must be 1 to %d", iot.MaxConsumerGroups))
	}
	target, fleet, err := c.openAMQP()
	if err != nil {
		return err
	}
	groups, err := c.groups(ctx, fleet.hub)
	if err == nil {
		err = c.measure(ctx, con, func(ctx context.Context, devices *bench.Target) (*bench.Report, error) {
			if !c.Beside {
				return c.stored(ctx, devices, target, groups)
			}
			return bench.Beside{Groups: groups, Load: bench.Publish{
				Devices: c.Devices, Rate: c.Rate, Inflight: c.Inflight, Size: c.Size, Warmup: c.Warmup, Duration: c.Duration, Workers: c.workers(manyWorkers),
			}}.Run(ctx, devices, target)
		})
	}
	return errors.Join(err, c.disband(ctx, fleet.hub, groups))
}

// stored has the devices send, then the groups read all of it.
func (c *benchEventsCmd) stored(ctx context.Context, devices, hub *bench.Target, groups bench.Groups) (*bench.Report, error) {
	begun := time.Now()
	if err := c.fill(ctx, devices, c.Size, c.Messages); err != nil {
		return nil, err
	}
	return bench.Events{Groups: groups, Since: begun, Events: uint64(c.Devices) * c.Messages, Devices: c.Devices}.Run(ctx, hub)
}

// groups makes the consumer groups. What it gives is to be disbanded also after an error.
func (c *benchEventsCmd) groups(ctx context.Context, hub *client.Hub) (bench.Groups, error) {
	var about struct {
		Partitions int `json:"partitions"`
	}
	g := bench.Groups{Names: []string{iot.DefaultConsumerGroup}, Hub: iot.NewHosts(hub.HostName()).Hub()}
	if err := hub.Do(ctx, client.Request{Method: http.MethodGet, Path: []string{"berth", "v1", "hub"}}, &about); err != nil {
		return g, err
	}
	g.Partitions = about.Partitions
	for n := 1; n < c.Groups; n++ {
		made, err := hub.CreateConsumerGroup(ctx, fmt.Sprintf("berth-bench-%d", n))
		if err != nil {
			return g, err
		}
		g.Names = append(g.Names, made.Name)
	}
	return g, nil
}

// disband removes the consumer groups that were made. An interruption of the run does not
// keep it from that.
func (c *benchEventsCmd) disband(ctx context.Context, hub *client.Hub, g bench.Groups) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dismissWait)
	defer cancel()
	var err error
	for _, name := range g.Names[1:] {
		err = errors.Join(err, hub.DeleteConsumerGroup(ctx, name))
	}
	return err
}
