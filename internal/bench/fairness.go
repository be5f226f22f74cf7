package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Fair measures what one flooding device costs the others. First it finds the peak rate of
// Devices that publish as fast as they can. Then they publish at half of it, once in peace
// and once while one more device keeps MaxInflight messages in flight.
type Fair struct {
	Devices  int
	Inflight int
	Size     int
	Warmup   time.Duration
	Duration time.Duration // of each of the three windows
	Workers  int
}

// Fairness is what a flood cost the devices that did not take part.
type Fairness struct {
	Rate     float64 `json:"rate"`    // half of the peak, messages a second
	Calm     Latency `json:"calm"`    // due to PUBACK, in peace
	Flooded  Latency `json:"flooded"` // the same beside the flood
	Reached  float64 `json:"reached"` // messages a second acknowledged beside the flood, its own left out
	Flood    float64 `json:"flood"`   // messages a second acknowledged to the flooding device
	P99Ratio float64 `json:"p99Ratio"`
}

func (f *Fairness) rows(row func(name, format string, args ...any)) {
	row("half of it, in peace", "%s", f.Calm)
	row("the same beside a flood", "%s", f.Flooded)
	row("flood", "%.0f/s beside %.0f/s of %.0f/s asked for", f.Flood, f.Reached, f.Rate)
	row("p99 raised", "%.2f ×", f.P99Ratio)
}

// Run measures and reports: the peak as a publish run does, and the Fairness beside it.
func (f Fair) Run(ctx context.Context, t *Target) (*Report, error) {
	if f.Duration <= 0 {
		return nil, errors.New("a fairness run needs a duration")
	}
	plan := Publish{
		Devices: f.Devices, Inflight: f.Inflight, Size: f.Size, Warmup: f.Warmup, Duration: f.Duration, Workers: f.Workers,
	}
	report, err := plan.Run(ctx, t)
	if err != nil {
		return nil, err
	}
	report.Run = "fairness"
	plan.Rate = report.PerSecond / 2
	calm, err := plan.Run(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("in peace: %w", err)
	}
	flooded, flood, err := f.beside(ctx, t, plan)
	if err != nil {
		return nil, fmt.Errorf("beside a flood: %w", err)
	}
	report.Fairness = &Fairness{
		Rate: plan.Rate, Calm: calm.Latency, Flooded: flooded.Latency, Reached: flooded.PerSecond, Flood: flood.PerSecond,
	}
	if calm.Latency.P99 > 0 {
		report.Fairness.P99Ratio = round(flooded.Latency.P99/calm.Latency.P99, 100)
	}
	for _, r := range []*Report{calm, flooded, flood} {
		report.Failed += r.Failed
		report.Failures = append(report.Failures, r.Failures...)
	}
	return report, nil
}

// beside runs plan while one more device floods, from before its window opens until after
// it has closed.
func (f Fair) beside(ctx context.Context, t *Target, plan Publish) (flooded, flood *Report, err error) {
	storm := Publish{
		First: f.Devices, Devices: 1, Inflight: MaxInflight, Size: f.Size, Warmup: plan.Warmup, Duration: MaxDuration, Workers: 1,
	}
	var stormErr error
	flowing, enough, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		flood, stormErr = storm.until(ctx, t, cue{open: func() { close(flowing) }, enough: enough})
	}()
	select {
	case <-flowing:
		flooded, err = plan.Run(ctx, t)
	case <-done: // it could not begin
	}
	close(enough)
	<-done
	return flooded, flood, errors.Join(err, stormErr)
}
