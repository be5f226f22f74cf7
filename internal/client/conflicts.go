package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/berth-iot/berth/internal/iot"
)

// conflictsPath is where the fleet's conflicts are.
func conflictsPath() []string { return []string{"berth", "v1", "conflicts"} }

func conflictValues(q iot.ConflictQuery) url.Values {
	v := url.Values{}
	if q.Verdict != "" {
		v.Set("verdict", string(q.Verdict))
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Order != "" {
		v.Set("order", string(q.Order))
	}
	return v
}

// Conflicts lists the conflicts of the fleet, one story for each identity.
func (h *Hub) Conflicts(ctx context.Context, q iot.ConflictQuery) ([]iot.ConflictSummary, error) {
	var list []iot.ConflictSummary
	err := h.Do(ctx, Request{Method: http.MethodGet, Path: conflictsPath(), Query: conflictValues(q)}, &list)
	return list, err
}

// FollowConflicts hands what Conflicts lists, its first last, and then each story that
// begins or changes to each, one JSON object a line, as Events does with telemetry.
func (h *Hub) FollowConflicts(ctx context.Context, q iot.ConflictQuery, each func(line []byte) error) error {
	v := conflictValues(q)
	v.Set("follow", "true")
	return h.stream(ctx, conflictsPath(), v, false, each)
}
