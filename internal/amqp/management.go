package amqp

import (
	"strconv"
	"strings"
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// management answers what there is to read: the event hub and its partitions (amqp 7).
type management struct{ sink }

func (management) place() place                   { return placeManagement }
func (management) detached(*conn, *endpoint.Link) {}

// attachManagement takes one of the pair of links of the management node. Whether the client
// may ask is seen when it does: azure-event-hubs-go attaches before it has shown any token.
func (c *conn) attachManagement(at *attachment) *amqpwire.Error {
	if at.address.entity != "" && !c.isHub(at.address.entity) {
		return c.condition(noEntity(at.address.entity))
	}
	if at.sends {
		at.accept(management{}, endpoint.Terms{MaxMessageSize: maxRequest})
		at.link.Allow(requestCredit)
		return nil
	}
	return c.attachReplies(at, placeManagement)
}

// isHub reports whether a name is that of the hub's one event hub.
func (c *conn) isHub(name string) bool { return strings.EqualFold(name, c.server.cfg.Hosts.Hub()) }

// noEntity is what clients recognise as "there is no such event hub" (amqp 6).
func noEntity(name string) error {
	return fault.New(fault.AmqpAddressNotFound, "amqp.management", "The messaging entity %s could not be found. status-code: 404", quoted(name))
}

// transfer answers one request.
func (management) transfer(c *conn, l *endpoint.Link, d *endpoint.Delivery) {
	q, err := readRequest(l, d)
	if err != nil {
		l.Settle(d.ID, amqpwire.Rejected{Error: c.condition(err)})
		return
	}
	l.SettleNow(d.ID, amqpwire.Accepted{}) // uamqp takes an answer before it for a failure
	token, ok := q.arguments.Get("security_token").AsText()
	if !ok || c.mayManage() == nil {
		c.manage(q)
		return
	}
	err = c.put(token, "amqp.management", func(err error) {
		if err != nil {
			c.answer(q, err, amqpwire.Value{})
			return
		}
		c.manage(q)
	})
	if err != nil {
		c.answer(q, err, amqpwire.Value{})
	}
}

// mayManage says whether a claim of the connection permits requests of the management node.
func (c *conn) mayManage() error {
	return c.claims.permit(c.server.cfg.Hosts.Hub()+"/$management", true, iot.ServiceConnect)
}

// manage answers a request whose token, if it brought one, has been looked at.
func (c *conn) manage(q request) {
	body, err := amqpwire.Value{}, c.mayManage()
	if err == nil {
		body, err = c.describe(q)
	}
	c.answer(q, err, body)
}

// describe reads what a request asks for.
func (c *conn) describe(q request) (amqpwire.Value, error) {
	text := func(name string) string {
		s, _ := q.arguments.Get(name).AsText()
		return s
	}
	if !strings.EqualFold(q.operation, "READ") {
		return amqpwire.Value{}, fault.New(fault.ArgumentInvalid, "amqp.management", "the operation %s is not known here; READ is", quoted(q.operation))
	}
	if name := text("name"); name != "" && !c.isHub(name) {
		return amqpwire.Value{}, noEntity(name)
	}
	partitions := c.server.cfg.Events.Partitions()
	switch kind := text("type"); kind {
	case "com.microsoft:eventhub":
		return c.describeHub(len(partitions)), nil
	case "com.microsoft:partition":
		n, ok := partitionOf(text("partition"), len(partitions))
		if !ok {
			return amqpwire.Value{}, noPartition(text("partition"))
		}
		return c.describePartition(n, partitions[n]), nil
	default:
		return amqpwire.Value{}, fault.New(fault.ArgumentInvalid, "amqp.management", "there is no entity of type %s", quoted(kind))
	}
}

// partitionOf reads the name of a partition, which is its number.
func partitionOf(name string, partitions int) (int, bool) {
	n, err := strconv.Atoi(name)
	return n, err == nil && n >= 0 && n < partitions && strconv.Itoa(n) == name
}

func noPartition(name string) error {
	return fault.New(fault.ArgumentInvalid, "amqp.partition", "there is no partition %s", quoted(name))
}

// describeHub is the answer about the event hub; the types of its fields matter.
func (c *conn) describeHub(partitions int) amqpwire.Value {
	ids := make([]string, partitions)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return amqpwire.Map(
		amqpwire.String("name"), amqpwire.String(c.server.cfg.Hosts.Hub()),
		amqpwire.String("type"), amqpwire.String("com.microsoft:eventhub"),
		amqpwire.String("created_at"), amqpwire.Timestamp(c.server.cfg.Created.UnixMilli()),
		amqpwire.String("partition_count"), amqpwire.Int(int32(partitions)),
		amqpwire.String("partition_ids"), amqpwire.Strings(ids...),
		amqpwire.String("georeplication_factor"), amqpwire.Int(1),
	)
}

// describePartition is the answer about a partition.
func (c *conn) describePartition(n int, p device.Partition) amqpwire.Value {
	first, last, offset, enqueued := int64(0), int64(-1), "-1", time.UnixMilli(0)
	if !p.Empty {
		first, last = int64(p.First), int64(p.Last)
		offset, enqueued = strconv.FormatUint(p.LastOffset, 10), p.LastEnqueued
	}
	return amqpwire.Map(
		amqpwire.String("name"), amqpwire.String(c.server.cfg.Hosts.Hub()),
		amqpwire.String("type"), amqpwire.String("com.microsoft:partition"),
		amqpwire.String("partition"), amqpwire.String(strconv.Itoa(n)),
		amqpwire.String("begin_sequence_number"), amqpwire.Long(first),
		amqpwire.String("last_enqueued_sequence_number"), amqpwire.Long(last),
		amqpwire.String("last_enqueued_offset"), amqpwire.String(offset),
		amqpwire.String("last_enqueued_time_utc"), amqpwire.Timestamp(enqueued.UnixMilli()),
		amqpwire.String("is_partition_empty"), amqpwire.Bool(p.Empty),
	)
}
