package park

import (
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// memory is a system without a kernel: its descriptors lead to wires in memory, so that the
// parked path runs in a synctest bubble.
type memory struct {
	buffer int // bytes in flight each way

	// guarded by mu

	mu       sync.Mutex
	fail     error // adopt fails with it
	open     map[int]*wire
	watching map[int]key
	dropped  []key // of all that were watched once
	reported int

	telling  sync.Mutex
	happened func([]happening)
}

func newMemory() *memory {
	return &memory{buffer: bufferOf, open: make(map[int]*wire), watching: make(map[int]key)}
}

// lot makes a lot on this system.
func (m *memory) lot(cfg Config) *Lot {
	l := New(cfg)
	l.begin = func(happened func([]happening)) (system, error) {
		m.happened = happened
		return m, nil
	}
	return l
}

// wire is a connection: what package net would give for the hub's end, before it is
// adopted, and what the peer holds.
type wire struct {
	m    *memory
	here *net.TCPAddr

	mu          sync.Mutex
	cond        sync.Cond
	fd          int
	in, out     []byte // to the hub, from the hub
	inOver      bool   // the peer has ended its side, or closed
	outOver     bool   // the hub has
	closed      bool   // the hub has closed
	reset       bool   // the peer has closed with a reset
	refused     bool   // the hub's last write found no room
	peerBy      time.Time
	peerExpires *time.Timer
}

func (m *memory) wire() (here *near, peer *far) {
	w := &wire{m: m, fd: -1, here: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.1:5000"))}
	w.cond.L = &w.mu
	return &near{w}, &far{w}
}

// near is the hub's end of a wire before it is adopted.
type near struct{ *wire }

func (*near) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (*near) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (n *near) LocalAddr() net.Addr            { return n.here }
func (n *near) RemoteAddr() net.Addr           { return n.here }
func (*near) SetDeadline(time.Time) error      { return nil }
func (*near) SetReadDeadline(time.Time) error  { return nil }
func (*near) SetWriteDeadline(time.Time) error { return nil }

// Close closes the hub's end, unless it has been adopted.
func (n *near) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fd < 0 {
		n.closed, n.outOver = true, true
		n.cond.Broadcast()
	}
	return nil
}

// SyscallConn makes it one that has a descriptor.
func (*near) SyscallConn() (syscall.RawConn, error) { return nil, syscall.EINVAL }

// tell reports what happened to a wire.
func (w *wire) tell(bits uint32) {
	w.m.mu.Lock()
	k, watched := w.m.watching[w.fd]
	w.m.reported++
	w.m.mu.Unlock()
	if watched {
		w.m.telling.Lock()
		defer w.m.telling.Unlock()
		w.m.happened([]happening{{k, bits}})
	}
}

func (m *memory) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

func (m *memory) of(fd int) *wire {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.open[fd]
	if w == nil {
		panic("a descriptor that is not open was used")
	}
	return w
}

func (m *memory) adopt(nc net.Conn) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, m.fail
	}
	n, ok := nc.(*near)
	if !ok {
		return 0, errNoDescriptor
	}
	fd := 3
	for m.open[fd] != nil {
		fd++ // the lowest that is free, as a kernel gives it
	}
	m.open[fd] = n.wire
	n.fd = fd
	return fd, nil
}

func (m *memory) watch(fd int, k key) error {
	w := m.of(fd)
	m.mu.Lock()
	m.watching[fd] = k
	m.mu.Unlock()
	w.mu.Lock()
	bits := writable
	if len(w.in) > 0 || w.inOver {
		bits |= readable
	}
	if w.inOver {
		bits |= hungUp
	}
	w.mu.Unlock()
	w.tell(bits)
	return nil
}

func (m *memory) read(fd int, p []byte) (int, error) {
	w := m.of(fd)
	w.mu.Lock()
	defer w.mu.Unlock()
	n := copy(p, w.in)
	switch {
	case n > 0:
		w.in = w.in[n:]
		w.cond.Broadcast()
		return n, nil
	case w.reset:
		return -1, syscall.ECONNRESET
	case w.inOver:
		return 0, nil
	}
	return -1, syscall.EAGAIN
}

func (m *memory) write(fd int, p []byte) (int, error) {
	w := m.of(fd)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reset || w.outOver {
		return -1, syscall.EPIPE
	}
	n := min(len(p), m.buffer-len(w.out))
	if n == 0 {
		w.refused = true
		return -1, syscall.EAGAIN
	}
	w.out = append(w.out, p[:n]...)
	w.cond.Broadcast()
	return n, nil
}

func (m *memory) shut(fd int) error {
	w := m.of(fd)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outOver = true
	w.cond.Broadcast()
	return nil
}

func (m *memory) drop(fd int) {
	w := m.of(fd)
	w.mu.Lock()
	w.closed, w.outOver = true, true
	w.cond.Broadcast()
	w.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped = append(m.dropped, m.watching[fd])
	delete(m.open, fd)
	delete(m.watching, fd)
}

func (m *memory) close() {}

// far is the peer's end of a wire.
type far struct{ *wire }

func (f *far) Write(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := f.write(p[n:])
		if n += m; err != nil {
			return n, err
		}
		f.tell(readable | writable)
	}
	return n, nil
}

func (f *far) write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed && !f.inOver && len(f.in) >= f.m.buffer {
		f.cond.Wait()
	}
	if f.closed || f.inOver {
		return 0, syscall.EPIPE
	}
	n := min(len(p), f.m.buffer-len(f.in))
	f.in = append(slices.Clip(f.in), p[:n]...)
	return n, nil
}

func (f *far) Read(p []byte) (int, error) {
	n, room, err := f.read(p)
	if room {
		f.tell(writable)
	}
	return n, err
}

func (f *far) read(p []byte) (n int, room bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.out) == 0 && !f.outOver && !f.inOver {
		if !f.peerBy.IsZero() && !time.Now().Before(f.peerBy) {
			return 0, false, os.ErrDeadlineExceeded
		}
		f.cond.Wait()
	}
	if len(f.out) == 0 {
		return 0, false, io.EOF
	}
	n = copy(p, f.out)
	f.out = f.out[n:]
	room, f.refused = f.refused, false
	return n, room, nil
}

// CloseWrite ends the peer's side of the stream.
func (f *far) CloseWrite() error {
	f.end(false)
	return nil
}

func (f *far) Close() error {
	f.end(false)
	return nil
}

func (f *far) end(reset bool) {
	f.mu.Lock()
	was := f.inOver
	f.inOver, f.reset = true, f.reset || reset
	f.cond.Broadcast()
	f.mu.Unlock()
	if !was || reset {
		f.tell(readable | hungUp | writable)
	}
}

func (f *far) LocalAddr() net.Addr              { return f.here }
func (f *far) RemoteAddr() net.Addr             { return f.here }
func (f *far) SetWriteDeadline(time.Time) error { return nil }
func (f *far) SetDeadline(t time.Time) error    { return f.SetReadDeadline(t) }

func (f *far) SetReadDeadline(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.peerBy = t
	if f.peerExpires != nil {
		f.peerExpires.Stop()
	}
	if !t.IsZero() {
		f.peerExpires = time.AfterFunc(time.Until(t), func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.cond.Broadcast()
		})
	}
	return nil
}
