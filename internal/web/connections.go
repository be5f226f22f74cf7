package web

import (
	"context"
	"maps"
	"net/url"
	"slices"

	"github.com/berth-iot/berth/internal/iot"
)

// connections answers GET /berth/v1/events/connections: every connect and disconnect
// as it happens, none left out but those a "lost" line counts.
func (s *Server) connections(c *call) error {
	if s.cfg.Diagnosis == nil {
		return notDiagnosed()
	}
	q, err := parseConnectionQuery(c.query)
	if err != nil {
		return err
	}
	whole := c.seesAddresses()
	return c.relay(func(ctx context.Context, give func(string, []byte) error) error {
		return s.cfg.Diagnosis.FollowConnections(ctx, q, func(e iot.ConnectionEvent) error {
			if e.Lost > 0 {
				return give("lost", lostLine(e.Lost))
			}
			if !whole {
				e = e.Masked()
			}
			return give("", plainJSON(e))
		})
	})
}

// parseConnectionQuery reads the parameters of GET /berth/v1/events/connections:
// device, module.
func parseConnectionQuery(q url.Values) (iot.ConnectionQuery, error) {
	var cq iot.ConnectionQuery
	for _, name := range slices.Sorted(maps.Keys(q)) {
		value := q.Get(name)
		var err error
		switch name {
		case "device":
			cq.Device, err = id(name, value)
		case "module":
			cq.Module, err = id(name, value)
		case "api-version":
		default:
			err = unknown(name, "device, module")
		}
		if err != nil {
			return cq, err
		}
	}
	if cq.Module != "" && cq.Device == "" {
		return cq, badQuery("module needs device beside it")
	}
	return cq, nil
}
