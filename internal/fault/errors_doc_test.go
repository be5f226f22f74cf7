package fault

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/errors.md anew")

// errorsDoc is docs/errors.md as the table has it.
func errorsDoc() []byte {
	var b bytes.Buffer
	b.WriteString(`# Error codes

Generated from the table in ` + "`internal/fault/table.go`" + ` by ` + "`make docs`" + `. Do not edit.

Every refusal of the hub has one of these codes, with the name Azure IoT Hub gives it.
How a code leaves the hub depends on the edge:

- **HTTPS**: the status (the first three digits of the code), the name in the header
  ` + "`iothub-errorcode`" + `, and a JSON body with the name and a tracking id.
- **AMQP**: the condition, with the code and a tracking id in its info; what ends is the
  scope: the operation alone, the link, the session or the whole connection.
- **MQTT**: at CONNECT, the return code of the CONNACK, after which the hub closes. Later
  the protocol has no way to say why: requests under ` + "`$iothub/`" + ` are answered with the
  status; for everything else the connection is closed, and the reason is in the resource log.

| Code | Name | HTTP status | AMQP condition | Ends | MQTT CONNACK |
| --- | --- | --- | --- | --- | --- |
`)
	for _, c := range Codes() {
		fmt.Fprintf(&b, "| %06d | %s | %s | `%s` | %s | %d |\n",
			int(c), c.Name(), strings.TrimSpace(fmt.Sprint(c.Status(), " ", http.StatusText(c.Status()))), c.Condition(), c.Scope(), c.ConnAck())
	}
	return b.Bytes()
}

// TestErrorsDoc keeps docs/errors.md and the table one.
func TestErrorsDoc(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "errors.md")
	want := errorsDoc()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/errors.md is not what the table says; run `make docs`")
	}
}

// TestEveryCodeHasARowAtEveryEdge fails for a code that some transport could not
// translate.
func TestEveryCodeHasARowAtEveryEdge(t *testing.T) {
	name := regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	condition := regexp.MustCompile(`^(amqp|com\.microsoft):[a-z]+([:-][a-z]+)*$`)
	names := make(map[string]Code)
	for _, c := range Codes() {
		e := table[c]
		if c < 400_000 || c > 599_999 {
			t.Errorf("%d: the first three digits are no HTTP error status", c)
		}
		if !name.MatchString(e.name) {
			t.Errorf("%d: %q is no name", c, e.name)
		}
		if other, dup := names[e.name]; dup {
			t.Errorf("%d and %d have one name, %s", other, c, e.name)
		}
		names[e.name] = c
		if !condition.MatchString(e.condition) {
			t.Errorf("%v: %q is no AMQP condition", c, e.condition)
		}
		if e.scope.String() == "unknown" {
			t.Errorf("%v: what ends is not said", c)
		}
		// device-mqtt-http 2.4: 4 and 2 stop some clients for good, so refusals say 5 and
		// what a client should retry says 3.
		if e.connack != 5 && e.connack != 3 {
			t.Errorf("%v: CONNACK %d", c, e.connack)
		}
		switch {
		case (c.Status() >= 500 || c.Status() == http.StatusTooManyRequests) && e.connack != 3:
			t.Errorf("%v: CONNACK %d stops clients that should retry", c, e.connack)
		case c.Status() == http.StatusUnauthorized && e.connack != 5:
			t.Errorf("%v: CONNACK %d makes clients retry what will not get better", c, e.connack)
		}
	}
}

// TestEveryDeclaredCodeIsInTheTable reads table.go, so that a code without a row is
// noticed.
func TestEveryDeclaredCodeIsInTheTable(t *testing.T) {
	src, err := os.ReadFile("table.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^\t(\w+)\s+Code = (\d{6})$`).FindAllSubmatch(src, -1)
	if len(declared) < 100 || len(declared) != len(Codes()) {
		t.Errorf("%d codes declared, %d in the table", len(declared), len(Codes()))
	}
	for _, d := range declared {
		var c Code
		if _, err := fmt.Sscan(string(d[2]), &c); err != nil {
			t.Fatal(err)
		}
		if _, ok := table[c]; !ok {
			t.Errorf("%s (%d) has no row", d[1], c)
		}
	}
}

func TestCodesAscend(t *testing.T) {
	codes := Codes()
	for i := 1; i < len(codes); i++ {
		if codes[i] <= codes[i-1] {
			t.Fatalf("%d stands behind %d", codes[i], codes[i-1])
		}
	}
}
