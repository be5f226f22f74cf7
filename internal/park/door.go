package park

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// Handshake makes of an accepted socket the connection to speak on (after TLS), its
// facts, and the client's certificates, leaf first. The socket's deadline is the
// stranger's, whatever the handshake sets, and it is closed when the lot shuts down: ctx does
// not end. On an error the caller closes the socket.
type Handshake func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error)

// Protocol is what a transport speaks.
type Protocol struct {
	// Whole reports whether in, which is not empty, begins with a whole first packet, or with
	// something that will never be one. Until then the peer costs what it has sent.
	Whole func(in []byte) bool
	// Serve speaks with a peer, until the connection has ended or Conn.Run has taken it over,
	// and closes it in any case. ctx ends with the peer's time as a stranger.
	Serve func(ctx context.Context, p Peer)
	// Relayed: Serve hands the connection to somebody who reads and writes on goroutines of
	// his own and bounds what he reads, so it stays with package net. Serve returns once
	// the peer is admitted or gone; until then it counts as a stranger.
	Relayed bool
}

// Peer is who has come through a Door.
type Peer struct {
	Conn  net.Conn
	In    []byte // what it has said so far; Serve's to keep
	Facts *device.Conn
	Certs []*x509.Certificate // its chain, leaf first, not verified

	// Admitted ends the bounds of a stranger: it is called once it is known who the peer is,
	// by Serve, or later by the conversation in a turn; again is harmless.
	Admitted func()
}

// DoorConfig is what a Door is made of. Lot is needed; a zero number means its default.
type DoorConfig struct {
	Lot    *Lot
	Logger *slog.Logger // nil discards

	MaxArriving           int // peers not yet authenticated, all together
	MaxArrivingPerAddress int // the same from one address (IPv6: one /64)
	MaxWaiting            int // peers in line, in all, because their address has its share
}

// Door is where peers come in, of every transport: it bounds what those cost who have not
// yet shown who they are. Its methods may be called by any goroutine.
type Door struct {
	// fixed

	lot       *Lot
	log       *slog.Logger
	gate      *gate
	turnstile turnstile

	// shared

	hoard    atomic.Int64 // what strangers have sent in all, beyond what honest ones need
	pressing atomic.Bool  // somebody waits for what slow strangers hold
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
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = min(DefaultWaiting, highest()/2)
	}
	d := &Door{lot: cfg.Lot, log: cfg.Logger, gate: newGate(cfg.MaxArriving, cfg.MaxArrivingPerAddress, cfg.MaxWaiting)}
	d.turnstile.free, d.turnstile.seats = runtime.GOMAXPROCS(0), max(1, cfg.MaxArriving/seatPart)
	return d, nil
}

// Lot is where the door leads.
func (d *Door) Lot() *Lot { return d.lot }

// Strangers is how many places those take who have not yet shown who they are, with one for
// each listener that waits for the next.
func (d *Door) Strangers() int { return len(d.gate.places) }

// Gather reads the first packet of a peer that has said nothing yet, or what will never be
// one: nobody is read more than MaxArrival bytes of.
func Gather(nc net.Conn, whole func(in []byte) bool) (in []byte, err error) {
	st := &stranger{}
	err = st.gather(&tray{home: make([]byte, plainHome)}, newBudget(nc, nil), whole)
	return st.kept, err
}

// reception is what the peers of one listener have in common.
type reception struct {
	door     *Door
	protocol Protocol
	shake    func(raw net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error)
	serve    func(until time.Time, p Peer)
	over     func() // called for each peer when its arrival is
	stop     func(f func()) (forget func() bool)
}

