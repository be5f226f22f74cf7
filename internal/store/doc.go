// Package store is durable state as a service sees it: Records, Log and Claims.
// It knows keys, values and blocks; it knows no device.
//
// Its one invariant: what a call reported as done is on stable storage, and what
// it reported as failed left nothing behind that a reader can take for done.
package store
