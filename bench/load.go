package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// report is what "berth bench --json" prints, as far as it is compared.
type report struct {
	PerSecond float64  `json:"perSecond"`
	Rate      float64  `json:"rate"`
	Cipher    string   `json:"cipher"`
	Devices   int      `json:"devices"`
	Failed    uint64   `json:"failed"`
	LeftOpen  uint64   `json:"leftOpen"`
	Latency   latency  `json:"latency"`
	Kernel    *latency `json:"kernel"`
	Fairness  *struct {
		Rate     float64 `json:"rate"`
		Calm     latency `json:"calm"`
		Flooded  latency `json:"flooded"`
		Flood    float64 `json:"flood"`
		Reached  float64 `json:"reached"`
		P99Ratio float64 `json:"p99Ratio"`
	} `json:"fairness"`
	Server struct {
		MicrosPerOp float64 `json:"cpuMicrosPerOperation"`
		GrownBytes  float64 `json:"grownBytes"`
	} `json:"server"`
}

type latency struct {
	P50  float64 `json:"p50Micros"`
	P99  float64 `json:"p99Micros"`
	P999 float64 `json:"p999Micros"`
}

// load is one thing that is measured on several servers.
type load struct {
	key   string
	name  string
	on    []starter
	args  []string                 // of "berth bench"
	other map[string][]string      // the same for servers that need others, by name
	once  bool                     // every run on servers that were just started, and one round
	half  bool                     // at half the rate that a first run without a pace reaches
	reach func(r *result) []target // what is wanted of it
}

// result is what one load measured: for every server, one report a round.
type result struct {
	load   load
	names  []string
	rounds map[string][]report
}

// loads are what is measured, in order.
func (r *rig) loads() []load {
	window := strconv.Itoa(r.seconds) + "s"
	publish := func(devices, inflight int) []string {
		return []string{"publish", "--devices", strconv.Itoa(devices), "--inflight", strconv.Itoa(inflight), "--duration", window}
	}
	brokers := []starter{startBerth, startMosquitto, startMochi}
	return []load{
		{
			key: "publish16", name: "QoS 1 publish, 256 B, 100 devices × 16 in flight", on: brokers,
			args: publish(100, 16), reach: reachPublish16,
		},
		{
			key: "publish1", name: "QoS 1 publish, 256 B, 1,000 devices × 1 in flight", on: brokers,
			args: publish(1000, 1), reach: reachPublish1,
		},
		{
			key: "connect", name: "connect: TLS, credential, CONNACK, goodbye", on: []starter{startBerth, startHandshake, startMosquitto, startMochi},
			args: []string{"connect", "--devices", "2000", "--duration", window}, reach: reachConnect,
			other: map[string][]string{"handshake": {"handshake", "--duration", window}},
		},
		{
			key: "idle", name: fmt.Sprintf("idle, %d devices with one subscription each", r.devices), on: brokers, once: true,
			args: []string{"connect", "--devices", strconv.Itoa(r.devices), "--subscribe", "--hold", "25s"}, reach: reachIdle,
		},
		{
			key: "takeover", name: "takeover, 500 identities at half of peak rate", on: brokers, half: true,
			args: []string{"takeover", "--devices", "500", "--duration", window}, reach: reachTakeover,
		},
		{
			key: "fairness", name: "one flooding device beside 100 at half of peak rate", on: brokers,
			args: []string{"fairness", "--duration", window}, reach: reachFairness,
		},
		{
			key: "read", name: "reading /berth/v1/events/telemetry, 100,000 events", on: []starter{startBerth},
			args: []string{"read", "--devices", "100", "--messages", "1000"}, reach: nothing,
		},
		{
			key: "diagnosis", name: "QoS 1 publish with diagnosis on and off", on: []starter{startBerth, startQuiet},
			args: publish(100, 16), reach: reachDiagnosis,
		},
	}
}

// measure runs a load on its servers in turn.
func (r *rig) measure(ctx context.Context, l load) (res *result, err error) {
	place := filepath.Join(r.dir, l.key)
	if err := os.Mkdir(place, 0o750); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(place)) }()
	var servers []*server
	stopAll := func() {
		for _, s := range servers {
			s.stop()
		}
	}
	defer func() { stopAll() }()
	for _, start := range l.on {
		s, err := start(ctx, place)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	servers = r.chosen(servers)
	res = &result{load: l, rounds: map[string][]report{}}
	for _, s := range servers {
		res.names = append(res.names, s.name)
		if l.half {
			peak, err := r.once(ctx, l, s, false)
			if err != nil {
				return nil, err
			}
			s.args = append(s.args, "--rate", strconv.FormatFloat(peak.PerSecond/2, 'f', 1, 64))
		}
	}
	rounds := r.rounds
	if l.once {
		rounds = 1
	}
	for round := range rounds {
		for _, s := range servers {
			rep, err := r.once(ctx, l, s, round == rounds-1)
			if err != nil {
				return nil, err
			}
			res.rounds[s.name] = append(res.rounds[s.name], rep)
		}
	}
	return res, nil
}

// chosen stops the servers that do not take part.
func (r *rig) chosen(servers []*server) []*server {
	var in []*server
	for _, s := range servers {
		if s.hub || wants(r.peers, s.name) {
			in = append(in, s)
		} else {
			s.stop()
		}
	}
	return in
}

// once runs a load once on one server; the last run of a hub is the one that is profiled.
func (r *rig) once(ctx context.Context, l load, s *server, last bool) (report, error) {
	args := l.args
	if other, ok := l.other[s.name]; ok {
		args = other
	}
	args = append(append([]string{"bench"}, args...), s.args...)
	args = append(args, "--json", "--server-pid", strconv.Itoa(s.cmd.Process.Pid))
	cmd := exec.CommandContext(ctx, "bin/berth", args...) //nolint:gosec // our own binary
	cmd.Stderr = os.Stderr
	var profiled func() error
	if r.profiles != "" && last && s.name == hubName {
		profiled = s.profile(ctx, filepath.Join(r.profiles, l.key), r.seconds)
	}
	out, err := cmd.Output()
	if profiled != nil {
		err = errors.Join(err, profiled())
	}
	if err != nil {
		return report{}, fmt.Errorf("%s: %w", s.name, err)
	}
	var rep report
	if err := json.Unmarshal(out, &rep); err != nil {
		return rep, fmt.Errorf("%s: %w", s.name, err)
	}
	fmt.Fprintf(os.Stderr, "bench:   %-16s %10.0f/s %9.2f µs CPU  p99 %.2f ms  failed %d\n",
		s.name, rep.PerSecond, rep.Server.MicrosPerOp, rep.Latency.P99/1e3, rep.Failed)
	return rep, nil
}
