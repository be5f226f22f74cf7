package diagnosis

import (
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// Short names, for the table alone.
const (
	halfOpen    = iot.VerdictHalfOpen
	restart     = iot.VerdictRestart
	renewal     = iot.VerdictRenewal
	openedTwice = iot.VerdictOpenedTwice
	twoClients  = iot.VerdictTwoClients
	handover    = iot.VerdictHandover
)

// Signal names a kind of evidence.
type Signal string

// The signals.
const (
	SignalReturnEdge    Signal = "return_edge"
	SignalIndependent   Signal = "independent_difference"
	SignalBothAlive     Signal = "both_alive"
	SignalDialsBack     Signal = "dials_back"
	SignalAddressReturn Signal = "address_returns"
	SignalSetupReturns  Signal = "setup_returns"
	SignalSharedLineage Signal = "shared_lineage"
	SignalTokenTwice    Signal = "token_alive_twice" //nolint:gosec // the name of a signal
	SignalTwinTokens    Signal = "twin_tokens"
	SignalTogether      Signal = "opened_together"
	SignalLosersGone    Signal = "losers_gone"
	SignalSilent        Signal = "afterlife_silent"
	SignalReset         Signal = "afterlife_reset"
	SignalLate          Signal = "late_answer"
	SignalUnobserved    Signal = "afterlife_unobserved"
	SignalLiveLoser     Signal = "live_loser"
	SignalFarewell      Signal = "loser_farewell"
	SignalStalled       Signal = "tcp_stalled"
	SignalQuiet         Signal = "old_connection_quiet"
	SignalDropped       Signal = "socket_dropped"
	SignalProcessKept   Signal = "process_kept"
	SignalSameClient    Signal = "same_client"
	SignalNewStart      Signal = "new_start"
	SignalSameSoftware  Signal = "same_software"
	SignalNewSoftware   Signal = "software_changed"
	SignalNewCredential Signal = "credential_changed" //nolint:gosec // the name of a signal
	SignalMoved         Signal = "address_changed"
	SignalElsewhere     Signal = "other_address"
	SignalSameAddress   Signal = "same_address"
	SignalRenewed       Signal = "token_renewed"
	SignalRenewalDue    Signal = "renewal_due"
	SignalFollowed      Signal = "followed"
	SignalPreceded      Signal = "preceded_by"
)

// Rule says what one signal speaks for and against, how strongly, and why.
type Rule struct {
	Signal   Signal
	Strength iot.Strength
	For      []iot.Verdict
	Against  []iot.Verdict
	Reason   string // why it does
	find     func(v view) (observed string, at time.Time)
}

// Rules is the table: every kind of evidence there is, those of the whole story first,
// then those of the displacement in question: how its loser behaved, how its sides
// compare, and what it was for.
func Rules() []Rule { return slices.Concat(storyRules(), loserRules(), sideRules(), purposeRules()) }

type verdicts = []iot.Verdict

func storyRules() []Rule {
	return []Rule{
		{
			SignalReturnEdge, iot.Strong,
			verdicts{twoClients},
			verdicts{halfOpen, restart, renewal, handover},
			"One client that reconnects never brings back a credential, process or software that it has already replaced; of two clients each does.",
			view.returnEdge,
		},
		{
			SignalIndependent, iot.Strong,
			verdicts{twoClients},
			verdicts{halfOpen, restart, renewal, handover},
			"Clients that alternate in two independent respects at once are not one client with one setting that changes.",
			view.independent,
		},
		{
			SignalBothAlive, iot.Strong,
			verdicts{twoClients, openedTwice},
			verdicts{halfOpen, restart},
			"Who answers the hub's close at once, time and again, held a live connection each time.",
			view.bothAlive,
		},
		{
			SignalDialsBack, iot.Strong,
			verdicts{twoClients, openedTwice},
			verdicts{halfOpen, restart, renewal, handover},
			"Who is alone has no reason to dial again at once while the connection it has just won is live; who was displaced has.",
			view.dialsBack,
		},
		{
			SignalAddressReturn, iot.Moderate,
			verdicts{twoClients},
			nil,
			"Two clients have two addresses, but so has one that changes networks.",
			view.addressReturns,
		},
		{
			SignalSetupReturns, iot.Moderate,
			verdicts{twoClients},
			verdicts{openedTwice},
			"Connections of one program are of one software, configuration and transport, with one key; these alternate between two.",
			view.setupReturns,
		},
		{
			SignalSharedLineage, iot.Strong,
			verdicts{openedTwice},
			verdicts{twoClients},
			"TLS sessions of one descent stay within one process, and both connections were live.",
			view.sharedLineage,
		},
		{
			SignalTokenTwice, iot.Strong,
			verdicts{openedTwice},
			verdicts{twoClients},
			"A token that is kept, on several live connections from one address, is most likely held by one program that opens more than one.",
			view.tokenTwice,
		},
		{
			SignalTwinTokens, iot.Moderate,
			verdicts{openedTwice},
			verdicts{twoClients},
			"Kept tokens that end within two seconds of each other, from one address and software, were most likely made by one program at once.",
			view.twinTokens,
		},
		{
			SignalTogether, iot.Moderate,
			verdicts{openedTwice},
			verdicts{twoClients},
			"One program that opens two connections sets out for the second when it has the first; a second program has to start first.",
			view.openedTogether,
		},
		{
			SignalLosersGone, iot.Strong, nil,
			verdicts{twoClients, openedTwice},
			"Connections that were dead when they were displaced belong to nobody else.",
			view.losersGone,
		},
	}
}

func loserRules() []Rule {
	return []Rule{
		{
			SignalSilent, iot.Strong,
			verdicts{halfOpen},
			verdicts{renewal, handover},
			"Nothing at all came back from the displaced connection: nobody was there any more.",
			view.silent,
		},
		{
			SignalReset, iot.Strong,
			verdicts{restart},
			verdicts{renewal, handover},
			"The client's system answered that it knew no such connection: the process that held it is gone.",
			view.reset,
		},
		{
			SignalLate, iot.Weak,
			verdicts{halfOpen, twoClients, openedTwice},
			nil,
			"An answer that comes late may be what a bad network had held back.",
			view.late,
		},
		{
			SignalUnobserved, iot.Weak,
			verdicts{halfOpen},
			nil,
			"The displaced connection was not watched to the end, so its silence says little.",
			view.unobserved,
		},
		{
			SignalLiveLoser, iot.Moderate,
			verdicts{twoClients, openedTwice, renewal, handover},
			verdicts{halfOpen, restart},
			"The displaced connection was live; once alone, that proves nothing.",
			view.liveLoser,
		},
		{
			SignalFarewell, iot.Strong,
			verdicts{handover, renewal},
			verdicts{halfOpen, restart},
			"The client said goodbye on the old connection itself, so it meant to leave it.",
			view.farewell,
		},
		{
			SignalStalled, iot.Strong,
			verdicts{halfOpen},
			verdicts{handover, renewal},
			"The client's system had stopped acknowledging what the hub sent.",
			view.tcpStalled,
		},
		{
			SignalQuiet, iot.Moderate,
			verdicts{halfOpen},
			nil,
			"The old connection had not been heard of for long when the new one came.",
			view.quiet,
		},
		{
			SignalDropped, iot.Strong,
			verdicts{halfOpen},
			verdicts{restart},
			"The process that came back is the old one, and its system no longer knew the old connection: it had given it up.",
			view.dropped,
		},
		{
			SignalProcessKept, iot.Moderate,
			verdicts{halfOpen},
			verdicts{restart, twoClients},
			"The new connection resumed the TLS session of the old one: one process, and the old connection was not live.",
			view.processKept,
		},
	}
}

func sideRules() []Rule {
	return []Rule{
		{
			SignalSameClient, iot.Moderate,
			verdicts{halfOpen, handover},
			nil,
			"Both connections show the same token or TLS session.",
			view.sameClient,
		},
		{
			SignalNewStart, iot.Moderate,
			verdicts{restart},
			nil,
			"The same software came from the same address with a new token and TLS session, as after a start.",
			view.newStart,
		},
		{
			SignalSameSoftware, iot.Weak,
			verdicts{halfOpen, restart, renewal, handover},
			nil,
			"Both connections are of the same software and configuration.",
			view.sameSoftware,
		},
		{
			SignalNewSoftware, iot.Weak,
			verdicts{twoClients, restart},
			verdicts{halfOpen, handover},
			"The software differs; a change without a return may be an update.",
			view.newSoftware,
		},
		{
			SignalNewCredential, iot.Moderate,
			verdicts{twoClients},
			verdicts{halfOpen, renewal, handover},
			"The key or certificate differs; one client rarely changes it.",
			view.newCredential,
		},
		{
			SignalMoved, iot.Moderate,
			verdicts{halfOpen},
			nil,
			"A client that changes networks leaves a dead connection behind.",
			view.moved,
		},
		{
			SignalElsewhere, iot.Weak,
			verdicts{twoClients},
			nil,
			"A live connection was displaced from another address.",
			view.elsewhere,
		},
		{
			SignalSameAddress, iot.Weak,
			verdicts{openedTwice, restart},
			nil,
			"Both connections came from one address, which many clients may share.",
			view.sameAddress,
		},
	}
}

func purposeRules() []Rule {
	return []Rule{
		{
			SignalRenewed, iot.Moderate,
			verdicts{renewal},
			nil,
			"The new token ends later than the old one, and the same key signed both.",
			view.renewed,
		},
		{
			SignalRenewalDue, iot.Strong,
			verdicts{renewal},
			nil,
			"A new token came when the old one was about to end, or in the rhythm of an SDK that renews it (45, 48, 58 or 65 minutes).",
			view.renewalDue,
		},
		{
			SignalFollowed, iot.Strong, nil,
			verdicts{renewal, handover},
			"Who moves to a new connection on purpose does it once; another displacement came within 30 seconds.",
			view.followedSoon,
		},
		{
			SignalPreceded, iot.Weak, nil, nil,
			"What happened just before may be why the client reconnected; it does not say who the clients are.",
			view.preceded,
		},
	}
}
