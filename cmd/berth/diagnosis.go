package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/diagnosis"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/registry"
)

// openDiagnosis starts what explains conflicts, unless it is switched off. Everything
// that tells it something is opened after it, and so closed before it.
func (in *installation) openDiagnosis() error {
	if !in.cfg.Diagnosis.Enabled {
		return nil
	}
	stories := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "berth", Name: "conflicts_total",
		Help: "Stories of conflicts between clients of one identity, by verdict; a story counts once for each verdict that it comes to.",
	}, []string{"verdict"})
	if err := in.metrics.Register(stories); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	for _, v := range iot.Verdicts() {
		if v != iot.VerdictNone {
			stories.WithLabelValues(string(v)) // so that a rate can be taken of the first one too
		}
	}
	d, err := diagnosis.New(diagnosis.Config{
		Records: in.engine.Records(), Logger: in.log, Started: in.started,
		OnVerdict: func(v iot.Verdict) { stories.WithLabelValues(string(v)).Inc() },
	})
	if err != nil {
		return err
	}
	in.diagnosis = d
	in.opened(func() error { return d.Close(context.Background()) })
	return nil
}

// forget drops what is known of an identity's conflicts when it is deleted: who gets
// the name next is another.
func (in *installation) forget(id iot.Identity, change registry.Change) {
	if change == registry.Deleted {
		in.diagnosis.Forget(id)
	}
}

// refusals tells several of connections that were not let in.
type refusals []interface {
	Refused(hello device.Hello, err error, at time.Time)
}

// Refused tells each.
func (rs refusals) Refused(hello device.Hello, err error, at time.Time) {
	for _, r := range rs {
		r.Refused(hello, err, at)
	}
}
