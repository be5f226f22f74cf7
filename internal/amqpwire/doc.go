// Package amqpwire is AMQP 1.0 on the wire as values: bytes to values and back. It has
// the types (part 1 of the standard), frames and performatives (part 2), message
// sections (part 3), coordinators as far as they are recognised (part 4), and SASL
// (part 5).
//
// Its one invariant: nothing in a frame chooses how much is allocated. A length is
// checked against the caller's maximum before the body is waited for, a count against
// the bytes that are there, nesting against a limit, and what a decoded value holds is
// at most a small multiple of its bytes. The package knows the standard alone: no
// address, filter or annotation means anything here.
//
// What sets something up (open, begin, attach, detach, end, close, SASL) owns what it
// holds. What runs all day (transfer, disposition, flow, message sections, and every
// Value that is decoded on its own) borrows from the input: Clone keeps a Value.
package amqpwire
