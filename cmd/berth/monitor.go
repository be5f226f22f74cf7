package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/client"
	"github.com/berth-iot/berth/internal/iot"
)

// monitorCmd is "berth monitor". Without a word behind it, it shows messages.
type monitorCmd struct {
	Messages    monitorMessagesCmd    `cmd:"" default:"withargs" help:"Show the messages that devices send (the default)."`
	Connections monitorConnectionsCmd `cmd:"" help:"Show every connect and disconnect of devices as it happens."`
}

// monitorMessagesCmd is "berth monitor messages".
type monitorMessagesCmd struct {
	hubFlags
	jsonFlag

	Device       string     `placeholder:"ID" help:"Only messages of this device and its modules."`
	Module       string     `placeholder:"ID" help:"With --device: only messages of this module."`
	Partition    *int       `placeholder:"N" help:"Only this partition."`
	From         string     `placeholder:"earliest|end|SEQ" help:"Where to begin: the oldest message kept, the end (the default when following), or a sequence number."`
	FromSequence *uint64    `placeholder:"SEQ" help:"Begin at this sequence number, in every partition shown."`
	FromTime     *time.Time `placeholder:"TIME" help:"Begin at this time, such as 2026-01-31T09:30:00Z."`
	Max          int        `placeholder:"N" help:"End after so many messages."`
	NoFollow     bool       `help:"End when the messages there are have been shown."`
}

// Run shows messages until the stream ends or the command is interrupted, which is
// its ordinary end.
func (c *monitorMessagesCmd) Run(ctx context.Context, con *console) error {
	query, err := c.query()
	if err != nil {
		return err
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	each := con.raw
	if !c.JSON {
		each = func(line []byte) error {
			var e iot.EventJSON
			if err := json.Unmarshal(line, &e); err != nil {
				return fmt.Errorf("the hub's stream is not as expected: %w", err)
			}
			return printEvent(con.out, e)
		}
	}
	return followed(ctx, hub.Events(ctx, query, each))
}

// followed takes an interruption as the end of a stream.
func followed(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

func (c *monitorMessagesCmd) query() (client.EventQuery, error) {
	q := client.EventQuery{
		Partition: c.Partition, Device: c.Device, Module: c.Module, FromSequence: c.FromSequence, Max: c.Max, NoFollow: c.NoFollow,
	}
	if c.FromTime != nil {
		q.FromTime = *c.FromTime
	}
	if c.Max < 0 || c.Partition != nil && *c.Partition < 0 {
		return q, usageError("--max and --partition must not be negative")
	}
	if c.Module != "" && c.Device == "" {
		return q, usageError("--module needs --device")
	}
	if c.From != "" && (c.FromSequence != nil || c.FromTime != nil) {
		return q, usageError("--from, --from-sequence and --from-time exclude each other")
	}
	if c.From == "" && c.NoFollow {
		c.From = string(client.FromEarliest) // at the end there would be nothing to show
	}
	switch c.From {
	case "", string(client.FromEnd), string(client.FromEarliest):
		q.From = client.Start(c.From)
	default:
		n, err := strconv.ParseUint(c.From, 10, 64)
		if err != nil {
			return q, usageError("--from takes earliest, end or a sequence number")
		}
		q.FromSequence = &n
	}
	return q, nil
}

// printEvent shows one message to a person: a heading, its properties, its body.
func printEvent(w io.Writer, e iot.EventJSON) error {
	var b strings.Builder
	sender := e.DeviceID
	if e.ModuleID != "" {
		sender += "/" + e.ModuleID
	}
	fmt.Fprintf(&b, "%s  %s  partition %d  sequence %d  offset %s\n", e.EnqueuedTime, printable(sender), e.Partition, e.SequenceNumber, e.Offset)
	if len(e.ApplicationProperties) > 0 {
		b.WriteString("  application  ")
		for i, name := range slices.Sorted(maps.Keys(e.ApplicationProperties)) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(printable(name))
			if v := e.ApplicationProperties[name]; v != nil {
				b.WriteString("=" + printable(*v))
			}
		}
		b.WriteByte('\n')
	}
	if len(e.SystemProperties) > 0 {
		b.WriteString("  system       ")
		for i, name := range slices.Sorted(maps.Keys(e.SystemProperties)) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(printable(name) + "=" + printable(e.SystemProperties[name]))
		}
		b.WriteByte('\n')
	}
	b.WriteString("  body         " + shownBody(e) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// shownBody is the body for a person: text as text, JSON as it is, other bytes by
// their number and beginning.
func shownBody(e iot.EventJSON) string {
	if e.BodyBase64 != nil {
		raw, err := base64.StdEncoding.DecodeString(*e.BodyBase64)
		if err != nil {
			return printable(*e.BodyBase64)
		}
		return fmt.Sprintf("%d bytes: %x", len(raw), raw[:min(len(raw), shownBytes)])
	}
	var text string
	if json.Unmarshal(e.Body, &text) == nil {
		return printable(text)
	}
	return printable(string(e.Body))
}

// shownBytes is how many bytes of a body that is no text a person is shown.
const shownBytes = 64
