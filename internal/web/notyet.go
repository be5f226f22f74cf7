package web

import "github.com/berth-iot/berth/internal/fault"

// What the service and device API have and this hub has not. Each answers 501 to
// whoever would have the right, so that a client sees a missing feature and not a
// missing path.

// notYet answers for a path of the real hub's.
func (s *Server) notYet(c *call) error {
	return fault.New(fault.GenericNotImplemented, "web.not_yet",
		"this version of Berth does not answer %.16s %s", c.r.Method, c.match.endpoint.path)
}

// noQueries answers POST /devices/query.
func (s *Server) noQueries(*call) error {
	return fault.New(fault.GenericNotImplemented, "web.query",
		"this version of Berth answers no queries: list devices with GET /devices?top=1000, read one with GET /devices/{id}")
}

// noMethods answers direct methods, in the error shape of the real hub.
func (s *Server) noMethods(c *call) error {
	c.shape = nested
	return fault.New(fault.GenericNotImplemented, "web.method", "this version of Berth has no direct methods")
}
