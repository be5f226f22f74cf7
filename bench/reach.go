package main

import (
	"fmt"
	"slices"
)

// target is what is wanted of a load, and what was measured.
type target struct {
	wanted   string
	measured string
	met      bool
}

// median is the middle one of the values, the upper one of two.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// of gives the median of one figure of a server's reports.
func (r *result) of(name string, figure func(*report) float64) float64 {
	var all []float64
	for i := range r.rounds[name] {
		all = append(all, figure(&r.rounds[name][i]))
	}
	return median(all)
}

// ratio gives the median over the rounds of a figure of two servers: those of one round
// ran one after the other.
func (r *result) ratio(of, to string, figure func(*report) float64) float64 {
	a, b := r.rounds[of], r.rounds[to]
	var all []float64
	for i := range min(len(a), len(b)) {
		if below := figure(&b[i]); below > 0 {
			all = append(all, figure(&a[i])/below)
		}
	}
	return median(all)
}

func (r *result) has(name string) bool { return len(r.rounds[name]) > 0 }

// unmeasured stands where the hub failed before anything was measured.
const unmeasured = "nothing measured"

// The figures of a report.
func rate(r *report) float64  { return r.PerSecond }
func cpu(r *report) float64   { return r.Server.MicrosPerOp }
func p50(r *report) float64   { return r.Latency.P50 / 1e3 }
func p99(r *report) float64   { return r.Latency.P99 / 1e3 }
func left(r *report) float64  { return float64(r.LeftOpen) }
func raise(r *report) float64 { return r.Fairness.P99Ratio }
func alive(r *report) float64 { return float64(r.Alive) }

// The figures of readers beside devices.
func behind(r *report) float64  { return r.Following.LagSeconds }
func slowed(r *report) float64  { return r.Following.Ratio }
func alone(r *report) float64   { return r.Following.Alone }
func read(r *report) float64    { return r.Following.PerSecond }
func lag99(r *report) float64   { return r.Following.Lag.P99 / 1e3 }
func settled(r *report) float64 { return r.Settled.P50 / 1e3 }

// total is the resident memory gained, in MB.
func total(r *report) float64 { return r.Server.GrownBytes / 1e6 }

// grown is the resident memory gained for each device, in kB.
func grown(r *report) float64 { return r.Server.GrownBytes / 1e3 / float64(max(r.Devices, 1)) }

// stamped is the kernel's p99 in ms, or the load generator's where there is none.
func stamped(r *report) float64 {
	if r.Kernel == nil {
		return p99(r)
	}
	return r.Kernel.P99 / 1e3
}

// times is the target that a rate is at least so many times a peer's.
func (r *result) times(least float64, peer, whose string) []target {
	if !r.has(peer) {
		return nil
	}
	if !r.has(hubName) {
		return []target{{wanted: fmt.Sprintf("≥ %.2g × %s", least, whose), measured: unmeasured}}
	}
	got := r.ratio(hubName, peer, rate)
	return []target{{fmt.Sprintf("≥ %.2g × %s", least, whose), fmt.Sprintf("%.2f ×", got), got >= least}}
}

// most is the target that a figure of the hub is at most so much.
func (r *result) most(format string, most float64, figure func(*report) float64) []target {
	if !r.has(hubName) {
		return []target{{wanted: "≤ " + fmt.Sprintf(format, most), measured: unmeasured}}
	}
	got := r.of(hubName, figure)
	return []target{{"≤ " + fmt.Sprintf(format, most), fmt.Sprintf(format, got), got <= most}}
}

// least is the target that a figure of the hub is at least so much.
func (r *result) least(format string, least float64, figure func(*report) float64) []target {
	if !r.has(hubName) {
		return []target{{wanted: "≥ " + fmt.Sprintf(format, least), measured: unmeasured}}
	}
	got := r.of(hubName, figure)
	return []target{{"≥ " + fmt.Sprintf(format, least), fmt.Sprintf(format, got), got >= least}}
}

func reachPublish16(r *result) []target {
	return append(r.times(2.5, "mosquitto", "Mosquitto"), r.most("%.2f µs server CPU a message", 1.8, cpu)...)
}

func reachPublish1(r *result) []target { return r.times(1, "mosquitto", "Mosquitto") }

func reachConnect(r *result) []target {
	return append(r.times(0.9, "handshake", "the bare handshake"), r.most("%.0f µs server CPU", 300, cpu)...)
}

func reachIdle(r *result) []target { return r.most("%.1f kB resident a device", 10, grown) }

func reachTakeover(r *result) []target {
	return append(r.most("%.2f ms p99 by kernel stamps", 2, stamped), r.most("%.0f left open", 0, left)...)
}

func reachFairness(r *result) []target { return r.most("%.2f × p99", 2, raise) }

// nothing is wanted of a load that is measured for its own sake.
func nothing(*result) []target { return nil }

func reachDiagnosis(r *result) []target { return r.times(0.98, quietName, "off") }

func reachAMQP(r *result) []target { return r.times(0.8, mqttName, "its own MQTT") }

func reachC2D(r *result) []target { return r.most("%.2f ms p50 to the device", 2, p50) }

func reachEvents(r *result) []target { return r.most("%.2f µs server CPU an event", 1.5, cpu) }

func reachLag(r *result) []target { return r.most("%.2f s behind", 1, behind) }

func reachBeside(r *result) []target { return r.least("%.2f × without readers", 0.5, slowed) }

func reachRestart(r *result) []target { return r.most("%.0f ms p99", 2000, p99) }

func reachMultiplex(r *result) []target { return r.most("%.1f MB", 25, total) }
