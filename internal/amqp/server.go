package amqp

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/park"
)

// gate judges credentials. Errors are fault.Error.
type gate interface {
	// Grant verifies the token of a shared access policy, spoken to under the name host, and
	// says what it permits.
	Grant(token, host string) (device.Grant, error)
	// Authenticate says whether cred proves id, without claiming it.
	Authenticate(ctx context.Context, id iot.Identity, host string, cred device.Credential) (device.Proof, error)
}

// Config is what a Server is made of. Core, Gate, Lot and Hosts are needed.
type Config struct {
	Core   device.Core
	Gate   gate
	Lot    *park.Lot
	Hosts  iot.Hosts // the names of the hub
	Skew   time.Duration
	Logger *slog.Logger // nil discards
}

// Server speaks AMQP with devices, modules, back-ends and readers of events. Its methods
// may be called by any goroutine.
type Server struct {
	// fixed

	cfg         Config
	log         *slog.Logger
	containerID string
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Core == nil || cfg.Gate == nil || cfg.Lot == nil || cfg.Hosts.First() == "" {
		return nil, errors.New("amqp: a server needs a core, a gate, a lot and the names of the hub")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Server{cfg: cfg, log: cfg.Logger, containerID: "DeviceGateway_" + hex.EncodeToString(id[:])}, nil
}

// Serve speaks AMQP on nc until the connection has ended, and closes it. facts is what is
// known of the connection, certs the client's chain, leaf first, not verified. trusted is
// called once, when the peer has proved who it is; it may be nil.
func (s *Server) Serve(ctx context.Context, nc net.Conn, facts *device.Conn, certs []*x509.Certificate, trusted func()) {
	pc, err := s.cfg.Lot.Admit(nc, &facts.Traffic)
	if err != nil {
		_ = nc.Close()
		return
	}
	pc.Run(newConn(ctx, s, pc.Wake, facts, certs, trusted), nil)
}

// randomBase makes the tracking ids of one connection unlike any other's.
func randomBase() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
