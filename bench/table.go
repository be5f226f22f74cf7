package main

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// print writes the Markdown of docs/performance.md: what was wanted and measured, every
// figure, and on what machine.
func (r *rig) print(ctx context.Context, w io.Writer, results []*result) error {
	var b strings.Builder
	b.WriteString("## Reach\n\n| Work | Wanted | Measured | |\n|---|---|---|---|\n")
	for _, res := range results {
		for _, t := range res.load.reach(res) {
			mark := "short"
			if t.met {
				mark = "met"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", res.load.name, t.wanted, t.measured, mark)
		}
	}
	b.WriteString("\n## Figures\n\nMedians of all rounds; ratios are medians of the rounds' own, each server's run beside Berth's.\n")
	for _, res := range results {
		res.figures(&b)
	}
	b.WriteString("\n## Machine\n\n")
	for _, line := range r.machine(ctx) {
		b.WriteString("- " + line + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// column is one column of a load's table.
type column struct {
	head   string
	format string
	figure func(*report) float64
}

// columns are what a load's table shows.
func (r *result) columns() []column {
	usual := []column{
		{"per second", "%.0f", rate}, {"server CPU µs each", "%.2f", cpu}, {"p50 ms", "%.2f", p50}, {"p99 ms", "%.2f", p99},
	}
	failed := column{"failed", "%.0f", func(r *report) float64 { return float64(r.Failed) }}
	switch r.load.key {
	case "idle":
		return []column{
			{"kB resident a device", "%.1f", grown},
			{"connects a second", "%.0f", rate},
			{"server CPU µs a connect", "%.0f", cpu},
			failed,
		}
	case "takeover":
		return append(usual,
			column{"p50 ms by kernel stamps", "%.3f", func(r *report) float64 {
				if r.Kernel == nil {
					return 0
				}
				return r.Kernel.P50 / 1e3
			}},
			column{"p99 ms by kernel stamps", "%.3f", func(r *report) float64 {
				if r.Kernel == nil {
					return 0
				}
				return r.Kernel.P99 / 1e3
			}},
			column{"left open", "%.0f", left}, failed)
	case "c2d":
		return append(usual, column{"p50 ms to settled", "%.2f", settled}, failed)
	case "events", "events8":
		return []column{{"events per second", "%.0f", rate}, {"server CPU µs an event", "%.2f", cpu}, failed}
	case "lag":
		return []column{
			{"acked per second", "%.0f", rate},
			{"read per second", "%.0f", read},
			{"p99 lag ms", "%.2f", lag99},
			{"largest lag s", "%.3f", behind},
			failed,
		}
	case "beside":
		return []column{
			{"acked per second", "%.0f", rate},
			{"without readers", "%.0f", alone},
			{"beside / without", "%.2f ×", slowed},
			{"read per second", "%.0f", read},
			{"largest lag s", "%.3f", behind},
			failed,
		}
	case "multiplex":
		return []column{{"MB grown", "%.1f", total}, {"kB a device", "%.1f", grown}, {"server CPU µs a device", "%.0f", cpu}, {"alive", "%.0f", alive}, failed}
	case "fairness":
		return []column{
			{"peak", "%.0f", rate},
			{"half of it", "%.0f", func(r *report) float64 { return r.Fairness.Rate }},
			{"p99 ms in peace", "%.2f", func(r *report) float64 { return r.Fairness.Calm.P99 / 1e3 }},
			{"p99 ms beside the flood", "%.2f", func(r *report) float64 { return r.Fairness.Flooded.P99 / 1e3 }},
			{"raised", "%.2f ×", raise},
			{"acked to the others", "%.0f", func(r *report) float64 { return r.Fairness.Reached }},
			{"acked to the flood", "%.0f", func(r *report) float64 { return r.Fairness.Flood }},
			failed,
		}
	}
	return append(usual, failed)
}

// figures writes one load's table.
func (r *result) figures(b *strings.Builder) {
	columns := r.columns()
	fmt.Fprintf(b, "\n**%s** (`berth bench %s`)\n\n| |", upper(r.load.name), strings.Join(r.load.args, " "))
	for _, c := range columns {
		b.WriteString(" " + c.head + " |")
	}
	b.WriteString(" rate, berth / it | CPU, berth / it |\n|---|" + strings.Repeat("---|", len(columns)+2) + "\n")
	for _, name := range r.names {
		b.WriteString("| " + name + " |")
		if !r.has(name) {
			b.WriteString(" " + unmeasured + " |" + strings.Repeat(" |", len(columns)+1) + "\n")
			continue
		}
		for _, c := range columns {
			b.WriteString(" " + fmt.Sprintf(c.format, r.of(name, c.figure)) + " |")
		}
		if name == hubName {
			b.WriteString(" | |\n")
			continue
		}
		fmt.Fprintf(b, " %.2f × | %.2f × |\n", r.ratio(hubName, name, rate), r.ratio(hubName, name, cpu))
	}
	for i, f := range r.failures {
		if i == 0 {
			b.WriteString("\n")
		}
		when := "before the first round"
		if f.round > 0 {
			when = fmt.Sprintf("round %d", f.round)
		}
		fmt.Fprintf(b, "- failed: %s, %s: %s\n", f.server, when, f.text)
	}
	if ciphers := r.ciphers(); ciphers != "" {
		b.WriteString("\n" + ciphers + "\n")
	}
}

// ciphers says what the handshakes agreed on.
func (r *result) ciphers() string {
	var said []string
	for _, name := range r.names {
		if !r.has(name) {
			continue
		}
		if c := r.rounds[name][0].Cipher; c != "" {
			said = append(said, name+": "+c)
		}
	}
	return strings.Join(said, "; ")
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
