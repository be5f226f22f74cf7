package web

import "net/http"

// listGroups answers GET /berth/v1/consumer-groups.
func (s *Server) listGroups(c *call) error {
	return c.answer(http.StatusOK, orEmpty(s.cfg.Groups.List()))
}

// putGroup answers PUT /berth/v1/consumer-groups/{name}; one that is there stays as it is.
func (s *Server) putGroup(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	group, err := s.cfg.Groups.Create(ctx, c.match.name)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, group)
}

// deleteGroup answers DELETE /berth/v1/consumer-groups/{name}.
func (s *Server) deleteGroup(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	if err := s.cfg.Groups.Delete(ctx, c.match.name); err != nil {
		return err
	}
	return c.nothing()
}
