package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// EventQuery says which telemetry to read. The zero value follows every partition
// from its end.
type EventQuery struct {
	Partition    *int // nil: all
	Device       string
	Module       string // with Device
	From         Start
	FromSequence *uint64   // wins over From
	FromTime     time.Time // wins over From
	Max          int       // events; 0: no bound
	NoFollow     bool      // end at the events there are
}

// Start is where a stream begins.
type Start string

// The starts of a stream.
const (
	FromEnd      Start = "end"
	FromEarliest Start = "earliest"
)

func (q EventQuery) values() url.Values {
	v := url.Values{"follow": {strconv.FormatBool(!q.NoFollow)}}
	if q.Partition != nil {
		v.Set("partition", strconv.Itoa(*q.Partition))
	}
	setIdentity(v, q.Device, q.Module)
	switch {
	case q.FromSequence != nil:
		v.Set("fromSequence", strconv.FormatUint(*q.FromSequence, 10))
	case !q.FromTime.IsZero():
		v.Set("fromTime", q.FromTime.UTC().Format(time.RFC3339Nano))
	default:
		v.Set("from", string(cmp.Or(q.From, FromEnd)))
	}
	if q.Max > 0 {
		v.Set("max", strconv.Itoa(q.Max))
	}
	return v
}

// Events reads telemetry, one JSON object a line, and hands each line, which is
// good until the next, to each. It returns nil when the stream's own end is
// reached, and what each returned when that was an error.
func (h *Hub) Events(ctx context.Context, q EventQuery, each func(line []byte) error) error {
	return h.stream(ctx, []string{"berth", "v1", "events", "telemetry"}, q.values(), q.NoFollow || q.Max > 0, each)
}

// setIdentity asks for one device, or one module of it.
func setIdentity(v url.Values, device, module string) {
	if device != "" {
		v.Set("device", device)
	}
	if module != "" {
		v.Set("module", module)
	}
}

// logValues are the parameters of a query of the resource log.
func logValues(q iot.LogQuery) url.Values {
	v := url.Values{"follow": {strconv.FormatBool(q.Follow)}}
	setIdentity(v, q.Device, q.Module)
	if q.Category != "" {
		v.Set("category", q.Category)
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if q.Tail > 0 {
		v.Set("tail", strconv.Itoa(q.Tail))
	}
	return v
}

// Logs reads the resource log as Events reads telemetry.
func (h *Hub) Logs(ctx context.Context, q iot.LogQuery, each func(line []byte) error) error {
	return h.stream(ctx, []string{"berth", "v1", "events", "resource-log"}, logValues(q), !q.Follow, each)
}

// streamError reads a line that says that the stream broke: {"error":{"code":…}}.
func streamError(line []byte) error {
	if !bytes.HasPrefix(line, []byte(`{"error":{`)) {
		return nil
	}
	var broken struct {
		Error struct {
			Code    fault.Code
			Message string
		}
	}
	if err := json.Unmarshal(line, &broken); err != nil {
		return fmt.Errorf("the hub's stream is not as expected: %w", err)
	}
	e := broken.Error
	return &RefusedError{Status: e.Code.Status(), Name: e.Code.Name(), Text: e.Message}
}

// errStreamEnded says that the hub ended a stream that should go on.
var errStreamEnded = errors.New("the hub ended the stream; it may be stopping")

// stream reads the lines of one answer. ends says whether the stream ends by itself.
func (h *Hub) stream(ctx context.Context, path []string, query url.Values, ends bool, each func([]byte) error) error {
	answer, err := h.send(ctx, Request{Method: http.MethodGet, Path: path, Query: query}, "application/x-ndjson")
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // only read from
	if answer.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(answer.Body, maxLine))
		if err != nil {
			return fmt.Errorf("read the hub's refusal: %w", err)
		}
		return refusal(answer.StatusCode, answer.Header, body)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 64*1024), maxLine)
	for lines.Scan() {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 { // an empty line is a sign of life
			if err := streamError(line); err != nil {
				return err
			}
			if err := each(line); err != nil {
				return err
			}
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("read the stream: %w", err)
	case !ends:
		return errStreamEnded
	}
	return nil
}
