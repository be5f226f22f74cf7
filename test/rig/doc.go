// Package rig runs the built binary for the tests that stand outside it: it starts a
// hub on loopback, kills it, starts it again, and speaks to it as a stranger would,
// over sockets and the command line.
//
// Its one invariant: nothing it starts outlives the test that started it, and every
// wait has an end. It imports nothing of the hub: what it knows of the protocols is
// written here a second time, on purpose.
package rig
