package diagnosis

import (
	"slices"

	"github.com/berth-iot/berth/internal/iot"
)

// Gate is what the ledger must hold, besides weight, for a verdict to be given.
type Gate struct {
	Verdict iot.Verdict
	Strong  int      // at least so many strong signals for it
	All     []Signal // each of these
	Any     []Signal // one of these
	Without []Signal // none of these
	// Sure, if it is not empty: without one of these the verdict's rival fits what was
	// seen as well. Then no more than Doubtful is believed, and the advice is for both.
	Sure   []Signal
	Unsure Advice
	Flip   string // what would make it the verdict
	Advice
}

// Advice is what to do about a verdict.
type Advice struct {
	Next string // the next check
	Fix  string
}

// Gates is the table of the verdicts that can be reached; of two that weigh the same,
// the earlier comes first.
func Gates() []Gate { return slices.Concat(oneClient(), causeTwo()) }

// oneClient is the verdicts that know one client.
func oneClient() []Gate {
	return []Gate{
		{
			Verdict: halfOpen, Any: []Signal{SignalSilent, SignalStalled, SignalDropped},
			Without: []Signal{SignalReturnEdge, SignalNewSoftware},
			Flip:    "the displaced connection shows no sign of life at the next displacement",
			Advice: Advice{
				Next: "Compare the time of the last packet of the older connection with the client's own log: did its network go away then?",
				Fix:  "Usually none: the newcomer replaced a dead connection. If it happens often, look at the client's network, and use a shorter keep-alive so that a dead connection is noticed sooner.",
			},
		},
		{
			Verdict: restart, Any: []Signal{SignalReset}, Without: []Signal{SignalReturnEdge, SignalProcessKept, SignalDropped},
			Flip: "the client's system answers the next close with a reset",
			Advice: Advice{
				Next: "Look in the client's log, or its supervisor's, for a crash or restart just before the displacement.",
				Fix:  "Let the client say goodbye before it exits. If it did not mean to exit, find out why it crashed.",
			},
		},
		{
			Verdict: renewal, All: []Signal{SignalRenewalDue}, Any: []Signal{SignalLiveLoser, SignalFarewell},
			Without: []Signal{SignalReturnEdge, SignalFollowed},
			Flip:    "the newcomer's token ends later, the old one was due, and the old connection closes by itself without coming back",
			Advice: Advice{
				Next: "None needed; the next one is due when the new token nears its end.",
				Fix:  "Nothing to fix: the client renews its token by a second connection. A longer token lifetime makes it rarer.",
			},
		},
		{
			Verdict: handover, All: []Signal{SignalSameClient}, Any: []Signal{SignalLiveLoser, SignalFarewell},
			Without: []Signal{SignalReturnEdge, SignalRenewalDue, SignalFollowed},
			Flip:    "the old connection says goodbye, and no further displacement follows",
			Advice: Advice{
				Next: "None needed, unless it happens more often than the client means to reconnect.",
				Fix:  "Nothing to fix: the client opened its new connection before it closed the old one.",
			},
		},
	}
}

// causeTwo is the verdicts that know two. What they share they have of one signal table;
// what tells one program from two is in Any, Without and Sure.
func causeTwo() []Gate {
	return []Gate{
		{
			Verdict: openedTwice, Strong: 1, Any: []Signal{SignalSharedLineage, SignalTokenTwice, SignalTwinTokens, SignalTogether},
			Sure: []Signal{SignalSharedLineage},
			Flip: "both connections turn out to belong to one process: one TLS session lineage, one kept token, or a second connection that sets out as soon as the first one stands",
			Advice: Advice{
				Next: "Search the program for a second place that opens a client for this identity, and for a reconnect that leaves the old client running.",
				Fix:  "Open one client per identity and share it; dispose of the old one before making a new one.",
			},
			Unsure: Advice{
				Next: "Search the program for a second place that opens a client for this identity, and for a reconnect that leaves the old client running. Two copies of it that are started at once (worker processes, replicas) look the same from here: see whether it runs twice.",
				Fix:  "Let one client speak for the identity: open one in the program and share it, or let only one of its processes open it.",
			},
		},
		{
			Verdict: twoClients, Strong: 2,
			Without: []Signal{SignalSharedLineage, SignalTokenTwice, SignalTwinTokens, SignalTogether, SignalLosersGone},
			Sure:    []Signal{SignalAddressReturn, SignalSetupReturns},
			Flip:    "a client that was displaced comes back from its own address, or with its own key or software, and displaces the other while both are live",
			Advice: Advice{
				Next: "Find the program behind each of the clients listed, by address, client type and credential.",
				Fix:  "Give each client an identity of its own, or stop one of them; then regenerate the key, so that a forgotten copy cannot come back.",
			},
			Unsure: Advice{
				Next: "Where the clients run, look for a second copy of the program, or a second client object in the same program: address, software and key are the same, so the two look the same from here.",
				Fix:  "Give each client an identity of its own, or stop one of them: the second copy of the program, or the second client that the program opens.",
			},
		},
	}
}

// holds reports whether the ledger meets the gate.
func (g *Gate) holds(l Ledger) bool {
	if l.strong(g.Verdict) < g.Strong || len(g.Any) > 0 && !slices.ContainsFunc(g.Any, l.has) {
		return false
	}
	for _, s := range g.All {
		if !l.has(s) {
			return false
		}
	}
	return !slices.ContainsFunc(g.Without, l.has)
}

// sure reports whether the ledger tells the verdict from its rival.
func (g *Gate) sure(l Ledger) bool { return len(g.Sure) == 0 || slices.ContainsFunc(g.Sure, l.has) }

// advice gives what to do about the verdict of a ledger.
func (g *Gate) advice(l Ledger) Advice {
	if g.sure(l) {
		return g.Advice
	}
	return g.Unsure
}

// gateOf gives the gate of a verdict; that of one without a gate is empty.
func gateOf(v iot.Verdict) Gate {
	for _, g := range Gates() {
		if g.Verdict == v {
			return g
		}
	}
	return Gate{
		Verdict: v,
		Advice: Advice{
			Next: "Wait for the next displacement, or look at both clients' logs at the times given: more evidence may decide.",
			Fix:  "None yet: do not hunt for a second client before the evidence carries it.",
		},
	}
}
