package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/config"
	"github.com/berth-iot/berth/internal/iot"
)

// dataFlag names the data folder of a hub on this machine.
type dataFlag struct {
	Data string `type:"path" placeholder:"DIR" help:"Data folder of the hub; without it $$BERTH_DATA, $$XDG_DATA_HOME/berth or ~/.local/share/berth."`
}

// folder gives the data folder: the flag's, the environment's, the default.
func (f dataFlag) folder() string {
	return cmp.Or(f.Data, os.Getenv("BERTH_DATA"), config.DefaultDataDir())
}

// hubFlags say which hub a command talks to.
type hubFlags struct {
	dataFlag

	Login string `placeholder:"CONNSTR" help:"Connection string of a shared access policy; better given as $$BERTH_CONNECTION_STRING, where other users do not see it. Without either, or with --data, the policies in the data folder are used."`
	CA    string `name:"ca" type:"existingfile" placeholder:"FILE" help:"Certificates to trust (PEM); without it the CA in the data folder, else those of the system."`
}

// find gives the hub. A data folder named by flag wins over a connection string from
// the environment: a script that names a hub must not reach another.
func (f hubFlags) find() (*client.Hub, error) {
	login := f.Login
	if login == "" && f.Data == "" {
		login = os.Getenv("BERTH_CONNECTION_STRING")
	}
	return client.Find(client.Options{Login: login, Data: f.folder(), CA: f.CA})
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
	width := make([]int, len(heading))
	rows = append([][]string{heading}, rows...)
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		gap := 0
		for i, cell := range row {
			if cell != "" {
				b.WriteString(strings.Repeat(" ", gap) + cell)
				gap = 0
			}
			gap += width[i] - utf8.RuneCountInString(cell) + 2
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(c.out, b.String())
	return err
}

// fields prints names and values in two columns, and leaves out what is empty or "-".
func (c *console) fields(pairs [][2]string) error {
	pairs = slices.DeleteFunc(pairs, func(p [2]string) bool { return p[1] == "" || p[1] == never })
	width := 0
	for _, p := range pairs {
		width = max(width, len(p[0]))
	}
	for _, p := range pairs {
		if err := c.line("%-*s  %s", width, p[0], printable(p[1])); err != nil {
			return err
		}
	}
	return nil
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

// never is how a person is shown a time that is not set.
const never = "-"

// when writes a time for a person.
func when(t iot.Time) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format(time.DateTime)
}
