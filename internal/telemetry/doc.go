// Package telemetry is the device-to-cloud log: partitions of dense sequences,
// written in blocks by one committer, read by any number of readers.
//
// Its one invariant: a message counts as durable only after the flush that holds it,
// and of what one writer appended a prefix is stored, in order. A device always maps
// to one partition. The package knows identities and raw messages; it never looks
// into properties or bodies.
package telemetry
