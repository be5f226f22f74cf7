package rig

import (
	"bytes"
	"encoding/json"
	"time"
)

// Event is one line of "berth monitor --json".
type Event struct {
	Partition    int                `json:"partition"`
	Sequence     uint64             `json:"sequenceNumber"`
	Offset       string             `json:"offset"`
	EnqueuedTime time.Time          `json:"enqueuedTime"`
	DeviceID     string             `json:"deviceId"`
	ModuleID     string             `json:"moduleId"`
	System       map[string]string  `json:"systemProperties"`
	Application  map[string]*string `json:"applicationProperties"` // nil is a name without a value
	Body         json.RawMessage    `json:"body"`
	BodyBase64   *string            `json:"bodyBase64"`
}

// Text is the body of an event that was sent as text, and the JSON of one that was not.
func (e Event) Text() string {
	var s string
	if json.Unmarshal(e.Body, &s) == nil {
		return s
	}
	return string(e.Body)
}

// Property is an application property; "" if there is none.
func (e Event) Property(name string) string {
	if v := e.Application[name]; v != nil {
		return *v
	}
	return ""
}

// Events gives everything in the telemetry log, as "berth monitor" prints it; args
// narrow it.
func (h *Hub) Events(args ...string) []Event {
	h.tb.Helper()
	out := h.Berth(append([]string{"monitor", "--json", "--from", "earliest", "--no-follow"}, args...)...).Must()
	return decodeLines[Event](h, out.Stdout)
}

// LogRecord is one line of the resource log in the published envelope.
type LogRecord struct {
	Time              time.Time `json:"time"`
	ResourceID        string    `json:"resourceId"`
	OperationName     string    `json:"operationName"`
	Category          string    `json:"category"`
	Level             string    `json:"level"`
	ResultType        string    `json:"resultType"`
	ResultDescription string    `json:"resultDescription"`
	Properties        string    `json:"properties"` // a JSON document in a string
	Location          string    `json:"location"`
}

// Facts decodes the properties, the JSON document in the record.
func (r LogRecord) Facts() (map[string]any, error) {
	var facts map[string]any
	err := json.Unmarshal([]byte(r.Properties), &facts)
	return facts, err
}

// Logs gives the records of the resource log, as "berth logs --json" prints them; args
// narrow it.
func (h *Hub) Logs(args ...string) []LogRecord {
	h.tb.Helper()
	out := h.Berth(append([]string{"logs", "--json"}, args...)...).Must()
	return decodeLines[LogRecord](h, out.Stdout)
}

// Log waits for a record of the resource log about a device that fits, and gives it.
func (h *Hub) Log(device, operation, resultType string) LogRecord {
	h.tb.Helper()
	var found LogRecord
	var all []LogRecord
	ok := until(h.tb.Context(), Within, func() bool {
		all = h.Logs("--device", device)
		for _, r := range all {
			if r.OperationName == operation && r.ResultType == resultType {
				found = r
				return true
			}
		}
		return false
	})
	if !ok {
		h.tb.Fatalf("no record of %s with %q about %s within %v; the log holds %+v", operation, resultType, device, Within, all)
	}
	return found
}

func decodeLines[T any](h *Hub, out []byte) []T {
	h.tb.Helper()
	var all []T
	for line := range bytes.SplitSeq(out, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			h.tb.Fatalf("line %q: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}
