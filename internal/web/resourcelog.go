package web

import "context"

// resourceLog answers GET /berth/v1/events/resource-log: the records as they stand
// in the log, addresses masked as they are there.
func (s *Server) resourceLog(c *call) error {
	q, err := parseLogQuery(c.query)
	if err != nil {
		return err
	}
	return c.relay(func(ctx context.Context, give func(string, []byte) error) error {
		return s.cfg.ResourceLog.Read(ctx, q, func(line []byte) error { return give("", line) })
	})
}
