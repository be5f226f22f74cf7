package iot

import "slices"

// Verdict is what a conflict was, as far as the evidence carries.
type Verdict string

// The verdicts.
const (
	VerdictHalfOpen    Verdict = "half_open_reconnect" // the client came back before its dead connection was noticed
	VerdictRestart     Verdict = "restart_overlap"     // the client's process is a new one; the old one is gone
	VerdictRenewal     Verdict = "credential_renewal"  // the client renewed its token by a second connection: harmless
	VerdictOpenedTwice Verdict = "opened_twice"        // one process holds two connections
	VerdictTwoClients  Verdict = "two_clients"         // two clients use one identity
	VerdictHandover    Verdict = "planned_handover"    // one client moved to a new connection and closed the old one
	VerdictUndecided   Verdict = "undecided"           // the evidence does not carry any of them
	VerdictNone        Verdict = "none"                // there was no conflict
)

// Verdicts gives all verdicts, the worst first: the order of ConflictWorst.
func Verdicts() []Verdict {
	return []Verdict{
		VerdictTwoClients, VerdictOpenedTwice, VerdictUndecided, VerdictHalfOpen, VerdictRestart, VerdictHandover,
		VerdictRenewal, VerdictNone,
	}
}

// Valid reports whether v is one of the verdicts.
func (v Verdict) Valid() bool { return slices.Contains(Verdicts(), v) }

// Cause is the cause that Microsoft's article on 400027 and 409002 would name: 1, the
// hub saw the new connection before it noticed that the old one was gone; 2, two
// connections for one identity; or 0 for neither.
func (v Verdict) Cause() int {
	switch v {
	case VerdictHalfOpen, VerdictRestart:
		return 1
	case VerdictOpenedTwice, VerdictTwoClients:
		return 2
	case VerdictRenewal, VerdictHandover, VerdictUndecided, VerdictNone:
	}
	return 0
}

// UnmarshalText matches a verdict without regard to case; empty stays empty.
func (v *Verdict) UnmarshalText(b []byte) error { return setEnum(v, b, "verdict", Verdicts()...) }
