package diagnosis

import (
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// Displacement is one conflict: both sides, and how the loser behaved afterwards.
type Displacement struct {
	Number uint64     `json:"n"` // in its story, from 1 on; History.Add sets it
	At     time.Time  `json:"at"`
	Code   fault.Code `json:"code"`
	Reason string     `json:"reason,omitempty"`
	Loser  Party      `json:"loser"`
	Winner Party      `json:"winner"`
	Lost   Loss       `json:"lost,omitzero"`
	Before *Trouble   `json:"before,omitempty"` // what it may come from
	// Differ and Returns are set by History.Add: in what the sides differ, and in what the
	// winner shows a value that was displaced before and now displaces another.
	Differ  Dims `json:"differ,omitempty"`
	Returns Dims `json:"returns,omitempty"`
	// Afterlife is nil until it is known.
	Afterlife *Afterlife `json:"afterlife,omitempty"`
}

// Afterlife is what the loser did after it was told.
type Afterlife struct {
	device.Afterlife

	// Unobserved: no word came of it; Kind is then AfterlifeSilent and says little.
	Unobserved bool `json:"unobserved,omitempty"`
}

// Trouble is something that happened to an identity before a displacement and may
// have caused it.
type Trouble struct {
	Kind TroubleKind `json:"kind"`
	At   time.Time   `json:"at"`
}

// TroubleKind is the closed set of troubles.
type TroubleKind uint8

// The troubles. The numbers are stored.
const (
	TroubleLost    TroubleKind = iota + 1 // 404104: the connection ended without a goodbye
	TroubleIdle                           // 404104: nothing was heard for one and a half keep-alives
	TroubleToken                          // 401003: the token expired
	TroubleRefused                        // 401003: a connection was refused
	TroubleStart                          // the hub started
)

// reaction is how the loser behaved, as the rules read it.
type reaction uint8

const (
	reactionPending reaction = iota // not known yet
	reactionUnknown                 // nobody watched to the end
	reactionSilent
	reactionReset
	reactionLate   // it answered, too late to show that it was alive at that moment
	reactionPrompt // it held a live socket
)

// reaction reads the afterlife. An answer over a connection whose segments were being
// sent again may be what a network had held back: it counts as late, however soon.
func (d *Displacement) reaction() reaction {
	a := d.Afterlife
	switch {
	case a == nil:
		return reactionPending
	case a.Kind == device.AfterlifeReset:
		return reactionReset
	case a.Kind == device.AfterlifeAlive, a.Kind == device.AfterlifeClosed:
		rtt := max(d.Loser.TCP.RTT, a.TCP.RTT)
		if a.After <= max(promptAtLeast, promptRTTs*rtt) && !d.stalled() {
			return reactionPrompt
		}
		return reactionLate
	case a.Unobserved, a.Cut:
		return reactionUnknown
	case a.Kept && a.Bytes > 0: // it did not answer, but its connection is live
		return reactionLate
	}
	return reactionSilent
}

// stalled reports whether, at the displacement, the loser's kernel had stopped
// acknowledging what the hub sent.
func (d *Displacement) stalled() bool {
	t := d.Loser.TCP
	return t.Known() && (t.Retransmits > 0 || t.Unacked > 0 && t.LastAckRecv >= max(stalledAtLeast, promptRTTs*t.RTT))
}

// silence is how long the loser had not been heard of.
func (d *Displacement) silence() time.Duration {
	last := d.Loser.LastIn
	if last.IsZero() {
		last = d.Loser.Opened
	}
	return max(d.At.Sub(last), 0)
}

// quiet reports whether that is long.
func (d *Displacement) quiet() bool {
	switch {
	case d.Loser.amqp(): // its idle time-out binds the hub; the hub's own binds the client
		return d.silence() >= quietAMQP
	case d.Loser.KeepAlive > 0:
		return d.silence() >= d.Loser.KeepAlive/2
	}
	return d.silence() >= quietAtLeast
}

// rhythms are the minutes after which clients renew a token of one hour: Node, the C
// SDK, Python and the .NET and Java SDKs that let the hub cut them (connections 7).
func rhythms() []time.Duration {
	return []time.Duration{45 * time.Minute, 48 * time.Minute, 58 * time.Minute, 65 * time.Minute}
}

// renewed reports whether the winner came with a later token of the same key and
// software.
func (d *Displacement) renewed() bool {
	l, w := &d.Loser, &d.Winner
	return l.Token != 0 && w.Token != 0 && w.Expires.After(l.Expires) && !d.Differ.has(DimKey) && !d.Differ.has(DimType)
}

// due reports whether the loser's token was due for renewal.
func (d *Displacement) due() bool {
	if d.Loser.Expires.IsZero() {
		return false
	}
	if d.At.After(d.Loser.Expires.Add(-renewalBefore)) {
		return true
	}
	held := d.At.Sub(d.Loser.Opened)
	for _, r := range rhythms() {
		if held >= r-r/10 && held <= r+r/10 {
			return true
		}
	}
	return false
}

// sameSoftware reports whether both sides are the same software, as far as they show it.
func (d *Displacement) sameSoftware() bool { return d.Differ&software() == 0 }

// sameProcess reports whether both sides' TLS sessions descend from each other.
func (d *Displacement) sameProcess() bool { return same(&d.Loser, &d.Winner, DimLineage) }

// sameToken reports whether both sides sent the same token.
func (d *Displacement) sameToken() bool { return same(&d.Loser, &d.Winner, DimToken) }

// sameAddress reports whether both sides came from one address.
func (d *Displacement) sameAddress() bool { return same(&d.Loser, &d.Winner, DimAddress) }

// farewell reports whether the loser said its protocol's goodbye. On AMQP that is no
// sign that it meant to leave: a client whose links are detached with an error may close
// the connection before it comes again.
func (d *Displacement) farewell() bool {
	return d.Afterlife != nil && d.Afterlife.Farewell && !d.Loser.amqp()
}

// recognised reports whether the newcomer shows itself to be the client that was
// displaced just before, and not the one that it displaces.
func (d *Displacement) recognised(before *Displacement) bool {
	for _, dim := range d.Differ.list() {
		if dim != DimClean && same(&before.Loser, &d.Winner, dim) {
			return true
		}
	}
	return false
}

// answers reports whether the newcomer set out at once after the displacement before, as
// whoever was displaced by it does.
func (d *Displacement) answers(before *Displacement) bool {
	within := returnAtOnce
	if d.recognised(before) {
		within = returnWithin
	}
	out := d.Winner.dialled().Sub(before.At)
	return out >= 0 && out <= within+2*max(d.Winner.TCP.RTT, before.Loser.TCP.RTT)
}
