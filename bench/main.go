// Command bench measures Berth and Mosquitto side by side in one run, with the same
// load generator, and prints medians and ratios. Run it by "make bench"; flags say how
// long. It starts both servers itself, on loopback, and stops them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// report is what "berth bench --json" prints, as far as it is compared.
type report struct {
	PerSecond float64 `json:"perSecond"`
	Failed    uint64  `json:"failed"`
	Latency   struct {
		P50 float64 `json:"p50Micros"`
		P99 float64 `json:"p99Micros"`
	} `json:"latency"`
	Server struct {
		MicrosPerOp float64 `json:"cpuMicrosPerOperation"`
	} `json:"server"`
}

// load is one thing that is measured on both servers.
type load struct {
	name string
	args []string
}

func main() {
	rounds := flag.Int("rounds", 3, "how often each load is run on each server")
	seconds := flag.Int("seconds", 8, "length of one measured window")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := compare(ctx, *rounds, *seconds); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare runs every load on both servers in turn and prints the table.
func compare(ctx context.Context, rounds, seconds int) (err error) {
	dir, err := os.MkdirTemp("", "berth-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	hub, err := startBerth(ctx, dir)
	if err != nil {
		return err
	}
	defer hub.stop()
	peer, err := startMosquitto(ctx, dir)
	if err != nil {
		return err
	}
	defer peer.stop()

	window := []string{"--duration", strconv.Itoa(seconds) + "s"}
	loads := []load{
		{"publish, 100 devices, 16 in flight", append([]string{"publish", "--devices", "100", "--inflight", "16"}, window...)},
		{"publish, 1,000 devices, 1 in flight", append([]string{"publish", "--devices", "1000", "--inflight", "1"}, window...)},
		{"connect, 2,000 devices", []string{"connect", "--devices", "2000"}},
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "load\tserver\tper second\tserver CPU µs each\tp50 ms\tp99 ms\tfailed") //nolint:errcheck // Flush reports it
	for _, l := range loads {
		var ours, theirs []report
		for range rounds {
			a, err := run(ctx, l, hub)
			if err != nil {
				return err
			}
			b, err := run(ctx, l, peer)
			if err != nil {
				return err
			}
			ours, theirs = append(ours, a), append(theirs, b)
		}
		a, b := median(ours), median(theirs)
		row(table, l.name, "berth", a)
		row(table, "", "mosquitto", b)
		fmt.Fprintf(table, "\tberth / mosquitto\t%.2f ×\t%.2f ×\t\t\t\n", //nolint:errcheck // Flush reports it
			a.PerSecond/b.PerSecond, a.Server.MicrosPerOp/b.Server.MicrosPerOp)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Printf("medians of %d rounds, servers in turn, load generator on the same machine\n", rounds) //nolint:forbidigo // the result
	return err
}

// run runs one load on one server.
func run(ctx context.Context, l load, s *server) (report, error) {
	args := append([]string{"bench"}, l.args...)
	args = append(args, s.args...)
	args = append(args, "--json", "--server-pid", strconv.Itoa(s.cmd.Process.Pid))
	cmd := exec.CommandContext(ctx, "bin/berth", args...) //nolint:gosec // our own binary
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return report{}, fmt.Errorf("%s on %s: %w", l.name, s.name, err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("%s on %s: %w", l.name, s.name, err)
	}
	return r, nil
}

// median is the run with the median rate.
func median(rs []report) report {
	slices.SortFunc(rs, func(a, b report) int { return int(a.PerSecond - b.PerSecond) })
	return rs[len(rs)/2]
}

func row(w *tabwriter.Writer, name, server string, r report) {
	fmt.Fprintf(w, "%s\t%s\t%.0f\t%.2f\t%.2f\t%.2f\t%d\n", name, server, r.PerSecond, //nolint:errcheck // Flush reports it
		r.Server.MicrosPerOp, r.Latency.P50/1e3, r.Latency.P99/1e3, r.Failed)
}

// server is one of the two under load.
type server struct {
	name string
	cmd  *exec.Cmd
	args []string // of berth bench, to reach it
}

// stop ends the server and waits for it.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt) // if it is gone already, Wait says so
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
}
