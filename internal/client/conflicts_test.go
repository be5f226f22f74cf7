package client

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// TestConflictCalls: what is asked for, and that it is read back.
func TestConflictCalls(t *testing.T) {
	var got []string
	dir, _ := startHub(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Del("api-version")
		got = append(got, r.URL.EscapedPath()+"?"+q.Encode())
		switch {
		case strings.HasSuffix(r.URL.Path, "/nobody/explain"):
			w.Header().Set("iothub-errorcode", "DeviceNotFound")
			w.WriteHeader(http.StatusNotFound)
		case strings.HasSuffix(r.URL.Path, "/explain"):
			io.WriteString(w, `{"deviceId":"d#1","moduleId":"m","verdict":"none","generatedAt":"2026-11-21T12:00:00.000Z"}`)
		case q.Get("follow") != "" || strings.HasSuffix(r.URL.Path, "/connections"):
			io.WriteString(w, `{"deviceId":"d1"}`+"\n\n"+`{"lost":3}`+"\n")
		default:
			io.WriteString(w, `[{"deviceId":"d1","verdict":"undecided","conflicts":3}]`)
		}
	})
	h, ctx := find(t, Options{Data: dir}), t.Context()
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.FixedZone("", 3600))

	e, err := h.Explain(ctx, iot.Identity{Device: "d#1", Module: "m"}, noon)
	if err != nil || e.Verdict != iot.VerdictNone || e.Identity() != (iot.Identity{Device: "d#1", Module: "m"}) {
		t.Errorf("got %+v, %v", e, err)
	}
	if _, err := h.Explain(ctx, iot.Identity{Device: "nobody"}, time.Time{}); !errors.Is(err, &RefusedError{Name: fault.DeviceNotFound.Name()}) {
		t.Errorf("got %v, want DeviceNotFound", err)
	}
	query := iot.ConflictQuery{Verdict: iot.VerdictUndecided, Since: noon, Limit: 7, Order: iot.ConflictWorst}
	list, err := h.Conflicts(ctx, query)
	if err != nil || len(list) != 1 || list[0].Conflicts != 3 {
		t.Errorf("got %+v, %v", list, err)
	}
	var lines []string
	each := func(line []byte) error { lines = append(lines, string(line)); return nil }
	if err := h.FollowConflicts(ctx, iot.ConflictQuery{}, each); !errors.Is(err, errStreamEnded) {
		t.Errorf("the end of an endless stream gave %v", err)
	}
	if err := h.Connections(ctx, iot.ConnectionQuery{Device: "d1", Module: "m"}, each); !errors.Is(err, errStreamEnded) {
		t.Errorf("the end of an endless stream gave %v", err)
	}
	if diff := cmp.Diff([]string{`{"deviceId":"d1"}`, `{"lost":3}`, `{"deviceId":"d1"}`, `{"lost":3}`}, lines); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"/berth/v1/devices/d%231/modules/m/explain?at=2026-11-21T11%3A00%3A00Z",
		"/berth/v1/devices/nobody/explain?",
		"/berth/v1/conflicts?limit=7&order=worst&since=2026-11-21T11%3A00%3A00Z&verdict=undecided",
		"/berth/v1/conflicts?follow=true",
		"/berth/v1/events/connections?device=d1&module=m",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
