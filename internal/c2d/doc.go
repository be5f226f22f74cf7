// Package c2d keeps the cloud-to-device messages: one queue for each device and module,
// locks on what a device has been given, and the feedback that senders asked for.
//
// Its one invariant: a message that Send took is there until exactly one outcome is on
// stable storage, in one batch with the feedback that is due for it, and at any moment
// at most one receiver holds its lock. It knows identities and messages; it refuses to
// know a session, a protocol or a registry, and asks the latter one question through an
// interface of its own.
//
// # Who does what
//
// What happens to one identity happens in turn: requests gather at its place, and a
// worker, which exists only while there are some, performs all that have gathered as one
// batch (turn). Different identities share the engine's flushes. Taking messages and
// releasing locks touch memory alone. A place exists while a consumer is there or a
// worker runs: an identity that nobody listens for, and that nothing happens to, is in
// the store only, and one without messages is nowhere.
//
// Locks live in memory: a crash gives the messages back, uncounted. One goroutine
// (deadlines) sees to everything that happens because time passes, by one index in the
// store and one heap of the places that hold locks; nothing is read at the start but the
// first key of that index.
//
// # On disk
//
// docs/format.md has the records byte by byte.
//
//	c2d/q/<device>/<module>             a queue that is not empty; <module> may be empty
//	c2d/m/<device>/<module>/<sequence>  one message of it
//	c2d/f/<sequence>                    a feedback record that was not gathered yet
//	c2d/n/<kind>/<sequence>             a message for back-ends: feedback, or a file notification
//
// Queues and messages for back-ends have one index key each, c2d/due/<time>, the first
// moment at which something in them expires. The counter c2d/pending counts messages in
// all queues, c2d/n/<kind> those for back-ends. Sequences and times are 16 hexadecimal
// digits, times in Unix milliseconds of the hub's clock (see clock).
package c2d
