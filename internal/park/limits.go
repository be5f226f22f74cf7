package park

import "time"

const (
	// DefaultMaxConns is how many connections a lot holds unless told otherwise. The
	// limit that bites first is the process's file descriptors.
	DefaultMaxConns = 1_000_000

	// DefaultMaxPacket is the greatest packet a connection may send unless told otherwise,
	// in bytes: what is unread never exceeds it by more than one read.
	DefaultMaxPacket = 512 * 1024

	// DefaultWriteTimeout is how long a peer may take to read what one turn wrote.
	DefaultWriteTimeout = 20 * time.Second

	// smallBuffer is what an idle connection reads into, in bytes: a ping or one small message.
	smallBuffer = 512

	// bigBuffer is what a busy connection reads into, in bytes: one full TLS record.
	bigBuffer = 16 * 1024

	// keptOut is the largest output buffer an idle connection keeps, in bytes.
	keptOut = 512

	// lingerFor and lingerBytes bound the wait for the peer's own close after ours: closing
	// with unread input would make the kernel send a reset, which can overtake our last words.
	lingerFor   = time.Second
	lingerBytes = 256 * 1024

	// maxProbes, probeFor and probeBytes bound the watching of peers whose conversation was
	// ended by another: how many, how long, and how much they may still say.
	maxProbes  = 1024
	probeFor   = 5 * time.Second
	probeBytes = 256 * 1024

	// patience is how long a write may take before somebody looks whether it is still wanted.
	patience = 250 * time.Millisecond

	// stopGrace is how long a conversation may ask for more turns while the lot shuts down.
	stopGrace = 2 * time.Second
)
