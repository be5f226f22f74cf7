package bench

import (
	"net"
	"sync/atomic"
)

// hearing says whether a connection notes when the kernel took in what it reads.
type hearing bool

const (
	unstamped hearing = false
	stamped   hearing = true
)

// ear is a socket that knows when the kernel took in what was last read. On one machine
// that is when the server wrote it: the load generator's own wait for a processor is not
// in it. Where the kernel does not say, it is the socket alone.
type ear struct {
	net.Conn

	// fixed

	read func(b []byte) (n int, at int64, err error) // nil: the kernel cannot be asked

	// shared

	at atomic.Int64 // Unix nanoseconds of the last bytes; 0: unknown
}

// listen wraps a socket that has just been dialled.
func listen(nc net.Conn) *ear { return &ear{Conn: nc, read: stampedRead(nc)} }

// Read reads from the socket and notes when the kernel took in what came.
func (e *ear) Read(b []byte) (int, error) {
	if e.read == nil || len(b) == 0 {
		return e.Conn.Read(b)
	}
	n, at, err := e.read(b)
	if at != 0 {
		e.at.Store(at)
	}
	return n, err
}
