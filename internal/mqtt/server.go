package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/park"
)

// Config is what a Server is made of. Core is needed, and one of Door and Lot.
type Config struct {
	Core   device.Core
	Door   *park.Door   // where peers come in, with those of other transports
	Lot    *park.Lot    // without a Door: where a door of its own leads
	Logger *slog.Logger // nil discards
}

// Server speaks MQTT with devices and modules. Its methods may be called by any
// goroutine.
type Server struct {
	// fixed

	core      device.Core
	door      *park.Door
	log       *slog.Logger
	scratches sync.Pool // of *scratch
}

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Core == nil || cfg.Door == nil && cfg.Lot == nil {
		return nil, errors.New("mqtt: a server needs a core, and a door or a lot")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Door == nil {
		var err error
		if cfg.Door, err = park.NewDoor(park.DoorConfig{Lot: cfg.Lot, Logger: cfg.Logger}); err != nil {
			return nil, err
		}
	}
	return &Server{
		core:      cfg.Core,
		door:      cfg.Door,
		log:       cfg.Logger,
		scratches: sync.Pool{New: newScratch},
	}, nil
}

// Listen takes in who comes to ln, through the door, until ctx ends (see park.Door.Listen).
func (s *Server) Listen(ctx context.Context, ln net.Listener, handshake park.Handshake) error {
	return s.door.Listen(ctx, ln, handshake, park.Protocol{Whole: whole, Serve: s.Serve})
}
