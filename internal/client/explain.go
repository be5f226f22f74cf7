package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// Explain asks what happened to a device or module, as of a time; zero: now. An
// identity that is not registered is a *RefusedError; one without a conflict has the
// verdict "none".
func (h *Hub) Explain(ctx context.Context, id iot.Identity, at time.Time) (iot.Explanation, error) {
	path := []string{"berth", "v1", "devices", id.Device}
	if id.IsModule() {
		path = append(path, "modules", id.Module)
	}
	query := url.Values{}
	if !at.IsZero() {
		query.Set("at", at.UTC().Format(time.RFC3339Nano))
	}
	var e iot.Explanation
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: append(path, "explain"), Query: query}, &e)
	return e, err
}
