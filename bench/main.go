// Command bench measures Berth beside Mosquitto, mochi-mqtt and a bare TLS handshake loop
// in one run, with the same load generator, and prints medians and ratios as the Markdown
// of docs/performance.md. It starts every server itself, on loopback, in turn with the
// others, and stops it. Run it by "make bench"; -h says how to shorten it, or to profile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
)

// rig is one run of this command.
type rig struct {
	rounds   int
	seconds  int
	devices  int            // of the idle load
	only     *regexp.Regexp // nil: every load
	peers    *regexp.Regexp // nil: every server
	profiles string         // folder for the hub's profiles; empty: none
	dir      string
}

func main() {
	var r rig
	flag.IntVar(&r.rounds, "rounds", 5, "how often each load is run on each server")
	flag.IntVar(&r.seconds, "seconds", 8, "length of one measured window")
	flag.IntVar(&r.devices, "idle", 10_000, "devices that are held idle")
	flag.StringVar(&r.profiles, "profiles", "", "folder for CPU and heap profiles of the hub under each load")
	only := flag.String("only", "", "regular expression: the loads to run (publish16, publish1, connect, idle, takeover, fairness, read, amqp-publish, c2d, events, events8, lag, beside, multiplex, register, restart, diagnosis)")
	peers := flag.String("servers", "", "regular expression: the servers to run besides berth (mosquitto, mochi, handshake)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := r.compile(*only, *peers)
	if err == nil {
		err = r.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compile takes the two patterns; an empty one is none.
func (r *rig) compile(only, peers string) (err error) {
	if only != "" {
		if r.only, err = regexp.Compile("^(?:" + only + ")$"); err != nil {
			return err
		}
	}
	if peers != "" {
		r.peers, err = regexp.Compile("^(?:" + peers + ")$")
	}
	return err
}

// wants reports whether a load, or a server that is no hub, takes part.
func wants(pattern *regexp.Regexp, name string) bool {
	return pattern == nil || pattern.MatchString(name)
}

// run measures every load and prints the tables. That Berth failed in one is an error, told
// behind them; that a peer did is in the tables.
func (r *rig) run(ctx context.Context) (err error) {
	if r.dir, err = os.MkdirTemp("", "berth-bench-*"); err != nil {
		return err
	}
	defer func() {
		if removed := os.RemoveAll(r.dir); err == nil {
			err = removed
		}
	}()
	if r.profiles != "" {
		if err := os.MkdirAll(r.profiles, 0o750); err != nil {
			return err
		}
	}
	var done []*result
	for _, l := range r.loads() {
		if !wants(r.only, l.key) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", l.name)
		res, err := r.measure(ctx, l)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		done = append(done, res)
	}
	if err := r.print(ctx, os.Stdout, done); err != nil {
		return err
	}
	for _, res := range done {
		for _, f := range res.failures {
			if f.hub {
				err = errors.Join(err, fmt.Errorf("%s: %s failed: %s", res.load.name, f.server, f.text))
			}
		}
	}
	return err
}
