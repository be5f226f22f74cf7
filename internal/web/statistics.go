package web

import (
	"net/http"

	"github.com/berth-iot/berth/internal/iot"
)

// deviceStatistics answers GET /statistics/devices.
func (s *Server) deviceStatistics(c *call) error {
	ctx, cancel := c.within(callTimeout)
	defer cancel()
	n, err := s.cfg.Population.Statistics(ctx)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, n)
}

// serviceStatistics answers GET /statistics/service.
func (s *Server) serviceStatistics(c *call) error {
	return c.answer(http.StatusOK, iot.ServiceStatistics{ConnectedDeviceCount: s.cfg.Connected()})
}
