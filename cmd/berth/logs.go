package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// logsCmd is "berth logs".
type logsCmd struct {
	hubFlags
	jsonFlag

	Follow   bool       `short:"f" help:"Go on with new records."`
	Device   string     `placeholder:"ID" help:"Only records of this device and its modules."`
	Module   string     `placeholder:"ID" help:"With --device: only records of this module."`
	Category string     `placeholder:"NAME" help:"Only records of this category: Connections, DeviceTelemetry, C2DCommands, DeviceIdentityOperations."`
	Since    *sinceTime `placeholder:"TIME" help:"Only records of this time or later: 2026-01-31T09:30:00Z, or so long ago: 15m, 24h."`
	Tail     int        `placeholder:"N" help:"Of the records there are, only the last so many."`
}

// logCategories are those that the resource log has.
func logCategories() []string {
	return []string{"Connections", "DeviceTelemetry", "C2DCommands", "DeviceIdentityOperations"}
}

// sinceTime is an instant, written as one or as how long ago it was.
type sinceTime struct{ time.Time }

// UnmarshalText reads an RFC 3339 time or a duration before now.
func (s *sinceTime) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil && ago >= 0 {
		s.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a time like 2026-01-31T09:30:00Z nor a duration like 15m", text)
	}
	s.Time = at
	return nil
}

// Run shows records until the log's end, or until interrupted when following.
func (c *logsCmd) Run(ctx context.Context, con *console) error {
	if c.Tail < 0 || c.Tail > iot.MaxLogTail {
		return usageError(fmt.Sprintf("--tail must be 1 to %d", iot.MaxLogTail))
	}
	if c.Module != "" && c.Device == "" {
		return usageError("--module needs --device")
	}
	known := func(name string) bool { return strings.EqualFold(name, c.Category) }
	if c.Category != "" && !slices.ContainsFunc(logCategories(), known) {
		return usageError("--category must be one of " + strings.Join(logCategories(), ", "))
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	query := iot.LogQuery{Device: c.Device, Module: c.Module, Category: c.Category, Tail: c.Tail, Follow: c.Follow}
	if c.Since != nil {
		query.Since = c.Since.Time
	}
	each := con.raw
	if !c.JSON {
		each = func(line []byte) error { return printRecord(con.out, line) }
	}
	err = hub.Logs(ctx, query, each)
	if c.Follow {
		return followed(ctx, err)
	}
	return err
}

// record is what a person is shown of a line of the resource log.
type record struct {
	Time              string `json:"time"`
	Category          string `json:"category"`
	OperationName     string `json:"operationName"`
	Level             string `json:"level"`
	ResultType        string `json:"resultType"`
	ResultDescription string `json:"resultDescription"`
	Properties        string `json:"properties"` // JSON in a string
}

// printRecord shows one record: what happened to whom, from where, with what code.
func printRecord(w io.Writer, line []byte) error {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("the hub's stream is not as expected: %w", err)
	}
	var p struct{ DeviceID, ModuleID, Protocol, MaskedIPAddress, SDKVersion, ErrorMessage string }
	_ = json.Unmarshal([]byte(r.Properties), &p) // a category may have other properties; what fits is shown
	sender := p.DeviceID
	if p.ModuleID != "" {
		sender += "/" + p.ModuleID
	}
	parts := []string{r.Time, fmt.Sprintf("%-11s", r.Level), r.OperationName}
	result := strings.TrimSpace(r.ResultType + " " + r.ResultDescription)
	for _, s := range []string{sender, result, p.Protocol, p.MaskedIPAddress, p.SDKVersion, p.ErrorMessage} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	_, err := fmt.Fprintln(w, printable(strings.Join(parts, "  ")))
	return err
}
