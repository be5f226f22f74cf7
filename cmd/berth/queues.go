package main

import (
	"context"

	"github.com/berth-iot/berth/internal/c2d"
	"github.com/berth-iot/berth/internal/iot"
)

// openQueues opens the cloud-to-device queues.
func (in *installation) openQueues() error {
	metrics, err := c2d.NewMetrics(in.metrics)
	if err != nil {
		return err
	}
	cfg := in.cfg.C2D
	in.queues, err = c2d.New(c2d.Config{
		Records: in.engine.Records(), Identities: directory{in}, Generation: in.engine.Claims().Generation(),
		HubName: in.hosts.Hub(), Observer: metrics.Observer(in.reslog.MessageEnded),
		DefaultTTL: cfg.DefaultTTL.Std(), MaxDeliveries: cfg.MaxDeliveryCount,
		FeedbackBatch: cfg.FeedbackBatch.Std(), FeedbackTTL: cfg.FeedbackTTL.Std(), FeedbackLock: cfg.FeedbackLock.Std(),
		FeedbackMax: cfg.FeedbackDeliveries, Logger: in.log,
	})
	if err != nil {
		return err
	}
	in.opened(in.queues.Close)
	return metrics.Watch(in.metrics, in.queues)
}

// directory is the registry as the queues see it. Each needs the other: the queues ask
// whom a message may be sent to, the registry how many wait. Nobody sends before both
// are there.
type directory struct{ in *installation }

// Generation gives the generationId of an identity, and whether its device is enabled.
func (d directory) Generation(ctx context.Context, id iot.Identity) (generation uint64, enabled bool, err error) {
	return d.in.registry.Generation(ctx, id)
}
