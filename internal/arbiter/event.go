package arbiter

import "time"

// Event is something that happened to an identity, as one node learnt of it.
//
//sumtype:decl
type Event interface{ event() }

// Claim says that the store granted Epoch to a newcomer on this node, and that
// whoever held the identity on another node is known to be fenced: its node said so,
// or its lease has ended.
type Claim struct {
	Epoch Epoch
	// After is the epoch that stands announced online and whose node will not announce
	// it offline any more, because it is dead or cut off; zero if none, and always zero
	// on a single node.
	After Epoch
	// Until is the end of the lease that came with the claim; zero on a single node,
	// where nothing lapses.
	Until time.Time
}

// Release says that the session of Epoch ended by itself: a goodbye, a lost
// connection, a protocol error. It may come late.
type Release struct{ Epoch Epoch }

// Alive says that the store renewed the lease of Epoch: this node may act for it
// until Until.
type Alive struct {
	Epoch Epoch
	Until time.Time
}

// Tick says that the time asked for by Arm has come, or that time has passed at all.
type Tick struct{}

// Seen says that Epoch was granted to a session of another node.
type Seen struct {
	Epoch Epoch
	Node  string
}

// Revoke says that the identity may not be spoken for with the credential that the
// holder showed.
type Revoke struct{ Cause Cause }

func (Claim) event()   {}
func (Release) event() {}
func (Alive) event()   {}
func (Tick) event()    {}
func (Seen) event()    {}
func (Revoke) event()  {}
