// Package amqp speaks AMQP 1.0 with devices, modules, back-ends and readers of events,
// over TLS and WebSockets.
//
// Its one invariant: what goes wrong on a link costs that link alone, unless the
// standard says otherwise, and an identity that loses its place costs the others of its
// connection nothing. It refuses to know sessions other than its own: who holds an
// identity is the core's to say.
package amqp
