package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/berth-iot/berth/internal/iot"
)

// lanes are the two columns of a timeline: one for each client where there are two, or
// else one for the displaced and one for the newcomers, whoever they are.
type lanes struct {
	names [2]string // as headings
	two   bool
}

// lanesOf looks for two clients of which every conflict names both.
func lanesOf(conflicts []iot.Conflict) lanes {
	var ids []string
	for _, c := range conflicts {
		for _, id := range []string{c.Loser.Client, c.Winner.Client} {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		if c.Loser.Client == c.Winner.Client {
			return sides()
		}
	}
	if len(ids) != 2 || slices.Contains(ids, "") {
		return sides()
	}
	slices.Sort(ids)
	return lanes{names: [2]string{ids[0], ids[1]}, two: true}
}

func sides() lanes { return lanes{names: [2]string{"DISPLACED", "NEWCOMER"}} }

// row puts what happened to both sides of a conflict, at once, into their columns.
func (l lanes) row(c iot.Conflict) []string {
	loser, winner := displacedText(c), "connected"+from(c.Winner)
	switch {
	case !l.two:
		return []string{moment(c.At), named(c.Loser.Client) + loser, named(c.Winner.Client) + winner}
	case c.Loser.Client == l.names[0]:
		return []string{moment(c.At), loser, winner}
	}
	return []string{moment(c.At), winner, loser}
}

// opening is the row of the first connection of the story.
func (l lanes) opening(first iot.Peer) []string {
	text := "connected" + from(first)
	switch {
	case !l.two:
		return []string{moment(first.ConnectedAt), named(first.Client) + text, ""}
	case first.Client == l.names[0]:
		return []string{moment(first.ConnectedAt), text, ""}
	}
	return []string{moment(first.ConnectedAt), "", text}
}

func named(client string) string {
	if client == "" {
		return ""
	}
	return client + " "
}

func from(p iot.Peer) string {
	if p.RemoteAddress == "" {
		return ""
	}
	return " from " + p.RemoteAddress + " port " + strconv.Itoa(int(p.RemotePort))
}

// displacedText is what became of the loser.
func displacedText(c iot.Conflict) string {
	text := fmt.Sprintf("displaced, %06d", c.Code)
	switch {
	case c.Afterlife == "pending":
		return text
	case c.Unobserved:
		return text + ", not watched"
	}
	text += ", " + c.Afterlife
	if c.AfterlifeMS != nil {
		text += fmt.Sprintf(" after %d ms", *c.AfterlifeMS)
	}
	if c.Farewell {
		text += ", said goodbye"
	}
	return text
}

// timeline shows the conflicts, oldest first.
func (c *console) timeline(conflicts []iot.Conflict) error {
	l := lanesOf(conflicts)
	rows := [][]string{l.opening(conflicts[0].Loser)}
	for i, conflict := range conflicts {
		if i > 0 && conflict.Number > conflicts[i-1].Number+1 {
			rows = append(rows, []string{fmt.Sprintf("(%d more)", conflict.Number-conflicts[i-1].Number-1), "", ""})
		}
		rows = append(rows, l.row(conflict))
	}
	if err := c.line("\nTimeline"); err != nil {
		return err
	}
	return c.table([]string{"TIME (UTC)", l.names[0], l.names[1]}, rows)
}
