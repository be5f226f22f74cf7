package bench

import (
	"fmt"
	"time"
)

// The bounds of a run. They protect the machine that runs the load.
const (
	MaxDevices  = 2_000_000
	MaxInflight = 4096 // PUBLISH packets unacknowledged on one connection
	MaxSize     = 256 * 1024
	MaxDuration = 24 * time.Hour
	MaxWorkers  = 4096 // handshakes at once
	MaxReaders  = 64   // streams at once

	batchBytes = 64 * 1024             // the most that one write carries, unless one packet is larger
	readBytes  = 4096                  // one read's buffer: 1,024 PUBACKs
	handshake  = 30 * time.Second      // dial, TLS and CONNACK together
	ackWait    = 30 * time.Second      // silence with messages in flight that ends a run
	closeWait  = 5 * time.Second       // how long a displaced connection may stay open before it counts as left open
	shards     = 8                     // histograms per measure, so that connections do not share a cache line
	keepAlive  = 1000                  // seconds, in CONNECT: below Azure's ceiling of 1,177
	maxHold    = 15 * time.Minute      // an idle hold needs no pings within keepAlive
	maxSources = 64                    // source addresses
	lateBursts = 16                    // bursts of a paced device that may be unacknowledged before it waits
	lookEvery  = 50 * time.Millisecond // how often a paced device looks whether the run is over
	maxRate    = 10_000_000            // operations a second that a run may be paced at
)

// The bounds of AMQP, which the hub's own are below or equal to.
const (
	MaxAMQPInflight = 1000 // messages unacknowledged on one connection: the credit that a device gets

	MaxShared = 999 // devices on one connection (Azure's limit)

	maxAMQPSize   = 60 * 1024        // bytes of body: a message is one frame
	frameAround   = 1024             // bytes written around a body, at most
	peerFrame     = 64 * 1024        // the largest frame that is taken, in bytes
	peerBuffer    = 256 * 1024       // one read's buffer
	peerWindow    = 1 << 30          // transfer frames that may come ahead in a session
	attachAtOnce  = 64               // devices of a shared connection that attach, or messages in flight on it, at once
	readerCredit  = 1000             // events that a partition may have on their way to a reader
	maxPartitions = 32               // of a hub
	amqpBeat      = 30 * time.Second // how often a quiet connection shows that it lives
)

// maxModules is how many modules a device has at most.
const maxModules = 50

// The bounds of a restart run.
const (
	MaxRounds = 1000             // starts of the server
	startWait = time.Minute      // from its start to the first device it accepts
	askEvery  = time.Millisecond // how often a starting server is asked where it listens
)

func check(name string, value, least, most int) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %d; it must be %d to %d", name, value, least, most)
	}
	return nil
}

func checkDuration(name string, d time.Duration) error {
	if d < 0 || d > MaxDuration {
		return fmt.Errorf("%s is %s; it must be 0 to %s", name, d, MaxDuration)
	}
	return nil
}

func checkRate(r float64) error {
	if r < 0 || r > maxRate {
		return fmt.Errorf("rate is %g; it must be 0 to %d", r, maxRate)
	}
	return nil
}
