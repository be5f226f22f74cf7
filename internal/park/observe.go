package park

import "github.com/berth-iot/berth/internal/device"

// Observed is a Conversation that can be over without its own doing, and whose peer may
// be worth watching afterwards: our write side is shut at once, the read side kept for
// up to five seconds, beside everything else.
type Observed interface {
	Conversation
	// Over reports whether the conversation has ended by itself. It is asked while a write
	// waits for a slow peer, which is then cut off. Like Turn it is called by one owner at
	// a time.
	Over() bool
	// Observe is called once, after Closed, and gives who is to be told what the peer does
	// now; nil if nobody wants to know.
	Observe() Observer
}

// Observer is told what a peer does after its conversation has ended. One goroutine at
// a time calls it.
type Observer interface {
	// Key names whom the peer speaks for. Of one key only the latest connection is watched.
	Key() string
	// Heard is handed what the peer says, in order: first the input that no turn has used,
	// then what comes. The bytes are borrowed.
	Heard(b []byte)
	// Seen is told once, last, while the socket is still open. Kind, After, Bytes and Cut
	// are set.
	Seen(a device.Afterlife)
}
