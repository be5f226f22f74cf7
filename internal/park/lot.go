package park

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Config sets the bounds of a Lot; a zero field means its default.
type Config struct {
	MaxConns     int           // connections held at once, admitted or running
	MaxPacket    int           // bytes of unread input after which a connection is ended
	WriteTimeout time.Duration // for the peer to read what one turn wrote
	Spread       time.Duration // over which Shutdown spreads the goodbyes, at most; negative: at once
	Plain        bool          // park nothing: every connection keeps its goroutines
	Logger       *slog.Logger  // nil discards
}

// Lot holds every connection of a process, enforces their limits and ends them
// together. Its methods may be called by any goroutine.
type Lot struct {
	// fixed

	cfg     Config
	born    time.Time
	lender  lender
	buffers sync.Pool // of *[bigBuffer]byte
	desks   sync.Pool // of *desk
	waiters sync.Pool // of *waiter
	begin   func(func([]happening)) (system, error)

	// shared

	lookout lookout
	slots   slots
	sweep   sweep
	ebb     ebb

	// fixed once there is a socket

	system system

	// guarded by mu

	mu       sync.Mutex
	conns    map[*Conn]runs
	stopping bool
	empty    chan struct{} // closed when stopping and the last connection has left
}

// runs says whether a connection has a conversation yet.
type runs bool

// New makes an empty lot.
func New(cfg Config) *Lot {
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	if cfg.MaxPacket <= 0 {
		cfg.MaxPacket = DefaultMaxPacket
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = DefaultWriteTimeout
	}
	if cfg.Spread == 0 {
		cfg.Spread = DefaultSpread
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Lot{
		cfg:     cfg,
		born:    time.Now().Add(-fineTick),
		lender:  newLender(),
		buffers: sync.Pool{New: func() any { return new([bigBuffer]byte) }},
		desks:   sync.Pool{New: newDesk},
		waiters: sync.Pool{New: newWaiter},
		begin:   newSystem,
		conns:   make(map[*Conn]runs),
		empty:   make(chan struct{}),
	}
	l.sweep.lot = l
	return l
}

// now is the lot's time: nanoseconds since a little before it was made, never 0.
func (l *Lot) now() int64 { return int64(time.Since(l.born)) }

// at gives t in the lot's time; 0 for the zero time.
func (l *Lot) at(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, int64(t.Sub(l.born)))
}

// Admit takes nc into the lot, before its conversation is known: from now on it
// counts against the limit and Shutdown closes it. meter counts what Run reads and
// writes; nil counts nothing. The caller goes on to use nc until Run, and must end
// with either Run or Leave. On ErrFull and ErrShutdown nc is untouched and still the caller's.
func (l *Lot) Admit(nc net.Conn, meter Meter) (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		return nil, ErrShutdown
	}
	if len(l.conns) >= l.cfg.MaxConns {
		return nil, ErrFull
	}
	if meter == nil {
		meter = noMeter{}
	}
	c := &Conn{lot: l, nc: nc, meter: meter, s: under(nc)}
	if c.s == nil {
		c.poke = make(chan struct{}, 1)
	}
	l.conns[c] = false
	if c.s != nil {
		c.s.admitted = true
	}
	return c, nil
}

// adopt takes nc out of package net, to be parked one day; st is its first stage, and the
// caller its owner. What cannot be parked is errNoDescriptor, and untouched; on any other
// error nc is closed.
func (l *Lot) adopt(nc net.Conn, st stage) (*socket, error) {
	if _, ok := nc.(syscall.Conn); !ok {
		return nil, errNoDescriptor
	}
	sys, err := l.running()
	if errors.Is(err, errNoDescriptor) {
		return nil, err
	}
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	local, remote := address(nc.LocalAddr()), address(nc.RemoteAddr())
	fd, err := sys.adopt(nc)
	if err != nil {
		return nil, err
	}
	s := &socket{lot: l, fd: fd, local: local, remote: remote, stage: st}
	s.word.bits.Store(running)
	s.k = l.slots.enter(s)
	return s, nil
}

