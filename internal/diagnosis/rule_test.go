package diagnosis

import (
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// TestRule shows for each kind of evidence the nearest scenes in which it is there and
// is not.
func TestRule(t *testing.T) {
	a, b := node(1, home), node(9, office)
	once := func(by actor, then *Afterlife) *scene {
		return begin(a).active(time.Minute).displace(time.Minute, by, then)
	}
	other := a.with(func(x *actor) { x.token, x.lineage = 2, 3 })
	cases := []struct {
		name   string
		signal Signal
		scene  *scene
		want   bool
	}{
		{"beaten comes back", SignalReturnEdge, duel(a, b, 2, time.Second, prompt), true},
		{"not yet", SignalReturnEdge, duel(a, b, 1, time.Second, prompt), false},
		{"address alone comes back", SignalReturnEdge, duel(a, a.with(func(x *actor) { x.addr = office }), 6, time.Second, prompt), false},
		{"tokens only grow", SignalReturnEdge, once(other, prompt()).displace(2*time.Minute, a.with(func(x *actor) { x.token, x.lineage = 3, 4 }), prompt()), false},
		{"token and process", SignalIndependent, duel(a, b, 2, time.Second, prompt), true},
		{"token alone", SignalIndependent, duel(a, a.with(func(x *actor) { x.token = 2 }), 4, time.Second, prompt), false},
		{"two live losers", SignalBothAlive, duel(a, b, 2, time.Second, prompt), true},
		{"one live loser", SignalBothAlive, duel(a, b, 1, time.Second, prompt), false},
		{"late answers", SignalBothAlive, duel(a, b, 6, time.Second, late), false},
		{"addresses alternate", SignalAddressReturn, duel(a, b, 2, time.Second, silent), true},
		{"lineage, live", SignalSharedLineage, once(a, prompt()), true},
		{"lineage, dead", SignalSharedLineage, once(a, silent()), false},
		{"lineage, goodbye", SignalSharedLineage, once(a, goodbye()), false},
		{"token once", SignalTokenTwice, once(a, prompt()), false},
		{"token, other address", SignalTokenTwice, duel(a, a.with(func(x *actor) { x.addr = office }), 4, time.Second, prompt), false},
		{"tokens of one moment", SignalTwinTokens, duel(a, other, 4, time.Second, prompt), true},
		{"tokens far apart", SignalTwinTokens, duel(a, other.with(func(x *actor) { x.expires += time.Minute }), 4, time.Second, prompt), false},
		{"one dead loser", SignalLosersGone, once(a, silent()), true},
		{"more live ones", SignalLosersGone, duel(a, b, 4, time.Second, prompt).displace(5*time.Second, b, silent()), false},
		{"silent", SignalSilent, once(a, silent()), true},
		{"cut short", SignalSilent, once(a, &Afterlife{Afterlife: device.Afterlife{Kind: device.AfterlifeSilent, Cut: true}}), false},
		{"reset", SignalReset, once(a, reset()), true},
		{"late", SignalLate, once(a, late()), true},
		{"prompt over a stalled connection", SignalLate, once(a, prompt()).stalled(), true},
		{"prompt", SignalLiveLoser, once(a, prompt()), true},
		{"closed at once", SignalLiveLoser, once(a, life(device.AfterlifeClosed, time.Millisecond)), true},
		{"late is not live", SignalLiveLoser, once(a, late()), false},
		{"goodbye", SignalFarewell, once(a, goodbye()), true},
		{"no goodbye", SignalFarewell, once(a, prompt()), false},
		{"retransmits", SignalStalled, once(a, silent()).stalled(), true},
		{"none", SignalStalled, once(a, silent()), false},
		{"quiet for half a keep-alive", SignalQuiet, begin(a).displace(90*time.Second, a, silent()), true},
		{"heard of since", SignalQuiet, begin(a).displace(89*time.Second, a, silent()), false},
		{"resumed and reset", SignalDropped, once(a, reset()), true},
		{"reset, not resumed", SignalDropped, once(other, reset()), false},
		{"resumed and silent", SignalProcessKept, once(a, silent()), true},
		{"resumed and live", SignalProcessKept, once(a, prompt()), false},
		{"same token", SignalSameClient, once(a.with(func(x *actor) { x.lineage = 3 }), nil), true},
		{"nothing the same", SignalSameClient, once(other, nil), false},
		{"all new", SignalNewStart, once(other, reset()), true},
		{"all new elsewhere", SignalNewStart, once(b, reset()), false},
		{"same software", SignalSameSoftware, once(other, nil), true},
		{"other keep-alive", SignalNewSoftware, once(a.with(func(x *actor) { x.keep = time.Minute }), nil), true},
		{"other key", SignalNewCredential, once(a.with(func(x *actor) { x.slot = "secondary" }), nil), true},
		{"same key", SignalNewCredential, once(other, nil), false},
		{"moved", SignalMoved, once(b, silent()), true},
		{"elsewhere and live", SignalMoved, once(b, prompt()), false},
		{"elsewhere", SignalElsewhere, once(b, prompt()), true},
		{"one address", SignalSameAddress, once(other, nil), true},
		{"later token", SignalRenewed, once(other.with(func(x *actor) { x.expires += time.Hour }), nil), true},
		{"same end", SignalRenewed, once(other, nil), false},
		{"in no rhythm", SignalRenewalDue, once(other.with(func(x *actor) { x.expires += time.Hour }), nil), false},
		{"followed", SignalFollowed, duel(a, b, 2, 30*time.Second, prompt), true},
		{"a while later", SignalFollowed, duel(a, b, 2, 31*time.Second, prompt), false},
	}
	for _, c := range cases {
		t.Run(string(c.signal)+" "+c.name, func(t *testing.T) {
			if got := signalsOf(c.scene, c.signal) != ""; got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRenewalIsDueInTheRhythmOfEverySDK(t *testing.T) {
	long := node(1, home).with(func(x *actor) { x.expires = 24 * time.Hour })
	next := long.with(func(x *actor) { x.token, x.lineage, x.expires = 2, 0, 25*time.Hour })
	for held, want := range map[time.Duration]bool{
		30 * time.Minute: false, 45 * time.Minute: true, 48 * time.Minute: true, 58 * time.Minute: true, 65 * time.Minute: true,
		80 * time.Minute: false, 24*time.Hour - 14*time.Minute: true, 24*time.Hour - 16*time.Minute: false,
	} {
		s := begin(long).active(held).displace(held, next, prompt())
		if got := signalsOf(s, SignalRenewalDue) != ""; got != want {
			t.Errorf("held for %v: got %v, want %v", held, got, want)
		}
	}
}
