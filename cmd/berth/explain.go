package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-iot/berth/internal/iot"
)

// explainCmd is "berth explain".
type explainCmd struct {
	hubFlags
	jsonFlag

	Device string     `arg:"" help:"Device id."`
	Module string     `placeholder:"ID" help:"A module of the device instead."`
	At     *sinceTime `placeholder:"TIME" help:"As of this time: 2026-01-31T09:30:00Z, or so long ago: 15m, 24h."`
}

// Run explains the conflicts of the identity's clients, or says that there are none.
func (c *explainCmd) Run(ctx context.Context, con *console) error {
	id := iot.Identity{Device: c.Device, Module: c.Module}
	if !iot.ValidID(id.Device) || id.IsModule() && !iot.ValidID(id.Module) {
		return usageError(fmt.Sprintf("%q cannot be an identity", id))
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	var at sinceTime
	if c.At != nil {
		at = *c.At
	}
	e, err := hub.Explain(ctx, id, at.Time)
	if err != nil {
		return err
	}
	if c.JSON {
		return con.json(e)
	}
	return con.explanation(e)
}

// explanation shows an explanation to a person.
func (c *console) explanation(e iot.Explanation) error {
	if err := c.fields(head(e)); err != nil {
		return err
	}
	if len(e.Clients) > 0 {
		if err := c.clients(e.Clients); err != nil {
			return err
		}
	}
	if len(e.Conflicts) > 0 {
		if err := c.timeline(e.Conflicts); err != nil {
			return err
		}
	}
	if err := c.ledger(e); err != nil {
		return err
	}
	return c.tail(e)
}

// head is the verdict and what it rests on.
func head(e iot.Explanation) [][2]string {
	pairs := [][2]string{{"identity", e.Identity().String()}, {"verdict", words(e.Verdict)}}
	if e.Verdict != iot.VerdictNone {
		pairs = append(pairs, [2]string{"confidence", percent(e.Confidence)})
	}
	if e.Cause != nil {
		pairs = append(pairs, [2]string{"cause", causeText(*e.Cause)})
	}
	return append(pairs, [2]string{"summary", e.Summary})
}

// words is a verdict as a person reads it.
func words(v iot.Verdict) string {
	if v == iot.VerdictNone {
		return "no conflict"
	}
	return strings.ReplaceAll(string(v), "_", " ")
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// causeText names a cause of the article on 400027.
func causeText(cause int) string {
	if cause == 1 {
		return "1 of the article on 400027: the old connection was gone, and the hub had not noticed"
	}
	return fmt.Sprintf("%d of the article on 400027: two connections used the identity at once", cause)
}

// clients shows who took part.
func (c *console) clients(list []iot.ExplanationClient) error {
	rows := make([][]string, len(list))
	for i, k := range list {
		rows[i] = []string{
			k.ID, k.RemoteAddress, k.Transport, orNever(k.ClientType), orNever(k.Credential), moment(k.FirstSeen), moment(k.LastSeen),
			fmt.Sprint(k.Won), fmt.Sprint(k.Lost),
		}
	}
	if err := c.line("\nClients"); err != nil {
		return err
	}
	return c.table([]string{"  ", "ADDRESS", "TRANSPORT", "CLIENT TYPE", "CREDENTIAL", "FIRST SEEN", "LAST SEEN", "WON", "LOST"}, rows)
}

// ledger shows the evidence: what speaks for the verdict, against it, and the rest.
func (c *console) ledger(e iot.Explanation) error {
	var speaksFor, against, rest []iot.Evidence
	for _, ev := range e.Evidence {
		switch {
		case slices.Contains(ev.For, e.Verdict):
			speaksFor = append(speaksFor, ev)
		case slices.Contains(ev.Against, e.Verdict):
			against = append(against, ev)
		default:
			rest = append(rest, ev)
		}
	}
	for _, part := range []struct {
		heading string
		lines   []iot.Evidence
	}{{"Speaks for it", speaksFor}, {"Speaks against it", against}, {"Also observed", rest}} {
		if len(part.lines) == 0 {
			continue
		}
		if err := c.line("\n%s", part.heading); err != nil {
			return err
		}
		for _, ev := range part.lines {
			if err := c.line("  %-8s  %s", ev.Strength, printable(ev.Observed)+signalOf(ev)); err != nil {
				return err
			}
		}
	}
	return nil
}

// signalOf names a signal and, if the verdict is not what it speaks for, what is.
func signalOf(ev iot.Evidence) string {
	return fmt.Sprintf("  [%s %s]", printable(ev.Signal), moment(ev.At))
}

// tail is what else could be, what is not known, what it cost, and what to do.
func (c *console) tail(e iot.Explanation) error {
	var pairs [][2]string
	add := func(name, value string) { pairs = append(pairs, [2]string{name, value}) }
	if r := e.RunnerUp; r != nil {
		add("runner-up", fmt.Sprintf("%s, %s", words(r.Verdict), percent(r.Confidence)))
		add("it would be if", r.WouldFlipIf)
	}
	add("not known", strings.Join(e.Missing, "; "))
	add("lost", lossText(e.Lost))
	add("next check", e.Advice.Next)
	add("fix", e.Advice.Fix)
	if err := c.line(""); err != nil {
		return err
	}
	return c.fields(pairs)
}

// lossText is what the displacements cost; "" if nothing.
func lossText(l iot.ExplanationLoss) string {
	var parts []string
	for _, part := range []struct {
		n    uint64
		what string
	}{
		{l.PublishesUnacknowledged, "published and not acknowledged: %d (they are stored; the client may send them again)"},
		{l.C2DReleased, "cloud-to-device messages released: %d"},
		{l.MethodsFailed, "direct methods failed: %d"},
		{l.TwinOperationsRefused, "twin operations refused: %d"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf(part.what, part.n))
		}
	}
	return strings.Join(parts, "; ")
}

// moment writes an instant for a person.
func moment(m iot.Moment) string {
	if m.IsZero() {
		return never
	}
	return m.UTC().Format("2006-01-02 15:04:05.000")
}

func orNever(s string) string {
	if s == "" {
		return never
	}
	return s
}
