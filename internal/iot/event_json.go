package iot

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EventJSON is an event as `berth monitor --json` and /berth/v1/events/telemetry
// show it. Exactly one of Body and BodyBase64 is there.
type EventJSON struct {
	Partition             int                `json:"partition"`
	SequenceNumber        uint64             `json:"sequenceNumber"`
	Offset                string             `json:"offset"`       // decimal
	EnqueuedTime          string             `json:"enqueuedTime"` // UTC, milliseconds, Z
	DeviceID              string             `json:"deviceId"`
	ModuleID              string             `json:"moduleId,omitempty"`
	SystemProperties      map[string]string  `json:"systemProperties"`
	ApplicationProperties map[string]*string `json:"applicationProperties"` // nil is null: a name without a value
	Body                  json.RawMessage    `json:"body,omitempty"`        // the JSON sent as application/json, or a string
	BodyBase64            *string            `json:"bodyBase64,omitempty"`  // of a body that is not UTF-8
}

// NewEventJSON shows an event whose properties are parsed.
func NewEventJSON(e Event, m Message) EventJSON {
	v := EventJSON{
		Partition:             e.Partition,
		SequenceNumber:        e.Sequence,
		Offset:                strconv.FormatUint(e.Offset, 10),
		EnqueuedTime:          e.Enqueued.UTC().Format(enqueuedLayout),
		DeviceID:              e.Stamp.Identity.Device,
		ModuleID:              e.Stamp.Identity.Module,
		SystemProperties:      make(map[string]string, len(m.System)),
		ApplicationProperties: make(map[string]*string, len(m.Application)),
	}
	for i := range m.System {
		v.SystemProperties[m.System[i].Name] = m.System[i].Value
	}
	for i := range m.Application {
		p := &m.Application[i]
		if p.Null {
			v.ApplicationProperties[p.Name] = nil
		} else {
			v.ApplicationProperties[p.Name] = &p.Value
		}
	}
	v.setBody(m)
	return v
}

// setBody chooses how the body is shown.
func (v *EventJSON) setBody(m Message) {
	if !utf8.Valid(m.Body) {
		text := base64.StdEncoding.EncodeToString(m.Body)
		v.BodyBase64 = &text
		return
	}
	contentType, _ := m.System.Get(ContentType)
	if isJSONType(contentType) && json.Valid(m.Body) {
		v.Body = json.RawMessage(m.Body)
		return
	}
	v.Body = quoteJSON(string(m.Body))
}

// isJSONType reports whether a content type is application/json, parameters and
// letter case aside.
func isJSONType(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// Line is the event as one line of JSON, line feed included; '<', '>' and '&' stand
// for themselves.
func (v EventJSON) Line() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// quoteJSON is s as a JSON string, with '<', '>' and '&' as they are.
func quoteJSON(s string) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // a string always encodes
		return json.RawMessage(`""`)
	}
	return json.RawMessage(bytes.TrimSuffix(b.Bytes(), []byte{'\n'}))
}
