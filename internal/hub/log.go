package hub

import "log/slog"

// attrs are the standing attributes of a log line about a session.
func attrs(s *session, err error) []any {
	return []any{
		slog.String("device", s.party.Identity.Device), slog.String("module", s.party.Identity.Module),
		slog.String("transport", string(s.party.Conn.Transport)), slog.Uint64("conn", s.party.Conn.ID),
		slog.String("epoch", s.party.Epoch), slog.Any("err", err),
	}
}
