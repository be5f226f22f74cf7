package reslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// The categories, as Azure names them, and one of Berth's own for what the log says
// of itself.
const (
	categoryConnections = "Connections"
	categoryIdentity    = "DeviceIdentityOperations"
	categoryTelemetry   = "DeviceTelemetry"
	categoryCommands    = "C2DCommands"
	categoryLog         = "BerthResourceLog"
)

// The levels.
const (
	levelInformation = "Information"
	levelError       = "Error"
)

// timeLayout is UTC with milliseconds, of fixed width, so that lines sort.
const timeLayout = "2006-01-02T15:04:05.000Z"

// item is a record on its way to the file: all that it says, nothing shared.
type item struct {
	at         time.Time
	operation  string
	category   string
	code       fault.Code   // 0: level Information, without result
	identity   iot.Identity // for those who filter
	properties any
}

// envelope is the published form of a record; the order of its members is Azure's
// (connections 3).
type envelope struct {
	Time              string `json:"time"`
	ResourceID        string `json:"resourceId"`
	OperationName     string `json:"operationName"`
	Category          string `json:"category"`
	Level             string `json:"level"`
	ResultType        string `json:"resultType,omitempty"`
	ResultDescription string `json:"resultDescription,omitempty"`
	Properties        string `json:"properties"`
	Location          string `json:"location"`
}

// location is where every record says that it was written.
const location = "berth"

// encoder makes lines; its buffers are used again.
type encoder struct {
	inner, outer []byte
	rare         bytes.Buffer
}

// line gives a record as one line with its newline; it is valid until the next call.
func (e *encoder) line(it *item, resource string) ([]byte, error) {
	if c, ok := it.properties.(*connection); ok {
		e.inner = c.appendJSON(e.inner[:0])
	} else {
		properties, err := encode(&e.rare, it.properties)
		if err != nil {
			return nil, err
		}
		e.inner = append(e.inner[:0], bytes.TrimSuffix(properties, []byte("\n"))...)
	}
	env := envelope{
		Time: it.at.UTC().Format(timeLayout), ResourceID: resource, OperationName: it.operation, Category: it.category,
		Level: levelInformation, Location: location,
	}
	if it.code != 0 {
		env.Level, env.ResultType, env.ResultDescription = levelError, fmt.Sprintf("%06d", int(it.code)), it.code.Name()
	}
	e.outer = append(env.appendJSON(e.outer[:0], e.inner), '\n')
	return e.outer, nil
}

func encode(buf *bytes.Buffer, v any) ([]byte, error) {
	buf.Reset()
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// statusCode is the HTTP status of a code as the records write it; null for none.
func statusCode(code fault.Code) *string {
	if code == 0 {
		return nil
	}
	s := fmt.Sprintf("%d", code.Status())
	return &s
}

// clip cuts what a peer chose to n bytes of valid UTF-8, without what looks like a
// secret.
func clip(s string, n int) string {
	s = scrub(s[:min(len(s), n+secretSlack)])
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func clipID(id iot.Identity) iot.Identity {
	return iot.Identity{Device: clip(id.Device, iot.MaxIDLength), Module: clip(id.Module, iot.MaxIDLength)}
}

// gap is the properties of a record that says that others are missing.
type gap struct {
	Berth gapFacts `json:"berth"`
}

type gapFacts struct {
	Missing  int    `json:"missing"`
	Category string `json:"category,omitempty"`
	Reason   string `json:"reason"`
}

// missing is a record that says that n others are not there, and why.
func missing(at time.Time, n int, category, reason string) item {
	return item{
		at: at, operation: "recordsMissing", category: categoryLog, code: fault.ThrottleBacklogLimitExceeded,
		properties: gap{gapFacts{n, category, reason}},
	}
}
