package web

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/fault"
)

// metrics count requests. Labels are bounded: routes of the table, statuses, codes.
type metrics struct {
	requests *prometheus.CounterVec   // route, status
	seconds  *prometheus.HistogramVec // route
	refusals *prometheus.CounterVec   // code
	sockets  prometheus.Gauge
	streams  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "berth", Name: "http_requests_total", Help: "HTTP requests answered, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "berth", Name: "http_request_seconds", Help: "Time from a request's headers to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 4, 10),
		}, []string{"route"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "berth", Name: "http_auth_failures_total", Help: "HTTP requests whose credential was refused, by error code.",
		}, []string{"code"}),
		sockets: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "berth", Name: "websockets", Help: "WebSockets open now.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "berth", Name: "event_streams", Help: "Event and log streams open now.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.refusals, m.sockets, m.streams} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// served counts one request; status 0 is one whose answer never began.
func (m *metrics) served(c *call, took time.Duration) {
	m.requests.WithLabelValues(c.route(), strconv.Itoa(c.w.status)).Inc()
	if !c.long {
		m.seconds.WithLabelValues(c.route()).Observe(took.Seconds())
	}
}

func (m *metrics) refused(code fault.Code) {
	m.refusals.WithLabelValues(strconv.Itoa(int(code))).Inc()
}
