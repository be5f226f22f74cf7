package web

import (
	"net/http"

	"github.com/berth-iot/berth/internal/iot"
)

// aboutBody answers GET /berth/v1/hub.
type aboutBody struct {
	Version           string   `json:"version"`
	Name              string   `json:"name"`
	HostNames         []string `json:"hostNames"`
	Partitions        int      `json:"partitions"`
	PartitionIDs      []int    `json:"partitionIds"`
	StartTime         iot.Time `json:"startTime"`
	ConnectedSessions int64    `json:"connectedSessions"`
}

// about answers GET /berth/v1/hub.
func (s *Server) about(c *call) error {
	a := s.cfg.About
	ids := make([]int, a.Partitions)
	for i := range ids {
		ids[i] = i
	}
	return c.answer(http.StatusOK, aboutBody{
		Version: a.Version, Name: a.Name, HostNames: orEmpty(a.Hosts), Partitions: a.Partitions,
		PartitionIDs: ids, StartTime: iot.TimeOf(a.Started), ConnectedSessions: s.cfg.Connected(),
	})
}
