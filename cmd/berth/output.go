package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/iot"
)

// dataFlag names the data folder of a hub on this machine.
type dataFlag struct {
	Data string `env:"BERTH_DATA" type:"path" default:"${data}" placeholder:"DIR" help:"Data folder of the hub; without it $$XDG_DATA_HOME/berth or ~/.local/share/berth."`
}

// hubFlags say which hub a command talks to.
type hubFlags struct {
	dataFlag

	Login string `env:"BERTH_CONNECTION_STRING" placeholder:"CONNSTR" help:"Connection string of a shared access policy; better given as BERTH_CONNECTION_STRING, where other users do not see it. Without it, the policies in the data folder are used."`
	CA    string `name:"ca" type:"existingfile" placeholder:"FILE" help:"Certificates to trust (PEM); without it the CA in the data folder, else those of the system."`
}

func (f hubFlags) find() (*client.Hub, error) {
	return client.Find(client.Options{Login: f.Login, Data: f.Data, CA: f.CA})
}

// jsonFlag asks for output that a program reads.
type jsonFlag struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// line prints one line of result.
func (c *console) line(format string, args ...any) error {
	_, err := fmt.Fprintf(c.out, format+"\n", args...)
	return err
}

// json prints one result as indented JSON.
func (c *console) json(v any) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// raw prints one line of JSON as it came.
func (c *console) raw(line []byte) error {
	_, err := fmt.Fprintf(c.out, "%s\n", line)
	return err
}

// table prints rows of equally many cells under a heading.
func (c *console) table(heading []string, rows [][]string) error {
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	for _, row := range append([][]string{heading}, rows...) {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(w, strings.Join(row, "\t")) //nolint:errcheck // Flush reports it
	}
	return w.Flush()
}

// fields prints names and values in two columns, and leaves out empty values.
func (c *console) fields(pairs [][2]string) error {
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	for _, p := range pairs {
		if p[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", p[0], printable(p[1])) //nolint:errcheck // Flush reports it
		}
	}
	return w.Flush()
}

// printable escapes what could steer a terminal: what devices send is shown, never
// obeyed.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

// when writes a time for a person; never is "-".
func when(t iot.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}
