package diagnosis

import (
	"cmp"
	"slices"

	"github.com/berth-iot/berth/internal/iot"
)

// asked reports whether q asks for a story.
func asked(q *iot.ConflictQuery, s *iot.ConflictSummary) bool {
	return (q.Verdict == "" || q.Verdict == s.Verdict) && !s.Last.Before(q.Since)
}

// list gives the stories that q asks for, in no order.
func (c *clerk) list(q *iot.ConflictQuery) []iot.ConflictSummary {
	list := []iot.ConflictSummary{}
	c.judge() // what was told before is in the list
	for _, e := range c.entries {
		if s := e.Value.(*entry); asked(q, &s.summary) {
			list = append(list, s.summary)
		}
	}
	return list
}

// order sorts a list as q says, and cuts it.
func order(list []iot.ConflictSummary, q *iot.ConflictQuery) []iot.ConflictSummary {
	worst := iot.Verdicts()
	slices.SortFunc(list, func(a, b iot.ConflictSummary) int {
		newest := cmp.Or(b.Last.Compare(a.Last.Time), cmp.Compare(a.Identity().String(), b.Identity().String()))
		if q.Order != iot.ConflictWorst {
			return newest
		}
		return cmp.Or(cmp.Compare(slices.Index(worst, a.Verdict), slices.Index(worst, b.Verdict)),
			cmp.Compare(b.Conflicts, a.Conflicts), newest)
	})
	limit := q.Limit
	if limit <= 0 {
		limit = iot.DefaultConflicts
	}
	return list[:min(len(list), limit, iot.MaxConflicts)]
}
