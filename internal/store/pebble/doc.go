// Package pebble is the embedded engine: Records, Log and Claims in one process,
// on two Pebble instances, so that records never queue behind telemetry in a shared
// write-ahead log.
//
// Its one invariant: a write that returned nil is on stable storage. A flush that
// failed ends the process (Options.Fatal) and is never tried again, because the page
// cache can no longer be trusted. It knows keys, values and blocks; it refuses to
// know what they mean.
package pebble
