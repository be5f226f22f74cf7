// Package iot is the vocabulary of the hub: identities, messages and their
// properties, connection strings, SAS tokens, and the JSON documents of the
// service API.
//
// Its one invariant: a value of this package means the same on every transport.
// It parses, prints and checks; it holds no behaviour beyond that, and it knows
// no clock, socket, lock or store.
package iot
