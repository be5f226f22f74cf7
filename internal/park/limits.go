package park

import "time"

const (
	// MaxArrival is how many raw bytes a peer may send until it is authenticated: the TLS
	// handshake with a client's certificate chain, and the protocol's first words.
	MaxArrival = 32 * 1024

	// ArriveWithin is how long a peer may take from accept until it is authenticated.
	ArriveWithin = 30 * time.Second

	// DefaultArriving bounds peers that are not yet authenticated, all together: 64 MiB at
	// 24 KiB each, as package config has it. Beyond, accepting pauses.
	DefaultArriving = 2_730

	// DefaultArrivingPerAddress bounds them per address (IPv6: per /64).
	DefaultArrivingPerAddress = 1_024

	// DefaultWaiting bounds those who wait in line, unread, because their address has its share
	// inside: ten thousand devices behind one address may come at once. Half of the process's
	// descriptors bound them too.
	DefaultWaiting = 10_000

	// pressedFor is how long in all a peer may let us wait while there is no place left for
	// others, and pressureEvery how often that is looked at.
	// crowdedFor is the same while only others of its address wait.
	pressedFor    = 5 * time.Second
	crowdedFor    = 15 * time.Second
	pressureEvery = 100 * time.Millisecond

	// seatPart is the part of the strangers that may be in the middle of a handshake: such a one
	// holds up to 60 kB, which crypto/tls does not give back while it waits, the others 10.
	seatPart = 4

	// freeInput is how much input of a stranger counts against nobody else, in bytes: any
	// ClientHello and any CONNECT without a will. maxHoard bounds the rest of all together.
	freeInput = 4 * 1024
	maxHoard  = 4 << 20

	// leastRead is the least that is read of a stranger at once, in bytes.
	leastRead = 512

	// plainHome is what a first packet is read into on the plain path, in bytes; a CONNECT with
	// a token is about 500.
	plainHome = 1024

	// firstPause and longestPause bound the wait after a failed accept, doubled each time.
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second

	// eventsAtOnce is how many events are taken from the system, or the sweep, in one go.
	eventsAtOnce = 128

	// keptDescriptors is how many of the process's descriptors connections leave to others, the
	// store above all, and at most which part of them.
	keptDescriptors = 512
	keptPart        = 8

	// DefaultMaxConns is how many connections a lot holds unless told otherwise. The
	// limit that bites first is the process's file descriptors.
	DefaultMaxConns = 1_000_000

	// DefaultMaxPacket is the greatest packet a connection may send unless told otherwise,
	// in bytes: what is unread never exceeds it by more than one read.
	DefaultMaxPacket = 512 * 1024

	// DefaultWriteTimeout is how long a peer may take to read what one turn wrote.
	DefaultWriteTimeout = 20 * time.Second

	// DefaultSpread is how long Shutdown takes at most to say goodbye to everybody, unless told
	// otherwise; spacing is how much of it one connection is worth, and dismissEvery its step.
	DefaultSpread = 3 * time.Second
	spacing       = time.Millisecond
	dismissEvery  = 10 * time.Millisecond

	// smallBuffer is what an idle connection on the plain path reads into, in bytes: a ping or
	// one small message.
	smallBuffer = 512

	// bigBuffer is what a busy or a parked connection reads into, in bytes: one full TLS record.
	bigBuffer = 16 * 1024

	// deskOut is the largest output buffer that is lent again, in bytes.
	deskOut = 64 * 1024

	// lentInput is what a TLS connection that is being read reads into, in bytes: a full record,
	// its header, and what crypto/tls wants to have left.
	lentInput = 20 * 1024

	// fineTick is how late the sweep may be; coarseTick the same for a time further away than
	// coarseFrom, as keep-alives are.
	fineTick   = 250 * time.Millisecond
	coarseTick = time.Second
	coarseFrom = time.Minute

	// floodFrom is how many connections have to come or go before the memory they needed is
	// given back to the system, once no more than calmMoves did so within calmFor.
	floodFrom = 500
	calmMoves = 50
	calmFor   = 10 * time.Second

	// keptOut is the largest output buffer an idle connection on the plain path keeps, in bytes.
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
