package mqtt

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// Handshake makes of an accepted socket the connection to speak MQTT on (after TLS), its
// facts, and the client's certificates, leaf first. ctx ends 30 s after accept; on an
// error the socket is closed by the caller.
type Handshake func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error)

// Listen accepts connections from ln, which it closes, until ctx ends; then it waits for
// those it accepted. They do not end with ctx, only with the lot: shut that down beside
// cancelling ctx. Handshake and CONNECT have 30 s and 32 kB of raw input together. With as many
// strangers inside as the gate allows, accepting pauses; too many from one address
// are closed at once. A failing accept (no file descriptors) is repeated after a pause and
// disturbs nobody who is in. The error is nil after ctx ended.
func (s *Server) Listen(ctx context.Context, ln net.Listener, handshake Handshake) error {
	var peers sync.WaitGroup
	defer peers.Wait()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	defer func() { _ = ln.Close() }()
	var pause time.Duration
	for {
		if err := s.gate.wait(ctx); err != nil {
			return nil // ctx ended: that is how listening ends
		}
		nc, err := ln.Accept()
		if err != nil {
			s.gate.free()
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			pause = min(max(2*pause, firstPause), longestPause)
			s.log.Warn("accept failed", slog.String("op", "mqtt.listen"), slog.String("err", err.Error()), slog.Duration("took", pause))
			wait(ctx, pause)
			continue
		}
		pause = 0
		leave, ok := s.gate.enter(remote(nc))
		if !ok {
			_ = nc.Close()
			continue
		}
		peers.Go(func() { s.arrive(ctx, nc, handshake, leave) })
	}
}

// arrive takes one accepted socket through its handshake and serves it.
func (s *Server) arrive(ctx context.Context, nc net.Conn, handshake Handshake, leave func()) {
	defer leave()
	deadline := time.Now().Add(arriveWithin)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	_ = nc.SetDeadline(deadline) // lifted when the conversation begins
	raw := newBudget(nc)
	conn, facts, certs, err := handshake(ctx, raw)
	if err != nil {
		_ = nc.Close()
		s.log.Debug("handshake failed", slog.String("op", "mqtt.handshake"),
			slog.String("remote", nc.RemoteAddr().String()), slog.String("err", err.Error()))
		return
	}
	s.serve(ctx, conn, facts, certs, func() {
		raw.lift()
		leave()
	})
}

// remote is the peer's address, or the zero address for a socket without one.
func remote(nc net.Conn) netip.Addr {
	addr, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr()
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
