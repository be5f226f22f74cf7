package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/berth-iot/berth/internal/iot"
)

// conflictsCmd is "berth conflicts".
type conflictsCmd struct {
	hubFlags
	jsonFlag

	Verdict iot.Verdict       `placeholder:"VERDICT" help:"Only conflicts with this verdict: two_clients, opened_twice, undecided, half_open_reconnect, restart_overlap, planned_handover, credential_renewal."`
	Since   *sinceTime        `placeholder:"TIME" help:"Only conflicts of this time or later: 2026-01-31T09:30:00Z, or so long ago: 15m, 24h."`
	Limit   int               `placeholder:"N" help:"At most so many identities (default 100)."`
	Order   iot.ConflictOrder `placeholder:"newest|worst" help:"The most recent first (the default), or the worst verdict."`
	Follow  bool              `short:"f" help:"Go on with conflicts as they begin and change."`
}

// Run lists the fleet's conflicts; to follow, it goes on with what comes until it is
// interrupted.
func (c *conflictsCmd) Run(ctx context.Context, con *console) error {
	if c.Limit < 0 || c.Limit > iot.MaxConflicts {
		return usageError(fmt.Sprintf("--limit must be 1 to %d", iot.MaxConflicts))
	}
	hub, err := c.find()
	if err != nil {
		return err
	}
	query := iot.ConflictQuery{Verdict: c.Verdict, Limit: c.Limit, Order: c.Order}
	if c.Since != nil {
		query.Since = c.Since.Time
	}
	if c.Follow {
		each := con.raw
		if !c.JSON {
			each = func(line []byte) error { return printConflict(con.out, line) }
		}
		return followed(ctx, hub.FollowConflicts(ctx, query, each))
	}
	list, err := hub.Conflicts(ctx, query)
	if err != nil {
		return err
	}
	if c.JSON {
		return con.json(list)
	}
	rows := make([][]string, len(list))
	for i, s := range list {
		rows[i] = []string{
			moment(s.Last), s.Identity().String(), words(s.Verdict), percent(s.Confidence), fmt.Sprint(s.Conflicts), fmt.Sprint(s.Clients),
			strings.Join(s.Addresses, ", "),
		}
	}
	return con.table([]string{"LAST", "IDENTITY", "VERDICT", "SURE", "CONFLICTS", "CLIENTS", "ADDRESSES"}, rows)
}

// printConflict shows one line of the stream of conflicts.
func printConflict(w io.Writer, line []byte) error {
	var s iot.ConflictSummary
	if err := json.Unmarshal(line, &s); err != nil {
		return fmt.Errorf("the hub's stream is not as expected: %w", err)
	}
	if s.Lost > 0 {
		return printLost(w, s.Lost)
	}
	text := fmt.Sprintf("%s  %s  %s  %s  conflicts %d  clients %d  %s", moment(s.Last), s.Identity(), words(s.Verdict), percent(s.Confidence),
		s.Conflicts, s.Clients, s.Summary)
	_, err := fmt.Fprintln(w, printable(text))
	return err
}

// printLost says that a stream came faster than it was read.
func printLost(w io.Writer, n uint64) error {
	_, err := fmt.Fprintf(w, "(%d lines were lost: they came faster than they were read)\n", n)
	return err
}
