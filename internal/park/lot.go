package park

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// Config sets the bounds of a Lot; a zero field means its default.
type Config struct {
	MaxConns     int           // connections held at once, admitted or running
	MaxPacket    int           // bytes of unread input after which a connection is ended
	WriteTimeout time.Duration // for the peer to read what one turn wrote
	Logger       *slog.Logger  // nil discards
}

// Lot holds every connection of a process, enforces their limits and ends them
// together. Its methods may be called by any goroutine.
type Lot struct {
	// fixed

	cfg     Config
	stop    chan struct{} // closed by Shutdown
	buffers sync.Pool     // of *[bigBuffer]byte

	// shared

	lookout lookout

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
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Lot{
		cfg:     cfg,
		stop:    make(chan struct{}),
		buffers: sync.Pool{New: func() any { return new([bigBuffer]byte) }},
		conns:   make(map[*Conn]runs),
		empty:   make(chan struct{}),
	}
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
	c := &Conn{lot: l, nc: nc, meter: meter, wake: make(chan struct{}, 1)}
	l.conns[c] = false
	return c, nil
}

// Len is how many connections the lot holds.
func (l *Lot) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Shutdown admits no more, closes what has no conversation yet, gives every
// conversation its last turns (Turn.Stopping), ends the probes and waits until all have left. When ctx
// ends first, the remaining sockets are cut and its cause is returned. It may be
// called more than once.
func (l *Lot) Shutdown(ctx context.Context) error {
	for _, c := range l.beginStop() {
		c.abort()
	}
	l.lookout.close()
	select {
	case <-l.empty:
		return nil
	case <-ctx.Done():
	}
	for _, c := range l.held() {
		c.abort()
	}
	return context.Cause(ctx)
}

// beginStop marks the lot and gives the connections that do not run yet.
func (l *Lot) beginStop() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopping {
		l.stopping = true
		close(l.stop)
		if len(l.conns) == 0 {
			close(l.empty)
		}
	}
	var arriving []*Conn
	for c, running := range l.conns {
		if !running {
			arriving = append(arriving, c)
		}
	}
	return arriving
}

func (l *Lot) held() []*Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*Conn, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	return all
}

// runs notes that c has a conversation: Shutdown lets it say goodbye.
func (l *Lot) runs(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = true
}

// left takes c out. Calling it twice is harmless.
func (l *Lot) left(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, held := l.conns[c]; !held {
		return
	}
	delete(l.conns, c)
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
