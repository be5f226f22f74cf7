package mqtt

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/park"
)

// Config is what a Server is made of. Core and Lot are needed; a zero number means its
// default.
type Config struct {
	Core   device.Core
	Lot    *park.Lot
	Logger *slog.Logger // nil discards

	MaxArriving           int // peers not yet authenticated, all together; default 2,700
	MaxArrivingPerAddress int // the same from one address (IPv6: one /64); default 1,024
}

// Server speaks MQTT with devices and modules. Its methods may be called by any
// goroutine.
type Server struct {
	// fixed

	core      device.Core
	lot       *park.Lot
	log       *slog.Logger
	gate      *gate
	scratches sync.Pool // of *scratch
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Core == nil || cfg.Lot == nil {
		return nil, errors.New("mqtt: a server needs a core and a lot")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxArriving <= 0 {
		cfg.MaxArriving = defaultArriving
	}
	if cfg.MaxArrivingPerAddress <= 0 {
		cfg.MaxArrivingPerAddress = defaultArrivingPerAddress
	}
	return &Server{
		core: cfg.Core,
		lot:  cfg.Lot,
		log:  cfg.Logger,
		gate: &gate{
			places:     make(chan struct{}, cfg.MaxArriving),
			perAddress: cfg.MaxArrivingPerAddress,
			from:       make(map[netip.Addr]int),
		},
		scratches: sync.Pool{New: newScratch},
	}, nil
}
