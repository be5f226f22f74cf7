package park

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// socket is a net.Conn on a descriptor of its own, whatever lies on it, and what owns a
// connection on the parked path. Until it is parked, reading waits as it does on any
// net.Conn; from then on a read with nothing to read returns errNothing, which
// crypto/tls takes for a deadline: it keeps its state, partial records included.
//
// Its methods as a net.Conn, Close among them, are for the owner; deadlines may be set
// by anybody.
type socket struct {
	// fixed

	lot    *Lot
	fd     int
	k      key
	local  netip.AddrPort
	remote netip.AddrPort

	// shared

	word    word
	waiter  atomic.Pointer[waiter] // the owner, while it waits
	readBy  atomic.Int64           // in the lot's time; 0: whenever
	writeBy atomic.Int64

	// owned by the owner

	stage  stage
	guest  *stranger // nil: authenticated, or not a door's
	parked bool      // reading does not wait
	input  bool      // there may be something to read
	gone   bool      // the end may be behind the next short read
	listed int64     // when the sweep comes by; 0: never

	// guarded by the lot's mu

	admitted bool

	// guarded by mu

	mu     sync.Mutex // against closing while the kernel is asked
	closed bool
}

// stage is what the owner of a socket does with it. step handles what has happened and
// reports whether the socket is closed; if not, it is stepped again when more happens.
type stage interface {
	step(s *socket, bits uint32) (over bool)
}

// signal tells the owner of bits, and starts one if there is none.
func (s *socket) signal(bits uint32) {
	owned, mine := s.word.set(bits)
	switch {
	case mine:
		go s.own()
	case owned:
		if w := s.waiter.Load(); w != nil {
			w.poke()
		}
	}
}

// begin ends the ownership of who adopted the socket: from now on things happen to it.
func (s *socket) begin() error {
	if err := s.lot.system.watch(s.fd, s.k); err != nil {
		return errors.Join(err, s.Close())
	}
	if !s.word.leave() {
		go s.own()
	}
	return nil
}

// own is the owner. Once the socket is closed it keeps the word, so that nobody else can
// become the owner.
func (s *socket) own() {
	if s.guest == nil || s.guest.phase != hailing { // who hails may have to wait for its turn
		growStack(0)
	}
	for over := false; !over; over = s.word.leave() {
		if s.stage.step(s, s.take()) {
			return
		}
	}
}

// growStack makes room on the stack of an owner that has just begun, while there is next to
// nothing on it: the way through crypto/tls and a conversation needs more than the 4 or
// 8 KiB that a goroutine begins with, and would have it doubled and copied on the way, each
// time (5 to 10 % of the processor under publishes). 16 KiB is the largest stack that the
// runtime keeps for each processor.
//
//go:noinline
func growStack(touch int) byte { //nolint:unparam // what it returns keeps the frame
	if touch == 0 { // the frame counts, not what is done with it
		return 0
	}
	var room [9 << 10]byte
	return room[touch]
}

// take gives the owner what has happened since it last asked.
func (s *socket) take() uint32 {
	bits := s.word.take()
	s.note(bits)
	return bits
}

func (s *socket) note(bits uint32) {
	s.input = s.input || bits&readable != 0
	s.gone = s.gone || bits&hungUp != 0
	if bits&expired != 0 {
		s.listed = 0
	}
}

// wakeAt asks the sweep to signal expired at the lot's time at, or earlier.
func (s *socket) wakeAt(at int64) {
	if at == 0 {
		return
	}
	if at = tick(s.lot.now(), at); s.listed == 0 || at < s.listed {
		s.listed = at
		s.lot.sweep.enlist(s.k, at)
	}
}

// nothing is errNothing's type.
type nothing struct{}

// errNothing: there is nothing to read now.
var errNothing net.Error = nothing{}

func (nothing) Error() string   { return "park: nothing to read now" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// errOver: the conversation has ended while a write waited for the peer.
var errOver = errors.New("park: the conversation has ended")

// Read reads what there is.
func (s *socket) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if !s.input {
			if s.parked {
				return 0, errNothing
			}
			if err := s.await(readable|hungUp, &s.readBy); err != nil {
				return 0, s.failed("read", err)
			}
		}
		n, err := s.lot.system.read(s.fd, p)
		switch {
		case n > 0:
			s.input = n == len(p) || s.gone // a short read has taken all there was
			return n, nil
		case errors.Is(err, syscall.EAGAIN):
			s.input, s.gone = false, false
		case err != nil:
			return 0, s.failed("read", os.NewSyscallError("read", err))
		default:
			return 0, io.EOF
		}
	}
	return 0, nil
}