// Listen accepts connections from ln, which it closes, until ctx ends; then it waits until
// the arrival of those it accepted is over. They do not end with ctx, only with the lot: shut
// that down beside cancelling ctx. Until a peer is admitted it has ArriveWithin and
// MaxArrival of raw input. With as many strangers inside as there may be, accepting pauses,
// and those go who let us wait; those too many from one address wait in line, within their
// time, and if too many do they are closed at once. A failing
// accept (no file descriptors) is repeated after a pause and disturbs nobody who is in. The
// error is nil after ctx ended.
func (d *Door) Listen(ctx context.Context, ln net.Listener, handshake Handshake, protocol Protocol) error {
	var peers sync.WaitGroup
	defer peers.Wait()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	defer func() { _ = ln.Close() }()
	host := &reception{
		door: d, protocol: protocol, over: peers.Done,
		shake: func(raw net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
			return handshake(context.WithoutCancel(ctx), raw) // crypto/tls would watch ctx with a goroutine
		},
		serve: func(until time.Time, p Peer) {
			within, cancel := context.WithDeadline(ctx, until)
			defer cancel()
			protocol.Serve(within, p)
		},
		stop: func(f func()) func() bool { return context.AfterFunc(ctx, f) },
	}
	defer d.gate.dismiss(func(st *stranger) bool { return st.host == host })
	var pause time.Duration
	for {
		if err := d.place(ctx); err != nil {
			return nil // ctx ended: that is how listening ends
		}
		nc, err := ln.Accept()
		if err != nil {
			d.gate.free()
		} else {
			err = d.receive(nc, host, &peers)
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
func (d *Door) receive(nc net.Conn, host *reception, peers *sync.WaitGroup) error {
	st := &stranger{host: host, addr: address(nc.RemoteAddr()).Addr(), until: time.Now().Add(ArriveWithin)}
	st.begin = func(ok bool) {
		if !ok {
			_ = nc.Close()
			peers.Done()
			return
		}
		if err := d.start(nc, st, peers); err != nil {
			d.log.Debug("arrival failed", slog.String("op", "park.begin"), slog.String("remote", nc.RemoteAddr().String()), slog.String("err", err.Error()))
		}
	}
	peers.Add(1)
	switch d.gate.enter(st) {
	case entered:
		return d.start(nc, st, peers)
	case inLine:
		d.press()
	case refused:
		st.begin(false)
	}
	return nil
}

// start lets one peer, who is inside, arrive.
func (d *Door) start(nc net.Conn, st *stranger, peers *sync.WaitGroup) error {
	now, host := time.Now(), st.host
	var s *socket
	err := errNoDescriptor
	if !host.protocol.Relayed {
		s, err = d.lot.adopt(nc, st)
	}
	if errors.Is(err, errNoDescriptor) {
		st.raw, st.end = newBudget(nc, st), func() { _ = nc.Close() }
		st.raw.rationed = true
		st.since.Store(now.UnixNano()) // from here on it may be ended
		stop := host.stop(st.end)
		go func() {
			defer peers.Done()
			defer st.leave()
			st.run(stop)
		}()
		return nil
	}
	if err == nil {
		s.guest, s.parked = st, true
		st.raw, st.end = newBudget(s, st), func() { s.signal(cut) }
		st.raw.rationed = true
		st.since.Store(now.UnixNano())
		s.wakeAt(s.lot.at(st.until))
		err = s.begin()
	}
	if err != nil {
		st.leave()
		peers.Done()
	}
	if errors.Is(err, ErrShutdown) {
		return nil // ctx is about to end
	}
	return err
}

// place takes a place at the gate, as soon as there is one.
func (d *Door) place(ctx context.Context) error {
	if d.gate.try() {
		return nil
	}
	d.press()
	return d.gate.wait(ctx)
}

// turn waits for a turn at the turnstile.
func (d *Door) turn(p pass) {
	turn, full := d.turnstile.line(p)
	if full {
		d.press()
	}
	if turn != nil {
		<-turn
	}
}

// press sees to it that while somebody waits for what strangers hold, those go who have let
// us wait for longer than anybody should who has something to say, and those who have
// waited for too long.
func (d *Door) press() {
	if !d.pressing.Swap(true) {
		time.AfterFunc(pressureEvery, d.relieve)
	}
}

func (d *Door) relieve() {
	d.pressing.Store(false)
	now := time.Now()
	d.gate.dismiss(func(st *stranger) bool { return !now.Before(st.until) })
	full := d.gate.full() || d.turnstile.full()
	if !full && !d.gate.crowded() {
		return
	}
	for _, slow := range d.gate.slow(now, full) {
		slow.end()
	}
	d.press()
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
