package client

import (
	"context"
	"net/url"

	"github.com/berth-iot/berth/internal/iot"
)

// Connections hands every connect and disconnect to each as it happens, one JSON
// object a line, as Events does with telemetry.
func (h *Hub) Connections(ctx context.Context, q iot.ConnectionQuery, each func(line []byte) error) error {
	v := url.Values{}
	setIdentity(v, q.Device, q.Module)
	return h.stream(ctx, []string{"berth", "v1", "events", "connections"}, v, false, each)
}
