package rig

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// ops asks the operator's port.
func (h *Hub) ops(ctx context.Context, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.Run.Ops+path, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	body, err = io.ReadAll(io.LimitReader(res.Body, 8<<20))
	return res.StatusCode, body, err
}

// Metric sums the samples of a metric whose labels hold all of those given, each as
// `name="value"`.
func (h *Hub) Metric(name string, labels ...string) float64 {
	h.tb.Helper()
	status, body, err := h.ops(h.tb.Context(), "/metrics")
	if err != nil || status != http.StatusOK {
		h.tb.Fatalf("read the metrics: status %d, %v", status, err)
	}
	sum, err := sumMetric(string(body), name, labels)
	if err != nil {
		h.tb.Fatal(err)
	}
	return sum
}

func sumMetric(text, name string, labels []string) (float64, error) {
	var sum float64
	lines := bufio.NewScanner(strings.NewReader(text))
next:
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue next
			}
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum += v
	}
	return sum, lines.Err()
}

// Sessions is how many device and module connections the hub says are open.
func (h *Hub) Sessions(tb testing.TB) int {
	tb.Helper()
	return int(h.Metric("berth_device_sessions"))
}

// Ops reads a page of the operator's port.
func (h *Hub) Ops(path string) string {
	h.tb.Helper()
	status, body, err := h.ops(h.tb.Context(), path)
	if err != nil || status != http.StatusOK {
		h.tb.Fatalf("read %s: status %d, %v", path, status, err)
	}
	return string(body)
}
