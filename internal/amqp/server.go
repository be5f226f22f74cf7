package amqp

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
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

// Events is the telemetry log as a reader sees it.
type Events interface {
	// Partitions says where each partition stands. It is called for every event that is
	// sent to some readers, and must not wait.
	Partitions() []device.Partition
	// Reader reads one partition from a place on; the caller closes it.
	Reader(partition int, start device.Start) (device.EventReader, error)
}

// Groups are the consumer groups of the event hub.
type Groups interface {
	// Has reports whether there is a group of this name, letter case aside.
	Has(name string) bool
}

// Config is what a Server is made of. All but Logger are needed.
type Config struct {
	Core     device.Core
	Gate     gate
	Door     *park.Door    // where peers come in, with those of other transports
	Hosts    iot.Hosts     // the names of the hub
	Port     int           // what clients dial for AMQP over TLS
	Commands Commands      // messages to devices
	Queues   Queues        // the hub's own messages to back-ends
	Events   Events        // the telemetry log
	Groups   Groups        // the consumer groups of its readers
	Created  time.Time     // of the hub
	Skew     time.Duration // how long after its end a token is still good
	Logger   *slog.Logger  // nil discards
}

// Server speaks AMQP with devices, modules, back-ends and readers of events. Its methods
// may be called by any goroutine.
type Server struct {
	// fixed

	cfg         Config
	log         *slog.Logger
	containerID string

	// shared

	receivers receivers
	soles     soles
	proofs    proofs
	encoded   encoded
	strange   atomic.Int64 // links and sessions of those who have proved nothing, but for the first few of each
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Core == nil || cfg.Gate == nil || cfg.Door == nil || cfg.Hosts.First() == "" || cfg.Commands == nil || cfg.Queues == nil || cfg.Events == nil || cfg.Groups == nil {
		return nil, errors.New("amqp: a field of Config is missing")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Server{cfg: cfg, log: cfg.Logger, containerID: "DeviceGateway_" + hex.EncodeToString(id[:])}, nil
}

// Listen takes in who comes to ln, through the door, until ctx ends (see park.Door.Listen).
func (s *Server) Listen(ctx context.Context, ln net.Listener, handshake park.Handshake) error {
	return s.cfg.Door.Listen(ctx, ln, handshake, park.Protocol{Whole: whole, Serve: s.Serve})
}

// Serve speaks AMQP with a peer until the connection has ended, or hands it to the lot (see
// park.Conn.Run), and closes it in any case. Admitted is called when the peer has proved who
// it is, or is gone. The conversation does not end with ctx, only with the lot.
func (s *Server) Serve(ctx context.Context, p park.Peer) {
	c, err := s.cfg.Door.Lot().Admit(p.Conn, &p.Facts.Traffic)
	if err != nil {
		_ = p.Conn.Close()
		p.Admitted()
		return
	}
	c.Run(newConn(ctx, s, c.Wake, p.Facts, p.Certs, p.Admitted), p.In)
}

// whole reports whether in holds all of a protocol header (AMQP 2.2), which the peer sends
// before anything else.
func whole(in []byte) bool { return len(in) >= protocolHeader }

// randomBase makes the tracking ids of one connection unlike any other's.
func randomBase() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
