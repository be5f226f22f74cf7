package park

import (
	"time"
)

// Conversation is the protocol side of one connection, a state machine without a
// socket. Its methods are called by one owner at a time and never block.
type Conversation interface {
	// Turn handles what happened. It consumes whole packets from the front of t.In,
	// appends replies to t.Out and returns; an incomplete packet stays unconsumed and is
	// handed in again with more bytes behind it. After an error that closes the
	// connection, what it appended is still written first.
	Turn(t *Turn) error
	// Closed is called once, last, with what ended the connection: the error of Turn,
	// ErrPeerClosed, ErrShutdown, a read or write error.
	Closed(now time.Time, why error)
}

// Turn is one call into a conversation.
type Turn struct {
	// handed in

	Now     time.Time
	In      []byte // unread input; borrowed until Turn returns
	Woken   bool   // wake was called since the last turn
	Expired bool   // the deadline asked for has passed

	// handed back

	Used     int       // bytes of In consumed
	Out      []byte    // appended to; written at once after the turn
	Deadline time.Time // when to be called with Expired; zero for never
	Paused   bool      // do not read until woken: back-pressure
	More     bool      // call again at once with the unread input: the turn yielded to be fair
}