// Write writes all of p. It waits for a slow peer until the write deadline: crypto/tls
// cannot go on after a write that was cut short.
func (s *socket) Write(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := s.lot.system.write(s.fd, p[n:])
		if m > 0 {
			n += m
			continue
		}
		if errors.Is(err, syscall.EAGAIN) {
			err = s.await(writable, &s.writeBy)
		} else {
			err = os.NewSyscallError("write", err)
		}
		if err != nil {
			return n, s.failed("write", err)
		}
	}
	return n, nil
}

// await waits until one of the bits in want is set, which it clears.
func (s *socket) await(want uint32, by *atomic.Int64) error {
	s.guest.waits()
	defer s.guest.resumes()
	w := s.lot.waiters.Get().(*waiter) // the pool holds nothing else
	defer s.lot.waiters.Put(w)
	s.waiter.Store(w)
	defer s.waiter.Store(nil)
	for {
		bits := s.word.peek()
		switch {
		case bits&cut != 0:
			return net.ErrClosed
		case bits&want != 0:
			s.word.clear(bits & want)
			s.note(bits & want)
			return nil
		case bits&woken != 0 && s.over():
			return errOver
		}
		if !w.wait(s.lot, by.Load()) {
			return os.ErrDeadlineExceeded
		}
	}
}

// over reports whether nobody wants what is being written any more.
func (s *socket) over() bool {
	p, ok := s.stage.(*parked)
	return ok && p.over()
}

// failed puts an error as package net does.
func (s *socket) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: err}
}

// Close closes the descriptor.
func (s *socket) Close() error {
	if !s.shut() {
		return net.ErrClosed
	}
	if s.guest != nil {
		s.guest.leave()
		s.guest = nil
	}
	s.lot.system.drop(s.fd)
	return nil
}

// shut marks the socket closed: from now on nobody asks the kernel about it.
func (s *socket) shut() bool {
	s.lot.slots.leave(s.k)
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.closed
	s.closed = true
	return !was
}

// CloseWrite ends our side of the stream.
func (s *socket) CloseWrite() error { return s.lot.system.shut(s.fd) }

// LocalAddr is our end.
func (s *socket) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(s.local) }

// RemoteAddr is the peer's end.
func (s *socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.remote) }

// SetDeadline sets both deadlines.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline sets until when a read waits.
func (s *socket) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.readBy, t) }

// SetWriteDeadline sets until when a write waits for the peer.
func (s *socket) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.writeBy, t) }

func (s *socket) setDeadline(by *atomic.Int64, t time.Time) error {
	by.Store(s.lot.at(t))
	if w := s.waiter.Load(); w != nil {
		w.poke()
	}
	return nil
}

// SyscallConn lets the kernel be asked about the socket, by any goroutine, until it is
// closed.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return (*rawSocket)(s), nil }

// rawSocket is a socket as the kernel knows it.
type rawSocket socket

// Control calls f with the descriptor, which stays open meanwhile.
func (s *rawSocket) Control(f func(fd uintptr)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	f(uintptr(s.fd))
	return nil
}

// Read is not for others: the socket has an owner.
func (*rawSocket) Read(func(fd uintptr) bool) error { return errors.ErrUnsupported }

// Write is not for others either.
func (*rawSocket) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }

// waiter is an owner that waits.
type waiter struct {
	poked chan struct{} // capacity 1
	timer *time.Timer
}

func newWaiter() any {
	w := &waiter{poked: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}

// poke ends a wait, or the next one.
func (w *waiter) poke() {
	select {
	case w.poked <- struct{}{}:
	default:
	}
}

// wait waits for a poke; it reports false if the lot's time reached by first, unless that is 0.
func (w *waiter) wait(l *Lot, by int64) bool {
	if by == 0 {
		<-w.poked
		return true
	}
	left := by - l.now()
	if left <= 0 {
		return false
	}
	w.timer.Reset(time.Duration(left))
	defer w.timer.Stop()
	select {
	case <-w.poked:
	case <-w.timer.C: // await looks again
	}
	return true
}
