package web

import (
	"net/http"

	"github.com/berth-iot/berth/internal/iot"
)

// getModule answers GET /devices/{id}/modules/{mid}. A module's etag stands in the
// body only (service-rest A.4).
func (s *Server) getModule(c *call) error {
	c.does = "get"
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	m, err := s.cfg.Identities.GetModule(ctx, c.match.id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, m)
}

// putModule answers PUT /devices/{id}/modules/{mid}, always with 200.
func (s *Server) putModule(c *call) error {
	c.does = "update"
	match, err := c.ifMatch()
	if err != nil {
		return err
	}
	if match.Kind == iot.MatchCreate {
		c.does = "create"
	}
	var m iot.Module
	if err := c.decode(maxIdentity, &m); err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	if m, err = s.cfg.Identities.PutModule(ctx, c.match.id, m, match); err != nil {
		return err
	}
	return c.answer(http.StatusOK, m)
}

// deleteModule answers DELETE /devices/{id}/modules/{mid}.
func (s *Server) deleteModule(c *call) error {
	c.does = "delete"
	m, err := c.ifMatch()
	if err != nil {
		return err
	}
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	if err := s.cfg.Identities.DeleteModule(ctx, c.match.id, m.ForDelete()); err != nil {
		return err
	}
	return c.nothing()
}

// listModules answers GET /devices/{id}/modules.
func (s *Server) listModules(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	list, err := s.cfg.Identities.ListModules(ctx, c.match.id.Device)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, orEmpty(list))
}
