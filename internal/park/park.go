package park

import (
	"errors"
	"time"
)

// What ended a connection, as Closed is told. A read or write error of the
// socket is passed on as it came.
var (
	// ErrPeerClosed: the peer ended the stream without a goodbye park could see.
	ErrPeerClosed = errors.New("park: closed by the peer")
	// ErrShutdown: the lot is shutting down.
	ErrShutdown = errors.New("park: shutting down")
	// ErrTooLarge: a packet was still incomplete at Config.MaxPacket bytes.
	ErrTooLarge = errors.New("park: packet exceeds the limit")
	// ErrPanic: the conversation panicked; the stack is in the log.
	ErrPanic = errors.New("park: the conversation panicked")
	// ErrFull: Config.MaxConns connections are held already.
	ErrFull = errors.New("park: too many connections")
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

	Now      time.Time
	In       []byte // unread input; borrowed until Turn returns
	Woken    bool   // wake was called since the last turn
	Expired  bool   // the deadline asked for has passed
	Stopping bool   // the lot shuts down, no input follows: say goodbye; Paused asks for one turn more

	// handed back

	Used     int       // bytes of In consumed
	Out      []byte    // appended to; written at once after the turn
	Deadline time.Time // when to be called with Expired; zero for never
	Paused   bool      // do not read until woken: back-pressure
	More     bool      // call again at once with the unread input: the turn yielded to be fair
}

// Meter counts the bytes that pass on one connection. One goroutine at a time
// calls it.
type Meter interface {
	In(now time.Time, n int)
	Out(now time.Time, n int)
}
