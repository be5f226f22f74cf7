package arbiter

import "time"

// Action is something to be done, in the order given, before the next event is
// handed in.
//
//sumtype:decl
type Action interface{ action() }

// Grant tells the newcomer that it holds the identity: from now on it may act.
type Grant struct{ Epoch Epoch }

// Fence takes the right to act from a session of this node. When it has been
// performed, nothing that the session still does has effect.
type Fence struct {
	Epoch Epoch
	Cause Cause
	By    Epoch  // who took over; zero unless Cause is TakenOver
	Node  string // where By is; empty for this node
}

// Announce tells the world that the identity went online or offline with Epoch. It
// is refused, silently, where a greater epoch was announced before.
type Announce struct {
	Epoch  Epoch
	Online bool
}

// Arm asks for a Tick at At; a later Arm replaces an earlier one.
type Arm struct{ At time.Time }

func (Grant) action()    {}
func (Fence) action()    {}
func (Announce) action() {}
func (Arm) action()      {}

// Cause says why a session was fenced.
type Cause uint8

// The causes of a fence.
const (
	TakenOver Cause = iota + 1 // a greater epoch was granted
	Lapsed                     // the lease was not renewed in time
	Expired                    // the holder's token expired, and the grace with it
	Disabled                   // the identity was disabled
	Deleted                    // the identity was deleted
	Disproved                  // the key or certificate it showed is no longer good
	Stopped                    // the hub stops
)

// String gives the cause as a word.
func (c Cause) String() string {
	names := [...]string{"none", "taken_over", "lapsed", "expired", "disabled", "deleted", "disproved", "stopped"}
	if int(c) >= len(names) {
		return "unknown"
	}
	return names[c]
}
