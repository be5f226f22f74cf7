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
	"strings"
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
	Settled   *latency `json:"settled"`
	Alive     int      `json:"alive"`
	Following *struct {
		PerSecond  float64 `json:"deliveredPerSecond"`
		Lag        latency `json:"lag"`
		LagSeconds float64 `json:"lagSeconds"`
		Alone      float64 `json:"alonePerSecond"`
		Ratio      float64 `json:"ratio"`
	} `json:"following"`
	Fairness *struct {
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
	load     load
	names    []string
	rounds   map[string][]report
	failures []failure
}

// failure is a run that failed, or a server that did not start. A peer's is told beside its
// figures; one of Berth's is this command's own.
type failure struct {
	server string
	hub    bool
	round  int // from 1; 0: before the first
	text   string
}

// fail notes a failure, and shows what the server said.
func (r *result) fail(s *server, round int, err error) {
	text := strings.Join(strings.Fields(err.Error()), " ")
	fmt.Fprintf(os.Stderr, "bench:   %-16s %s\n", s.name, text)
	if said := s.said.String(); said != "" {
		fmt.Fprintf(os.Stderr, "%s said at last:\n%s\n", s.name, said)
	}
	r.failures = append(r.failures, failure{s.name, s.hub, round, text})
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
			key: "amqp-publish", name: "AMQP publish, 256 B, 100 devices × 16 in flight", on: []starter{startBerth, startMQTT},
			args: append(publish(100, 16), "--amqp"), other: map[string][]string{mqttName: publish(100, 16)}, reach: reachAMQP,
		},
		{
			key: "c2d", name: "cloud-to-device over AMQP, one message on its way", on: []starter{startBerth},
			args: []string{"c2d", "--duration", window}, reach: reachC2D,
		},
		{
			key: "events", name: "reading through the Event Hubs-compatible endpoint, 1 group", on: []starter{startBerth},
			args: []string{"events", "--messages", "2000"}, reach: reachEvents,
		},
		{
			key: "events8", name: "reading through the Event Hubs-compatible endpoint, 8 groups", on: []starter{startBerth},
			args: []string{"events", "--messages", "2000", "--groups", "8"}, reach: reachEvents,
		},
		{
			key: "lag", name: "8 groups beside 50,000 messages a second", on: []starter{startBerth},
			args: []string{"events", "--beside", "--rate", "50000", "--groups", "8", "--duration", window}, reach: reachLag,
		},
		{
			key: "beside", name: "QoS 1 publish, 256 B, 100 devices × 16 in flight, beside 8 groups", on: []starter{startBerth},
			args: []string{"events", "--beside", "--groups", "8", "--duration", window}, reach: reachBeside,
		},
		{
			key: "multiplex", name: "999 devices on one AMQP connection", on: []starter{startBerth}, once: true,
			args: []string{"multiplex", "--devices", "999"}, reach: reachMultiplex,
		},
		{
			key: "register", name: "registering 20,000 devices with 4 modules each, 100 identities a request", on: []starter{startBerth}, once: true,
			args: []string{"register", "--devices", "20000", "--modules", "4"}, reach: nothing,
		},
		{
			key: "restart", name: "kill -9 with a million identities, start to first accepted device", on: []starter{startMillion}, once: true,
			args: []string{"restart", "--devices", strconv.Itoa(millionDevices), "--write", "1000", "--rounds", "9"}, reach: reachRestart,
		},
		{
			key: "diagnosis", name: "QoS 1 publish with diagnosis on and off", on: []starter{startBerth, startQuiet},
			args: publish(100, 16), reach: reachDiagnosis,
		},
	}
}

// measure runs a load on its servers in turn. What fails is noted, and the rest goes on; an
// error is of this command or an interruption.
func (r *rig) measure(ctx context.Context, l load) (res *result, err error) {
	place := filepath.Join(r.dir, l.key)
	if err := os.Mkdir(place, 0o750); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(place)) }()
	res = &result{load: l, rounds: map[string][]report{}}
	servers := r.start(ctx, res, place)
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	rounds := r.rounds
	if l.once {
		rounds = 1
	}
	for round := range rounds {
		for _, s := range servers {
			if err := r.round(ctx, res, s, round+1, rounds); err != nil {
				return nil, err
			}
		}
	}
	return res, nil
}

// start starts the servers that take part.
func (r *rig) start(ctx context.Context, res *result, place string) []*server {
	var in []*server
	for _, start := range res.load.on {
		s, err := start(ctx, place)
		switch {
		case !s.hub && !wants(r.peers, s.name):
			s.stop()
			continue
		case err != nil:
			s.stop()
			res.names = append(res.names, s.name)
			res.fail(s, 0, err)
			if s.hub {
				return in // the others show its certificate
			}
			continue
		}
		res.names = append(res.names, s.name)
		in = append(in, s)
	}
	return in
}

// round is one run on one server, and before the first the run that finds the peak, where
// the load is to be half of it.
func (r *rig) round(ctx context.Context, res *result, s *server, round, rounds int) error {
	if s.out {
		return nil
	}
	if res.load.half && round == 1 {
		peak, _, err := r.once(ctx, res.load, s, false)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			res.fail(s, 0, err)
		}
		if peak.PerSecond == 0 {
			s.out = true
			return nil
		}
		s.args = append(s.args, "--rate", strconv.FormatFloat(peak.PerSecond/2, 'f', 1, 64))
	}
	rep, measured, err := r.once(ctx, res.load, s, round == rounds)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if measured {
		res.rounds[s.name] = append(res.rounds[s.name], rep)
	}
	if err != nil {
		res.fail(s, round, err)
	}
	return nil
}

// once runs a load once on one server; the last run of a hub is the one that is profiled. A
// run may have failed and measured all the same: its report counts what failed.
func (r *rig) once(ctx context.Context, l load, s *server, last bool) (rep report, measured bool, err error) {
	args := l.args
	if other, ok := l.other[s.name]; ok {
		args = other
	}
	args = append(append([]string{"bench"}, args...), s.args...)
	args = append(args, "--json")
	if !s.down {
		args = append(args, "--server-pid", strconv.Itoa(s.cmd.Process.Pid))
	}
	cmd := exec.CommandContext(ctx, "bin/berth", args...) //nolint:gosec // our own binary
	var profiled func() error
	if r.profiles != "" && last && s.name == hubName && !s.down {
		profiled = s.profile(ctx, filepath.Join(r.profiles, l.key), r.seconds)
	}
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = errors.New(strings.TrimPrefix(strings.TrimSpace(string(exit.Stderr)), "berth: "))
	}
	if profiled != nil {
		err = errors.Join(err, profiled())
	}
	if len(out) > 0 {
		broken := json.Unmarshal(out, &rep)
		measured, err = broken == nil, errors.Join(err, broken)
	}
	if measured {
		fmt.Fprintf(os.Stderr, "bench:   %-16s %10.0f/s %9.2f µs CPU  p99 %.2f ms  failed %d\n",
			s.name, rep.PerSecond, rep.Server.MicrosPerOp, rep.Latency.P99/1e3, rep.Failed)
	}
	return rep, measured, err
}
