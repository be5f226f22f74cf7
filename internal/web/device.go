package web

import (
	"net/http"
	"strconv"

	"github.com/berth-iot/berth/internal/iot"
)

// getDevice answers GET /devices/{id}.
func (s *Server) getDevice(c *call) error {
	c.does = "get"
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	d, err := s.cfg.Identities.GetDevice(ctx, c.match.id.Device)
	if err != nil {
		return err
	}
	return c.tagged(d)
}

// putDevice answers PUT /devices/{id}: 200 for a create as for an update, because a
// client refuses 201.
func (s *Server) putDevice(c *call) error {
	c.does = "update"
	m, err := c.ifMatch()
	if err != nil {
		return err
	}
	if m.Kind == iot.MatchCreate {
		c.does = "create"
	}
	var d iot.Device
	if err := c.decode(maxIdentity, &d); err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	if d, err = s.cfg.Identities.PutDevice(ctx, c.match.id.Device, d, m); err != nil {
		return err
	}
	return c.tagged(d)
}

// deleteDevice answers DELETE /devices/{id}.
func (s *Server) deleteDevice(c *call) error {
	c.does = "delete"
	m, err := c.ifMatch()
	if err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	if err := s.cfg.Identities.DeleteDevice(ctx, c.match.id.Device, m.ForDelete()); err != nil {
		return err
	}
	return c.nothing()
}

// listDevices answers GET /devices?top=n; n outside 1 to 1000 means 1000.
func (s *Server) listDevices(c *call) error {
	top, err := strconv.Atoi(c.query.Get("top"))
	if err != nil || top < 1 || top > maxList {
		top = maxList
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	list, err := s.cfg.Identities.ListDevices(ctx, top)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, orEmpty(list))
}

// orEmpty makes an empty list of nil, which JSON would write as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
