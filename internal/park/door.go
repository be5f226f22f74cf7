package park

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// Handshake makes of an accepted socket the connection to speak on (after TLS), its
// facts, and the client's certificates, leaf first. The socket's deadline is the
// stranger's, whatever the handshake sets, and it is closed when the lot shuts down: ctx does
// not end. On an error the caller closes the socket.
type Handshake func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error)

// Serve speaks a protocol on a connection, until it has ended or Run has taken it over,
// and closes it in any case. It calls admitted once it knows who the peer is.
type Serve func(ctx context.Context, nc net.Conn, facts *device.Conn, certs []*x509.Certificate, admitted func())

// DoorConfig is what a Door is made of. Lot is needed; a zero number means its default.
type DoorConfig struct {
	Lot    *Lot
	Logger *slog.Logger // nil discards

	MaxArriving           int // peers not yet authenticated, all together
	MaxArrivingPerAddress int // the same from one address (IPv6: one /64)
}

// Door is where peers come in, of every transport: it bounds what those cost who have not
// yet shown who they are. Its methods may be called by any goroutine.
type Door struct {
	// fixed

	lot       *Lot
	log       *slog.Logger
	gate      *gate
	turnstile turnstile
}

// NewDoor makes a door.
func NewDoor(cfg DoorConfig) (*Door, error) {
	if cfg.Lot == nil {
		return nil, errors.New("park: a door needs a lot")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxArriving <= 0 {
		cfg.MaxArriving = DefaultArriving
	}
	if cfg.MaxArrivingPerAddress <= 0 {
		cfg.MaxArrivingPerAddress = DefaultArrivingPerAddress
	}
	d := &Door{lot: cfg.Lot, log: cfg.Logger, gate: newGate(cfg.MaxArriving, cfg.MaxArrivingPerAddress)}
	d.turnstile.free = runtime.GOMAXPROCS(0)
	return d, nil
}

// Lot is where the door leads.
func (d *Door) Lot() *Lot { return d.lot }

// Strangers is how many places those take who have not yet shown who they are, with one for
// each listener that waits for the next.
func (d *Door) Strangers() int { return len(d.gate.places) }

// Enter counts a peer that somebody else has accepted. leave, which may be called more than
// once, is for when it is authenticated, or gone. Without ok there is no room for it.
func (d *Door) Enter(addr netip.Addr) (leave func(), ok bool) {
	if !d.gate.try() {
		return nil, false
	}
	st := &stranger{door: d, addr: addr}
	if !d.gate.enter(st) {
		return nil, false
	}
	return func() { d.gate.leave(st) }, true
}

// Listen accepts connections from ln, which it closes, until ctx ends; then it waits until
// none of those it accepted is a stranger any more. They do not end with ctx, only with the
// lot: shut that down beside cancelling ctx. Handshake and what follows until the peer is
// admitted have ArriveWithin and MaxArrival of raw input together. With as many strangers
// inside as there may be, accepting pauses, and those go who let us wait; too many from one
// address are closed at once. A failing accept (no file descriptors) is repeated after a
// pause and disturbs nobody who is in. The error is nil after ctx ended.
func (d *Door) Listen(ctx context.Context, ln net.Listener, handshake Handshake, serve Serve) error {
	var peers sync.WaitGroup
	defer peers.Wait()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	defer func() { _ = ln.Close() }()
	var pause time.Duration
	for {
		if err := d.gate.wait(ctx); err != nil {
			return nil // ctx ended: that is how listening ends
		}
		nc, err := ln.Accept()
		if err != nil {
			d.gate.free()
		} else {
			err = d.receive(ctx, nc, &peers, handshake, serve)
		}
		switch {
		case err == nil:
			pause = 0
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		pause = min(max(2*pause, firstPause), longestPause)
		d.log.Warn("accept failed", slog.String("op", "park.listen"), slog.String("err", err.Error()), slog.Duration("took", pause))
		wait(ctx, pause)
	}
}

// receive takes in one peer, who has a place.
func (d *Door) receive(ctx context.Context, nc net.Conn, peers *sync.WaitGroup, handshake Handshake, serve Serve) error {
	now := time.Now()
	st := &stranger{door: d, addr: address(nc.RemoteAddr()).Addr(), until: now.Add(ArriveWithin), left: peers.Done}
	if !d.gate.enter(st) {
		_ = nc.Close()
		return nil
	}
	st.since.Store(now.UnixNano())
	peers.Add(1)
	s, err := d.lot.adopt(nc, st)
	switch {
	case errors.Is(err, errNoDescriptor):
		st.end = func() { _ = nc.Close() }
		go func() {
			defer peers.Done()
			defer d.gate.leave(st)
			d.arrive(ctx, st, nc, handshake, serve)
		}()
		return nil
	case err == nil:
		s.host = st
		st.end = func() { s.signal(cut) }
		st.arrive = func() { d.arrive(ctx, st, s, handshake, serve) }
		s.wakeAt(s.lot.at(st.until))
		err = s.begin()
	}
	if err != nil {
		d.gate.leave(st)
		peers.Done()
	}
	if errors.Is(err, ErrShutdown) {
		return nil // ctx is about to end
	}
	return err
}

// arrive takes a stranger through its handshake and serves it. It waits for a turn, which
// it leaves while it waits for the peer.
func (d *Door) arrive(ctx context.Context, st *stranger, nc net.Conn, handshake Handshake, serve Serve) {
	ctx, cancel := context.WithDeadline(ctx, st.until)
	defer cancel()
	stop := func() bool { return true }
	if _, own := nc.(*socket); !own { // of its own it would end with the lot
		stop = context.AfterFunc(ctx, func() { _ = nc.Close() })
	}
	raw := newBudget(nc, st)
	_ = raw.SetDeadline(st.until) // a socket that refuses fails at the first read
	d.turnstile.enter(first)
	st.inTurn = true
	conn, facts, certs, err := handshake(context.WithoutCancel(ctx), raw) // crypto/tls would watch it with a goroutine
	st.inTurn = false
	d.turnstile.leave()
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = nc.Close()
		d.log.Debug("handshake failed", slog.String("op", "park.handshake"),
			slog.String("remote", nc.RemoteAddr().String()), slog.String("err", err.Error()))
		return
	}
	_ = conn.SetDeadline(st.until)
	serve(ctx, conn, facts, certs, func() {
		raw.lift()
		d.gate.leave(st)
	})
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
