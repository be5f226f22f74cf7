package iot

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Explanation says what happened between the clients of one identity and why, in
// evidence a person can use (architecture 5).
type Explanation struct {
	DeviceID    string              `json:"deviceId"`
	ModuleID    *string             `json:"moduleId"`
	GeneratedAt Moment              `json:"generatedAt"`
	Verdict     Verdict             `json:"verdict"`
	Cause       *int                `json:"cause"` // 1 or 2 of the article on 400027; null: neither
	Confidence  float64             `json:"confidence"`
	Summary     string              `json:"summary"`
	RunnerUp    *RunnerUp           `json:"runnerUp"`
	Evidence    []Evidence          `json:"evidence"`
	Missing     []string            `json:"missing"`
	Clients     []ExplanationClient `json:"clients"`
	Conflicts   []Conflict          `json:"conflicts"` // oldest first: the first ones of the story and the most recent
	Lost        ExplanationLoss     `json:"lost"`
	Advice      Advice              `json:"advice"`
}

// RunnerUp is the verdict that came second.
type RunnerUp struct {
	Verdict     Verdict `json:"verdict"`
	Confidence  float64 `json:"confidence"`
	WouldFlipIf string  `json:"wouldFlipIf"`
}

// Strength is how much a signal weighs.
type Strength string

// The strengths of evidence.
const (
	Strong   Strength = "strong"
	Moderate Strength = "moderate"
	Weak     Strength = "weak"
)

// Evidence is one line of the ledger: a signal, what it speaks for and against, and
// what was observed.
type Evidence struct {
	Signal   string    `json:"signal"`
	Strength Strength  `json:"strength"`
	For      []Verdict `json:"for"`
	Against  []Verdict `json:"against"`
	Observed string    `json:"observed"`
	At       Moment    `json:"at"`
}

// ExplanationClient is one client of the story, as far as clients can be told apart.
type ExplanationClient struct {
	ID            string `json:"id"` // "A", "B" …
	RemoteAddress string `json:"remoteAddress"`
	Transport     string `json:"transport"`
	ClientType    string `json:"clientType"`
	Credential    string `json:"credential,omitempty"` // in words: "primary key", "policy device", "certificate 1f2e…"
	FirstSeen     Moment `json:"firstSeen"`
	LastSeen      Moment `json:"lastSeen"`
	Won           uint64 `json:"won"`  // displacements in which it was the newcomer
	Lost          uint64 `json:"lost"` // displacements in which it was displaced
}

// ExplanationLoss is what the displacements cost.
type ExplanationLoss struct {
	C2DReleased             uint64 `json:"c2dReleased"`
	MethodsFailed           uint64 `json:"methodsFailed"`
	TwinOperationsRefused   uint64 `json:"twinOperationsRefused"`
	PublishesUnacknowledged uint64 `json:"publishesUnacknowledged"`
}

// Advice is what to do.
type Advice struct {
	Next string `json:"next"` // the next check
	Fix  string `json:"fix"`
}

// NoConflict is the explanation of an identity without a conflict.
func NoConflict(id Identity, now time.Time) Explanation {
	e := Explanation{
		DeviceID: id.Device, GeneratedAt: MomentOf(now), Verdict: VerdictNone, Confidence: 1,
		Summary:  "No connection of this identity was displaced by another one.",
		Evidence: []Evidence{}, Missing: []string{}, Clients: []ExplanationClient{}, Conflicts: []Conflict{},
		Advice: Advice{
			Next: "If the client still reports disconnects, look at its connections with: berth monitor connections",
			Fix:  "Nothing to fix.",
		},
	}
	if id.IsModule() {
		e.ModuleID = &id.Module
	}
	return e
}

// Identity is whom the explanation is about.
func (e Explanation) Identity() Identity {
	id := Identity{Device: e.DeviceID}
	if e.ModuleID != nil {
		id.Module = *e.ModuleID
	}
	return id
}

// Masked is the explanation with every address masked, in its texts too.
func (e Explanation) Masked() Explanation {
	m := masker{}
	for i := range e.Clients {
		m.add(e.Clients[i].RemoteAddress)
	}
	for i := range e.Conflicts {
		m.add(e.Conflicts[i].Loser.RemoteAddress)
		m.add(e.Conflicts[i].Winner.RemoteAddress)
	}
	e.Summary = m.text(e.Summary)
	e.Evidence = slices.Clone(e.Evidence)
	for i := range e.Evidence {
		e.Evidence[i].Observed = m.text(e.Evidence[i].Observed)
	}
	e.Clients = slices.Clone(e.Clients)
	for i := range e.Clients {
		e.Clients[i].RemoteAddress = maskText(e.Clients[i].RemoteAddress)
	}
	e.Conflicts = slices.Clone(e.Conflicts)
	for i := range e.Conflicts {
		e.Conflicts[i] = e.Conflicts[i].Masked()
	}
	return e
}

// masker masks the addresses it was told of wherever they stand in a text.
type masker struct{ addresses []string }

func (m *masker) add(address string) {
	if address != "" && !slices.Contains(m.addresses, address) {
		m.addresses = append(m.addresses, address)
	}
}

func (m *masker) text(s string) string {
	// The longest first: one address may begin another.
	slices.SortFunc(m.addresses, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, a := range m.addresses {
		s = strings.ReplaceAll(s, a, maskText(a))
	}
	return s
}
