package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd is "berth man".
type manCmd struct{}

// Run prints the manual page, made from the commands themselves; "berth man | man -l -"
// shows it.
func (c *manCmd) Run(con *console) error {
	app, err := newParser(con, "~/.local/share/berth") // a page is for every machine
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(".TH BERTH 1\n.SH NAME\nberth \\- an IoT hub that speaks Azure IoT Hub's protocols\n.SH SYNOPSIS\n.B berth\n.I command\n[\n.I flags\n]\n.SH DESCRIPTION\n")
	for paragraph := range strings.SplitSeq(description, "\n\n") {
		b.WriteString(".PP\n" + roff(paragraph) + "\n")
	}
	b.WriteString(".SH COMMANDS\n")
	manCommands(&b, app.Model.Node)
	b.WriteString(".SH ENVIRONMENT\n.TP\n.B BERTH_CONNECTION_STRING\nConnection string of the hub that commands talk to.\n.TP\n.B BERTH_DATA\nData folder of the hub.")
	return con.line("%s", b.String())
}

// manCommands writes the leaves below a command, each with its flags.
func manCommands(b *strings.Builder, node *kong.Node) {
	for _, child := range node.Children {
		if child.Hidden {
			continue
		}
		if !child.Leaf() {
			manCommands(b, child)
			continue
		}
		fmt.Fprintf(b, ".SS %s\n%s\n", roff(child.Summary()), roff(child.Help))
		for _, arg := range child.Positional {
			fmt.Fprintf(b, ".TP\n.I %s\n%s\n", roff(arg.Summary()), roff(arg.Help))
		}
		for _, flag := range child.Flags {
			fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(flag.String()), roff(flag.Help))
		}
	}
}

// roff escapes a text for troff.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return strings.NewReplacer("\n.", "\n\\&.", "\n'", "\n\\&'").Replace(s)
}
