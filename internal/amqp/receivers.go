package amqp

import (
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/fault"
)

// receivers are the links that read the partitions of the event hub, of all connections.
// It says who may read what (amqp 7), and how far each has come.
type receivers struct {
	mu sync.Mutex
	at map[stand]*crowd
}

// stand is where receivers compete: one partition as one consumer group reads it.
type stand struct {
	group     string // in lower case
	partition int
}

// crowd are the receivers of one stand: one with an epoch, or several without.
type crowd struct{ members []*receiver }

// enter gives r a place. A receiver with an epoch takes the place of one whose epoch is not
// higher, and of those without.
func (rs *receivers) enter(r *receiver) error {
	gone, err := rs.seat(r)
	for _, g := range gone {
		g.steal(fmt.Sprintf("New receiver %s with higher epoch of '%d' is created hence current receiver %s with epoch '%s' is getting disconnected.",
			quoted(r.name), r.epoch.V, quoted(g.name), g.epochText()))
	}
	return err
}

func (rs *receivers) seat(r *receiver) (gone []*receiver, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	c := rs.at[r.stand]
	if c == nil {
		c = &crowd{}
		if rs.at == nil {
			rs.at = make(map[stand]*crowd)
		}
		rs.at[r.stand] = c
	}
	switch {
	case r.epoch.Set:
		for _, m := range c.members {
			if m.epoch.Set && m.epoch.V > r.epoch.V {
				return nil, stolen("Receiver '%s' with a higher epoch '%d' already exists. Receiver %s with epoch %d cannot be created.", m.name, m.epoch.V, quoted(r.name), r.epoch.V)
			}
		}
		gone, c.members = c.members, nil
	case len(c.members) > 0 && c.members[0].epoch.Set:
		return nil, stolen("Receiver '%s' with epoch '%d' already exists. Receiver %s without an epoch cannot be created.", c.members[0].name, c.members[0].epoch.V, quoted(r.name))
	case len(c.members) >= maxReceivers:
		return nil, fault.New(fault.DeviceMaximumQueueDepthExceeded, "amqp.receiver",
			"Exceeded the maximum number of allowed receivers per partition in a consumer group which is %d", maxReceivers)
	}
	c.members = append(c.members, r)
	return gone, nil
}

// stolenError is a refusal by epoch.
type stolenError struct{ text string }

func (e *stolenError) Error() string { return e.text }

func stolen(format string, args ...any) error { return &stolenError{fmt.Sprintf(format, args...)} }

// leave gives up r's place, if it still has one.
func (rs *receivers) leave(r *receiver) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	c := rs.at[r.stand]
	if c == nil {
		return
	}
	c.members = slices.DeleteFunc(c.members, func(m *receiver) bool { return m == r })
	if len(c.members) == 0 {
		delete(rs.at, r.stand)
	}
}

// lagMetric is how far receivers are behind.
func lagMetric() *prometheus.Desc {
	return prometheus.NewDesc("berth_event_receiver_lag_events",
		"Events of a partition that the hindmost connected receiver of a consumer group has not been sent.", []string{"group", "partition"}, nil)
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) { ch <- lagMetric() }

// Collect implements prometheus.Collector: a series for each consumer group and partition
// that somebody reads, and none for the others.
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	partitions := s.cfg.Events.Partitions()
	for at, lag := range s.receivers.lags(func(partition int) uint64 {
		if p := partitions[partition]; !p.Empty {
			return p.Last + 1
		}
		return 0
	}) {
		ch <- prometheus.MustNewConstMetric(lagMetric(), prometheus.GaugeValue, float64(lag), at.group, strconv.Itoa(at.partition))
	}
}

// lags gives how far the hindmost receiver of each stand is behind.
func (rs *receivers) lags(end func(partition int) uint64) map[stand]uint64 {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	all := make(map[stand]uint64, len(rs.at))
	for at, c := range rs.at {
		for _, r := range c.members {
			if next, end := r.next.Load(), end(at.partition); next < end {
				all[at] = max(all[at], end-next)
			} else {
				all[at] = max(all[at], 0)
			}
		}
	}
	return all
}

// refusalOf is the answer to an attach that receivers or the log refused.
func (c *conn) refusalOf(err error) *amqpwire.Error {
	if s, ok := err.(*stolenError); ok { //nolint:errorlint // it is never wrapped
		return c.refusal(amqpwire.CondStolen, fault.LinkCreationConflict, "%s", s.text)
	}
	e := c.condition(err)
	if fault.Of(err) == fault.DeviceMaximumQueueDepthExceeded {
		e.Condition = amqpwire.CondResourceLimitExceeded
	}
	return e
}
