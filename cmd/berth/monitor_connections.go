package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/berth-iot/berth/internal/iot"
)

// monitorConnectionsCmd is "berth monitor connections".
type monitorConnectionsCmd struct {
	hubFlags
	jsonFlag

	Device string `placeholder:"ID" help:"Only connections of this device and its modules."`
	Module string `placeholder:"ID" help:"With --device: only connections of this module."`
}

// Run shows every connect and disconnect as it happens, until interrupted.
func (c *monitorConnectionsCmd) Run(ctx context.Context, con *console) error {
	if c.Module != "" && c.Device == "" {
		return usageError("--module needs --device")
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	each := con.raw
	if !c.JSON {
		each = func(line []byte) error { return printConnection(con.out, line) }
	}
	return followed(ctx, hub.Connections(ctx, iot.ConnectionQuery{Device: c.Device, Module: c.Module}, each))
}

// printConnection shows one connect or disconnect.
func printConnection(w io.Writer, line []byte) error {
	var e iot.ConnectionEvent
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("the hub's stream is not as expected: %w", err)
	}
	if e.Lost > 0 {
		return printLost(w, e.Lost)
	}
	what := "connected"
	if e.Event == iot.DeviceDisconnected {
		what = "disconnected"
	}
	parts := []string{moment(e.Time), fmt.Sprintf("%-12s", what), e.Identity().String()}
	if e.Code != 0 {
		parts = append(parts, fmt.Sprintf("%06d %s", e.Code, e.CodeName))
	}
	parts = append(parts, peerText(e.Peer))
	if e.By != nil {
		parts = append(parts, "displaced by "+peerText(e.By))
	}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	parts = append(parts, "epoch "+e.Epoch, "sequence "+shortSequence(e.SequenceNumber))
	_, err := fmt.Fprintln(w, printable(strings.Join(parts, "  ")))
	return err
}

// shortSequence is a sequence number without what seldom changes: its last 16 digits, as
// a number.
func shortSequence(s string) string {
	n, err := strconv.ParseUint(s[max(len(s)-16, 0):], 16, 64)
	if err != nil {
		return s
	}
	return strconv.FormatUint(n, 10)
}

// peerText is one side of a connection in a few words.
func peerText(p *iot.Peer) string {
	if p == nil {
		return "an unknown peer"
	}
	return strings.TrimSpace(strings.Join([]string{p.Transport + from(*p), p.ClientType}, " "))
}
