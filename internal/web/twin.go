package web

import "net/http"

// getTwin answers GET /twins/{id} and /twins/{id}/modules/{mid}. A twin's etag
// stands in the body only (service-rest A.4).
func (s *Server) getTwin(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	t, err := s.cfg.Population.Twin(ctx, c.match.id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, t)
}
