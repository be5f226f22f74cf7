// Package park holds connections that cost little while idle. A conversation is
// handed bytes, wakes and the time, and gives back bytes; park owns the socket.
//
// Its one invariant: a connection has at most one owner at a time, and only the
// owner runs its conversation, writes, and closes the socket. Park knows no
// protocol and no hub; of TLS only what a record's header says, and which buffers of
// crypto/tls are idle.
package park
