package hubtest_test

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// wire is one connection in memory, for a bubble of testing/synctest: the hub's end is a
// net.Conn, the client's is operated by the test, which never waits. It has no bounds: what
// the hub writes is there for the client, unless that has stopped reading.
type wire struct {
	no uint64 // of the connection

	mu       sync.Mutex
	cond     sync.Cond
	toHub    []byte
	toClient []byte
	over     bool // the client has ended its side
	reset    bool // the client is gone without a word
	stalled  bool // the client does not read: whoever writes waits
	hubOver  bool // the hub has ended its side
	closed   bool // the hub has closed its end
	readBy   time.Time
	writeBy  time.Time
	timers   []*time.Timer
}

func newWire(no uint64) *wire {
	w := &wire{no: no}
	w.cond.L = &w.mu
	return w
}

// change changes something, and wakes whoever waits.
func (w *wire) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.cond.Broadcast()
}

// send is the client's write. What nobody can read is lost.
func (w *wire) send(b []byte) {
	w.change(func() {
		if !w.over && !w.reset && !w.closed {
			w.toHub = append(w.toHub, b...)
		}
	})
}

// receive is what the client has been sent, and whether that was the last of it.
func (w *wire) receive() (b []byte, end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, w.toClient = w.toClient, nil
	return b, w.hubOver || w.closed
}

func (w *wire) halfClose()      { w.change(func() { w.over = true }) }
func (w *wire) cut()            { w.change(func() { w.reset, w.stalled, w.toHub = true, false, nil }) }
func (w *wire) stall(on bool)   { w.change(func() { w.stalled = on }) }
func (w *wire) isStalled() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.stalled }

// hubEnd is the hub's end of a wire.
type hubEnd struct{ *wire }

func (h hubEnd) Read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.closed:
			return 0, net.ErrClosed
		case h.reset:
			return 0, syscall.ECONNRESET
		case len(h.toHub) > 0:
			n := copy(p, h.toHub)
			h.toHub = h.toHub[n:]
			return n, nil
		case h.over:
			return 0, io.EOF
		case !h.readBy.IsZero() && !time.Now().Before(h.readBy):
			return 0, os.ErrDeadlineExceeded
		}
		h.cond.Wait()
	}
}

func (h hubEnd) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.closed:
			return 0, net.ErrClosed
		case h.reset:
			return 0, syscall.ECONNRESET
		case h.hubOver:
			return 0, syscall.EPIPE
		case !h.stalled:
			h.toClient = append(h.toClient, p...)
			return len(p), nil
		case !h.writeBy.IsZero() && !time.Now().Before(h.writeBy):
			return 0, os.ErrDeadlineExceeded
		}
		h.cond.Wait()
	}
}

func (h hubEnd) CloseWrite() error {
	h.change(func() { h.hubOver = true })
	return nil
}

func (h hubEnd) Close() error {
	h.change(func() {
		h.closed = true
		for _, t := range h.timers {
			t.Stop()
		}
	})
	return nil
}

func (h hubEnd) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// RemoteAddr tells the number of the connection by its host part.
func (h hubEnd) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: binary.BigEndian.AppendUint64([]byte{0xfd, 7: 0}, h.no), Port: 1024}
}

func (h hubEnd) SetDeadline(t time.Time) error {
	h.change(func() { h.readBy, h.writeBy = t, t; h.wakeAt(t) })
	return nil
}

func (h hubEnd) SetReadDeadline(t time.Time) error {
	h.change(func() { h.readBy = t; h.wakeAt(t) })
	return nil
}

func (h hubEnd) SetWriteDeadline(t time.Time) error {
	h.change(func() { h.writeBy = t; h.wakeAt(t) })
	return nil
}

// wakeAt wakes whoever waits when a deadline has come; mu is held.
func (h hubEnd) wakeAt(t time.Time) {
	if !t.IsZero() && !h.closed {
		h.timers = append(h.timers, time.AfterFunc(time.Until(t), func() { h.change(func() {}) }))
	}
}

// entrance is a listener to which a test brings the connections.
type entrance struct {
	wires  chan *wire
	closed chan struct{}
	once   sync.Once
}

func newEntrance() *entrance {
	return &entrance{wires: make(chan *wire), closed: make(chan struct{})}
}

func (e *entrance) Accept() (net.Conn, error) {
	select {
	case w := <-e.wires:
		return hubEnd{w}, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

func (e *entrance) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

func (e *entrance) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
