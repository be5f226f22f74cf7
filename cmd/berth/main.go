// Command berth is an IoT hub that speaks Azure IoT Hub's protocols, and the
// command line to it.
//
// Exit codes: 0 done; 1 refused or failed; 2 the command was written wrongly; 3 no
// hub is running; 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/config"
)

// The exit codes, which scripts rely on.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNoHub       = 3
	exitInterrupted = 130
)

const description = `An IoT hub that speaks Azure IoT Hub's protocols.

"berth serve" starts the hub; every other command talks to a running one, which it
finds by --login, BERTH_CONNECTION_STRING, or the data folder (--data).

Exit codes: 0 done; 1 refused or failed; 2 the command was written wrongly; 3 no hub
is running; 130 interrupted.`

// commands is the command line: a field for each command, each with a Run method.
type commands struct {
	Serve            serveCmd            `cmd:"" help:"Start the hub."`
	Device           deviceCmd           `cmd:"" help:"Register, show, change and remove devices."`
	Module           moduleCmd           `cmd:"" help:"Register, show and remove modules of devices."`
	ConnectionString connectionStringCmd `cmd:"" help:"Print the connection string of a policy, a device or a module."`
	Monitor          monitorCmd          `cmd:"" help:"Show the messages that devices send, or their connections."`
	ConsumerGroup    consumerGroupCmd    `cmd:"" help:"List, make and remove consumer groups of the Event Hubs-compatible endpoint."`
	Explain          explainCmd          `cmd:"" help:"Say who displaced a device's connection, what it was, how sure that is, and what to do."`
	Conflicts        conflictsCmd        `cmd:"" help:"List the conflicts between clients of one identity, over the fleet."`
	Logs             logsCmd             `cmd:"" help:"Show the resource log: who connected, who was disconnected, and why."`
	CA               caCmd               `cmd:"" name:"ca" help:"The hub's own CA, and the CAs whose device certificates it accepts."`
	Config           configCmd           `cmd:"" help:"Check and print the configuration."`
	Bench            benchCmd            `cmd:"" help:"Measure this hub, or any MQTT server."`
	Completion       completionCmd       `cmd:"" help:"Print a completion script for a shell."`
	Man              manCmd              `cmd:"" help:"Print the manual page."`
	Version          versionCmd          `cmd:"" help:"Print the version."`
}

func main() {
	os.Exit(run(os.Args[1:], &console{out: os.Stdout, err: os.Stderr}))
}

// run carries out one command line and gives its exit code.
func run(args []string, con *console) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	parser, err := newParser(con, config.DefaultDataDir())
	if err != nil {
		con.complain(err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		con.complain(err)
		if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context != nil {
			con.hint("try \"" + commandOf(e.Context) + " --help\"")
		}
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return con.end(ctx, parsed.Run(con))
}

// newParser makes the command line; data is the folder that help and defaults name.
func newParser(con *console, data string) (*kong.Kong, error) {
	return kong.New(&commands{},
		kong.Name("berth"),
		kong.Description(description),
		kong.Writers(con.out, con.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Vars{"data": data},
	)
}

// commandOf gives the command as far as it was understood.
func commandOf(ctx *kong.Context) string {
	if node := ctx.Selected(); node != nil {
		return node.FullPath()
	}
	name := "berth"
	for _, p := range ctx.Path {
		if p.Command != nil {
			name = p.Command.FullPath()
		}
	}
	return name
}

// usageError is a command line that kong accepts and that still makes no sense.
type usageError string

func (e usageError) Error() string { return string(e) }

// console is where a command writes: results to out, everything else to err.
type console struct {
	out, err io.Writer
}

// end says what went wrong, if anything did, and gives the exit code.
func (c *console) end(ctx context.Context, err error) int {
	_, usage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))):
		return exitInterrupted
	}
	c.complain(err)
	switch {
	case usage:
		return exitUsage
	case errors.Is(err, client.ErrNoHub):
		c.hint("start one with \"berth serve\", or name one with --login or --data")
		return exitNoHub
	}
	return exitFailed
}

func (c *console) complain(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") { // joined errors are a line each
		fmt.Fprintln(c.err, "berth:", line) //nolint:errcheck // nobody is left to tell
	}
}

func (c *console) hint(text string) {
	fmt.Fprintln(c.err, text) //nolint:errcheck // nobody is left to tell
}