// running gives the system, which begins with the first socket.
func (l *Lot) running() (system, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.cfg.Plain:
		return nil, errNoDescriptor
	case l.stopping:
		return nil, ErrShutdown
	case l.system != nil:
		return l.system, nil
	}
	var found [eventsAtOnce]*socket // the system reports on one goroutine
	sys, err := l.begin(func(hs []happening) { l.happened(hs, found[:len(hs)]) })
	if errors.Is(err, errors.ErrUnsupported) {
		l.cfg.Plain, err = true, errNoDescriptor
	}
	if err != nil {
		return nil, err
	}
	l.system = sys
	return sys, nil
}

// happened passes on what has happened; found is room to work in.
func (l *Lot) happened(hs []happening, found []*socket) {
	l.slots.find(hs, found)
	for i, h := range hs {
		if found[i] != nil {
			found[i].signal(h.bits)
			found[i] = nil
		}
	}
}

func address(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}

// Len is how many connections the lot holds.
func (l *Lot) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Shutdown admits no more, closes what has no conversation yet, gives every
// conversation its last turns (Turn.Stopping), a few at a time so that their peers do not
// all come back at once, ends the probes and waits until all have left. When ctx
// ends first, the remaining sockets are cut and its cause is returned. It may be
// called more than once.
func (l *Lot) Shutdown(ctx context.Context) error {
	inUse := l.beginStop()
	l.lookout.close()
	l.dismiss(ctx, inUse)
	select {
	case <-l.empty:
	case <-ctx.Done():
		for c := range l.held() {
			c.cut()
		}
		return context.Cause(ctx)
	}
	l.sweep.stop()
	l.ebb.stop()
	if l.system != nil {
		l.system.close()
	}
	return nil
}

// beginStop marks the lot, cuts whoever has no conversation, and gives the others.
func (l *Lot) beginStop() (inUse []*Conn) {
	first := l.markStop()
	for c, running := range l.held() {
		if running {
			inUse = append(inUse, c)
		} else {
			c.cut()
		}
	}
	for _, s := range l.strangers() {
		s.signal(cut)
	}
	if !first {
		return nil // they are being dismissed already
	}
	return inUse
}

func (l *Lot) markStop() (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		return false
	}
	l.stopping = true
	if len(l.conns) == 0 {
		close(l.empty)
	}
	return true
}

// strangers gives the sockets that have not been admitted.
func (l *Lot) strangers() []*socket {
	all := l.slots.here()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(all, func(s *socket) bool { return s.admitted })
}

// dismiss says goodbye to a few connections at a time.
func (l *Lot) dismiss(ctx context.Context, inUse []*Conn) {
	over := min(l.cfg.Spread, time.Duration(len(inUse))*spacing)
	if over < dismissEvery {
		over = 0
	}
	ticker := time.NewTicker(dismissEvery)
	defer ticker.Stop()
	steps := max(1, int(over/dismissEvery))
	for i := range steps {
		for _, c := range inUse[len(inUse)*i/steps : len(inUse)*(i+1)/steps] {
			c.signal(stopping)
		}
		if i == steps-1 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// held gives all connections, and whether they have a conversation.
func (l *Lot) held() map[*Conn]runs {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.conns)
}

// runs notes that c has a conversation: Shutdown lets it say goodbye.
func (l *Lot) runs(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = true
	if l.stopping {
		c.signal(stopping)
	}
}

// left takes c out. Calling it twice is harmless.
func (l *Lot) left(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, held := l.conns[c]; !held {
		return
	}
	delete(l.conns, c)
	l.ebb.moved()
	if l.stopping && len(l.conns) == 0 {
		close(l.empty)
	}
}

// guarded runs a call into a conversation; a panic ends its connection only.
func (l *Lot) guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.cfg.Logger.Error("a conversation panicked", slog.String("op", "park.turn"),
				slog.String("err", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			err = ErrPanic
		}
	}()
	return call()
}

type noMeter struct{}

func (noMeter) In(time.Time, int)  {}
func (noMeter) Out(time.Time, int) {}
