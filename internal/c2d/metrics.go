package c2d

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// Metrics count messages for Prometheus. Labels are bounded sets: codes, never a device.
type Metrics struct {
	sent      prometheus.Counter
	refused   *prometheus.CounterVec // code
	ended     map[iot.FeedbackStatus]prometheus.Counter
	abandoned prometheus.Counter
	records   prometheus.Counter
	gathered  prometheus.Counter
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	options := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "berth", Subsystem: "c2d", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.Counter { return prometheus.NewCounter(options(name, help)) }
	m := &Metrics{
		sent: counter("messages_total", "Cloud-to-device messages queued."),
		refused: prometheus.NewCounterVec(options("messages_refused_total",
			"Cloud-to-device messages refused, by error code."), []string{"code"}),
		ended: map[iot.FeedbackStatus]prometheus.Counter{
			iot.FeedbackSuccess: counter("messages_completed_total",
				"Messages completed by devices (Azure: c2d.commands.egress.complete.success)."),
			iot.FeedbackRejected: counter("messages_rejected_total",
				"Messages rejected by devices (Azure: c2d.commands.egress.reject.success)."),
			iot.FeedbackExpired: counter("messages_expired_total",
				"Messages whose time to live passed (Azure: C2DMessagesExpired)."),
			iot.FeedbackDeliveryCountExceeded: counter("messages_given_up_total",
				"Messages abandoned by devices as often as the setting allows."),
			iot.FeedbackPurged: counter("messages_purged_total", "Messages purged by back-ends."),
		},
		abandoned: counter("messages_abandoned_total",
			"Deliveries abandoned by devices (Azure: c2d.commands.egress.abandon.success)."),
		records:  counter("feedback_records_total", "Feedback records made messages of."),
		gathered: counter("feedback_messages_total", "Feedback messages made."),
	}
	all := []prometheus.Collector{m.sent, m.refused, m.abandoned, m.records, m.gathered}
	for _, c := range m.ended {
		all = append(all, c)
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// Observer counts what it is told, and passes the ends of messages on.
func (m *Metrics) Observer(ended func(iot.MessageEnd)) Observer {
	return Observer{
		Sent:      m.sent.Inc,
		Refused:   func(code fault.Code) { m.refused.WithLabelValues(fmt.Sprintf("%d", int(code))).Inc() },
		Abandoned: func() { m.abandoned.Inc() },
		Ended: func(e iot.MessageEnd) {
			m.ended[e.Status].Inc()
			if e.Status == iot.FeedbackDeliveryCountExceeded {
				m.abandoned.Inc() // the last delivery was abandoned too
			}
			ended(e)
		},
		Gathered: func(records int) {
			m.records.Add(float64(records))
			m.gathered.Inc()
		},
	}
}

// Watch registers a gauge of the messages that wait in q.
func (m *Metrics) Watch(reg prometheus.Registerer, q *Queues) error {
	return reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "berth", Subsystem: "c2d", Name: "messages_pending",
		Help: "Cloud-to-device messages that wait for a device or are in its hands.",
	}, func() float64 {
		n, err := q.Depth(context.Background())
		if err != nil {
			return 0
		}
		return float64(n)
	}))
}
