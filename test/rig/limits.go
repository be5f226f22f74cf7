package rig

import "time"

// The waits of the rig. Each is many times what a healthy hub needs on two busy
// cores; a test that reaches one has failed.
const (
	startWithin   = 30 * time.Second // from the start of the process to a ready hub
	stopWithin    = 20 * time.Second // from SIGTERM to the end of the process
	commandWithin = 60 * time.Second // one command of the command line
	requestWithin = 20 * time.Second // one HTTPS request, one packet of MQTT
	pollEvery     = 20 * time.Millisecond

	// maxKeptOutput bounds what is kept of a process's output, in bytes.
	maxKeptOutput = 256 << 10
	// maxFollowed is how many lines of a following command may wait to be looked at.
	maxFollowed = 1024
	// maxPacket bounds an MQTT packet that the rig reads, in bytes.
	maxPacket = 1 << 20
)
