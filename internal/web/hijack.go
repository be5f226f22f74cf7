package web

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/berth-iot/berth/internal/park"
)

// errBudget: a stranger sent more than park.MaxArrival bytes in its WebSocket, frames of all
// kinds and their headers included.
var errBudget = errors.New("web: too much input in a WebSocket before the peer was authenticated")

// hijacker hands out a request's connection so that it is known whether anything came
// on it: while a WebSocket closes, the package that speaks it throws messages away.
type hijacker struct {
	http.ResponseWriter

	known *atomic.Bool // the peer is no stranger any more
	heard *atomic.Bool // set by every read that brings something; nil before Hijack
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.heard = new(atomic.Bool)
	return &overheard{Conn: nc, known: h.known, heard: h.heard, left: park.MaxArrival}, rw, nil
}

// overheard is a connection that notes that something came, and how much of a stranger: the
// package that speaks WebSocket answers pings and passes over empty messages by itself.
type overheard struct {
	// fixed

	net.Conn

	known *atomic.Bool
	heard *atomic.Bool

	// owned by who reads

	left int // bytes that a stranger may still send
}

// Read reads from the connection.
func (o *overheard) Read(b []byte) (int, error) {
	stranger := !o.known.Load()
	if stranger && o.left == 0 {
		return 0, errBudget
	}
	if stranger {
		b = b[:min(len(b), o.left)]
	}
	n, err := o.Conn.Read(b)
	if stranger {
		o.left -= n
	}
	if n > 0 {
		o.heard.Store(true)
	}
	return n, err
}
