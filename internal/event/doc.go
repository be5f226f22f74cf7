// Package event is what readers make of the events in the log: their properties, from
// whatever encoding their sender's transport used, and the AMQP message that a reader of
// the Event Hubs-compatible endpoint gets.
//
// Its one invariant: an event reads the same whichever way it came and is read. What only
// the hub may say of an event is never its sender's. It refuses to fail: of an event
// that cannot be understood, what the hub knows of it is still given.
package event
