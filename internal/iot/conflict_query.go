package iot

import "time"

// ConflictOrder is how a list of conflicts is sorted.
type ConflictOrder string

// The orders of a list of conflicts; absent is ConflictNewest.
const (
	ConflictNewest ConflictOrder = "newest" // the most recent displacement first
	ConflictWorst  ConflictOrder = "worst"  // the worst verdict first, then the most displacements
)

// UnmarshalText matches an order without regard to case; empty stays empty.
func (o *ConflictOrder) UnmarshalText(b []byte) error {
	return setEnum(o, b, "order", ConflictNewest, ConflictWorst)
}

// The bounds of ConflictQuery.Limit.
const (
	DefaultConflicts = 100
	MaxConflicts     = 10_000
)

// ConflictQuery says which identities' conflicts a reader wants. The zero query is
// the DefaultConflicts most recent ones.
type ConflictQuery struct {
	Verdict Verdict   // only these; empty: all
	Since   time.Time // only those with a displacement at this time or later
	Limit   int       // 0 is DefaultConflicts; more than MaxConflicts is cut to it
	Order   ConflictOrder
}

// ConflictSummary is the conflicts of one identity in one line: a story.
type ConflictSummary struct {
	DeviceID   string  `json:"deviceId"`
	ModuleID   *string `json:"moduleId"`
	Verdict    Verdict `json:"verdict"`
	Cause      *int    `json:"cause"`
	Confidence float64 `json:"confidence"`
	Summary    string  `json:"summary"`
	Since      Moment  `json:"since"`     // the story's first displacement
	Last       Moment  `json:"last"`      // its most recent one
	Conflicts  uint64  `json:"conflicts"` // how many displacements
	Clients    int     `json:"clients"`   // how many clients can be told apart
	// Addresses are of the clients told apart.
	Addresses []string `json:"addresses"`
	// Lost, if not 0, says that a follower was too slow for so many summaries; the others
	// are then empty.
	Lost uint64 `json:"lost,omitempty"`
}

// Identity is whom the summary is about.
func (s ConflictSummary) Identity() Identity {
	id := Identity{Device: s.DeviceID}
	if s.ModuleID != nil {
		id.Module = *s.ModuleID
	}
	return id
}

// Masked is the summary with every address masked, in its text too.
func (s ConflictSummary) Masked() ConflictSummary {
	m := masker{}
	masked := make([]string, len(s.Addresses))
	for i, a := range s.Addresses {
		m.add(a)
		masked[i] = maskText(a)
	}
	s.Addresses, s.Summary = masked, m.text(s.Summary)
	return s
}
