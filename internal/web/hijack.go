package web

import (
	"bufio"
	"net"
	"net/http"
	"sync/atomic"
)

// hijacker hands out a request's connection so that it is known whether anything came
// on it: while a WebSocket closes, the package that speaks it throws messages away.
type hijacker struct {
	http.ResponseWriter

	heard *atomic.Bool // set by every read that brings something; nil before Hijack
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.heard = new(atomic.Bool)
	return &overheard{Conn: nc, heard: h.heard}, rw, nil
}

// overheard is a connection that notes that something came.
type overheard struct {
	net.Conn

	heard *atomic.Bool
}

// Read reads from the connection.
func (o *overheard) Read(b []byte) (int, error) {
	n, err := o.Conn.Read(b)
	if n > 0 {
		o.heard.Store(true)
	}
	return n, err
}
