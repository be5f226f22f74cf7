package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/berth-iot/berth/internal/bench"
	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/config"
)

// benchRestartCmd is "berth bench restart".
type benchRestartCmd struct {
	dataFlag
	jsonFlag

	Prefix  string `default:"bench-" help:"What device ids begin with, as they were registered by \"berth bench register --keep\"."`
	Devices int    `required:"" help:"How many of them there are."`
	Rounds  int    `default:"5" help:"How often the hub is started and killed."`
	Write   int    `default:"0" placeholder:"N" help:"Devices to write again before each kill, so that the next start reads a journal."`
	Serve   string `placeholder:"ARGS" help:"Further arguments of \"berth serve\", separated by spaces."`
}

// Run measures restarts. The hub is started on free ports of loopback; none may run on
// the data folder.
func (c *benchRestartCmd) Run(ctx context.Context, con *console) error {
	if c.Write < 0 || c.Write > c.Devices {
		return usageError("--write must be 0 to --devices")
	}
	hosts, err := config.ReadHosts(c.folder())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: none has ever started with the data folder %s", client.ErrNoHub, c.folder())
	}
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"serve", "--data", c.folder(), "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--ops-port", "0"}
	for _, h := range hosts {
		args = append(args, "--host", h)
	}
	args = append(args, strings.Fields(c.Serve)...)
	var last *killable
	plan := bench.Restart{Devices: c.Devices, Rounds: c.Rounds, Start: func(context.Context) (bench.Instance, error) {
		last = &killable{fleetFlags: fleetFlags{Prefix: c.Prefix, Devices: c.Devices}, data: c.folder()}
		return last, last.start(ctx, program, args)
	}}
	if c.Write > 0 {
		plan.Unsettle = func(ctx context.Context) error { return last.rewrite(ctx, c.Write) }
	}
	report, err := plan.Run(ctx)
	return con.report(report, c.JSON, err)
}

// killable is a hub in a process of its own.
type killable struct {
	fleetFlags

	data  string
	cmd   *exec.Cmd
	said  strings.Builder // what the hub complained of
	ended chan struct{}   // closed when the process has ended
	fleet *fleet          // nil until the hub says where it listens
}

// start starts the process.
func (k *killable) start(ctx context.Context, program string, args []string) error {
	k.cmd = exec.CommandContext(ctx, program, args...) //nolint:gosec // this program
	k.cmd.Stderr = &k.said
	if err := k.cmd.Start(); err != nil {
		return err
	}
	k.ended = make(chan struct{})
	go func() {
		defer close(k.ended)
		_ = k.cmd.Wait() // it is killed
	}()
	return nil
}

// Target is where the hub takes devices. See bench.Instance.
func (k *killable) Target() (*bench.Target, error) {
	select {
	case <-k.ended:
		return nil, fmt.Errorf("the hub ended by itself: %s", strings.TrimSpace(k.said.String()))
	default:
	}
	run, err := config.ReadRun(k.data)
	if err != nil || run.PID != k.cmd.Process.Pid {
		return nil, nil //nolint:nilnil,nilerr // it is not there yet, or of the hub that was killed
	}
	hub, err := client.Find(client.Options{Data: k.data})
	if err != nil {
		return nil, err
	}
	k.fleet = &fleet{fleetFlags: k.fleetFlags, hub: hub}
	return &bench.Target{Address: hub.MQTTAddress(), TLS: hub.TLS(), Account: k.fleet.account}, nil
}

// PID is the hub's process, where its use can be measured. See bench.Instance.
func (k *killable) PID() int {
	if runtime.GOOS != "linux" {
		return 0
	}
	return k.cmd.Process.Pid
}

// Kill ends the hub without a goodbye. See bench.Instance.
func (k *killable) Kill() error {
	err := k.cmd.Process.Kill()
	<-k.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// rewrite registers the first n devices once more, as they are.
func (k *killable) rewrite(ctx context.Context, n int) error {
	some := *k.fleet
	some.Devices = n
	return some.enlist(ctx)
}
