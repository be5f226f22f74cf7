package hub

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// Metrics are the hub's Prometheus metrics. Labels are bounded sets: transports and
// codes, never a device.
type Metrics struct {
	connects      *prometheus.CounterVec // transport
	refusedTotal  *prometheus.CounterVec // transport, code
	disconnects   *prometheus.CounterVec // transport, code
	displacements *prometheus.CounterVec // loser's transport, winner's transport
	open          *prometheus.GaugeVec   // transport
	messages      prometheus.Counter
	bytes         prometheus.Counter
	commit        prometheus.Histogram
	batch         prometheus.Histogram
}

// NewMetrics registers the hub's metrics with reg.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "berth", Name: name, Help: help}
	}
	m := &Metrics{
		connects: prometheus.NewCounterVec(counter("device_connects_total",
			"Device and module connections accepted."), []string{"transport"}),
		refusedTotal: prometheus.NewCounterVec(counter("device_connects_refused_total",
			"Device and module connections refused, by error code."), []string{"transport", "code"}),
		disconnects: prometheus.NewCounterVec(counter("device_disconnects_total",
			"Device and module connections ended, by error code (0 is a clean goodbye)."), []string{"transport", "code"}),
		displacements: prometheus.NewCounterVec(counter("device_displacements_total",
			"Connections closed because a newer one spoke for the same identity."), []string{"loser", "winner"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "berth", Name: "device_sessions",
			Help: "Device and module sessions open now (Azure: connectedDeviceCount).",
		}, []string{"transport"}),
		messages: prometheus.NewCounter(counter("telemetry_messages_total",
			"Telemetry messages on stable storage (Azure: d2c.telemetry.ingress.success).")),
		bytes: prometheus.NewCounter(counter("telemetry_bytes_total",
			"Bytes of telemetry on stable storage, log framing included.")),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "berth", Name: "telemetry_commit_seconds",
			Help: "Time of one commit of the telemetry log, flush included.", Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "berth", Name: "telemetry_commit_messages",
			Help: "Messages in one commit of the telemetry log.", Buckets: prometheus.ExponentialBuckets(1, 2, 16),
		}),
	}
	for _, c := range []prometheus.Collector{m.connects, m.refusedTotal, m.disconnects, m.displacements, m.open, m.messages, m.bytes, m.commit, m.batch} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) refused(transport device.Transport, code fault.Code) {
	m.refusedTotal.WithLabelValues(string(transport), label(code)).Inc()
}

// Connected counts a connection. See presence.Sink.
func (m *Metrics) Connected(p device.Party) {
	m.connects.WithLabelValues(string(p.Conn.Transport)).Inc()
	m.open.WithLabelValues(string(p.Conn.Transport)).Inc()
}

// Ended counts the end of a connection. See presence.Sink.
func (m *Metrics) Ended(e device.Ending) {
	transport := string(e.Party.Conn.Transport)
	m.disconnects.WithLabelValues(transport, label(e.Code)).Inc()
	m.open.WithLabelValues(transport).Dec()
	if e.By != nil {
		m.displacements.WithLabelValues(transport, string(e.By.Conn.Transport)).Inc()
	}
}

// Committed counts one commit of the telemetry log.
func (m *Metrics) Committed(took time.Duration, messages, bytes int) {
	m.commit.Observe(took.Seconds())
	m.batch.Observe(float64(messages))
	m.messages.Add(float64(messages))
	m.bytes.Add(float64(bytes))
}

func label(code fault.Code) string { return fmt.Sprintf("%d", int(code)) }
