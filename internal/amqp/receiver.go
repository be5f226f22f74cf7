package amqp

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// receiver is the node behind a link that reads a partition of the event hub.
type receiver struct {
	source

	// fixed

	stand   stand
	name    string
	epoch   amqpwire.Opt[int64]
	metric  bool // the reader wants to know where the partition ends
	server  *Server
	mailbox *mailbox
	link    *endpoint.Link
	ready   chan *batch // what the reading goroutine has brought
	cancel  context.CancelFunc
	ended   chan struct{} // the reading goroutine is over

	// owned by whoever has the turn

	batch *batch
	at    int // the next message of the batch
	count uint64

	// shared

	next   atomic.Uint64 // the sequence of the next event to be sent
	reason atomic.Pointer[string]
	failed atomic.Pointer[error]
}

// attachPartition takes a link that reads a partition.
func (c *conn) attachPartition(at *attachment) *amqpwire.Error {
	if err := c.serves(at); err != nil {
		return err
	}
	if at.sends {
		return c.refusal(amqpwire.CondUnauthorizedAccess, fault.IotHubUnauthorizedAccess, "events are sent by devices: this link can only receive")
	}
	if !c.isHub(at.address.entity) {
		return c.condition(noEntity(at.address.entity))
	}
	if !c.server.cfg.Groups.Has(at.address.group) {
		return c.condition(fault.New(fault.AmqpAddressNotFound, "amqp.receiver", "The messaging entity consumer group %s could not be found. status-code: 404", quoted(at.address.group)))
	}
	partition, ok := partitionOf(at.address.partition, len(c.server.cfg.Events.Partitions()))
	if !ok {
		return c.refusalOf(fault.New(fault.ArgumentInvalid, "amqp.receiver", "there is no partition %s", quoted(at.address.partition)))
	}
	start, err := startOf(at.asked.Source)
	if err != nil {
		return c.condition(err)
	}
	r := &receiver{
		stand: stand{strings.ToLower(at.address.group), partition}, server: c.server, mailbox: &c.mailbox, link: at.link,
		ready: make(chan *batch, readAhead), ended: make(chan struct{}),
	}
	r.describe(at.asked)
	reader, err := c.server.cfg.Events.Reader(partition, start)
	if err != nil {
		return c.refusalOf(asFault(err, "amqp.receiver"))
	}
	if err := c.server.receivers.enter(r); err != nil {
		reader.Close()
		return c.refusalOf(err)
	}
	r.next.Store(firstOf(c.server.cfg.Events.Partitions()[partition], start))
	var offered []string
	if r.metric {
		offered = append(offered, receiverMetric)
	}
	at.accept(r, endpoint.Terms{OfferedCapabilities: offered, Properties: at.asked.Properties})
	ctx, cancel := context.WithCancel(c.ctx)
	r.cancel = cancel
	c.jobs.Go(func() { r.read(ctx, reader) })
	return nil
}

// receiverMetric is the capability of readers that want to know where the partition ends.
const receiverMetric = "com.microsoft:enable-receiver-runtime-metric"

// describe reads what the attach says of the reader.
func (r *receiver) describe(a *amqpwire.Attach) {
	r.name = a.Name
	if name, ok := a.Properties.Get("com.microsoft:receiver-name").AsText(); ok && name != "" {
		r.name = name
	}
	if epoch, ok := a.Properties.Get("com.microsoft:epoch").AsInt(); ok {
		r.epoch = amqpwire.Some(epoch)
	}
	for _, wish := range a.DesiredCapabilities {
		r.metric = r.metric || wish == receiverMetric
	}
}

// firstOf guesses the sequence of the first event that a reader will get, until it has got
// one: for the lag.
func firstOf(p device.Partition, start device.Start) uint64 {
	switch {
	case start.At == device.StartEnd && !p.Empty:
		return p.Last + 1
	case start.At == device.StartSequence:
		return max(start.Sequence, p.First)
	}
	return p.First
}

func (r *receiver) epochText() string {
	if !r.epoch.Set {
		return "none"
	}
	return strconv.FormatInt(r.epoch.V, 10)
}

// steal has the link detached by its own connection. Any goroutine may call it.
func (r *receiver) steal(text string) {
	r.reason.Store(&text)
	r.mailbox.ring(r)
}

// read brings events until the link is over.
func (r *receiver) read(ctx context.Context, from device.EventReader) {
	defer close(r.ended)
	defer from.Close()
	for {
		events, err := from.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			err = asFault(err, "amqp.receiver")
			r.failed.Store(&err)
			r.mailbox.ring(r)
			return
		}
		b := r.server.encoded.of(events)
		select {
		case r.ready <- b:
			r.mailbox.ring(r)
		case <-ctx.Done():
			return
		}
	}
}

// woken sends what there is, or ends the link because somebody else reads now, or because
// the partition cannot be read on.
func (r *receiver) woken(c *conn) {
	if text := r.reason.Load(); text != nil {
		r.link.Detach(c.refusal(amqpwire.CondStolen, fault.LinkCreationConflict, "%s", *text))
		return
	}
	r.flow(c, r.link)
	if err := r.failed.Load(); err != nil && r.batch == nil && len(r.ready) == 0 {
		r.link.Detach(c.condition(*err))
	}
}

// flow sends events as far as there is credit.
func (r *receiver) flow(c *conn, l *endpoint.Link) {
	for room := l.Room(); room > 0 && r.more(); {
		payload := r.batch.message(r.at)
		if r.metric {
			c.scratch = append(r.where(c.scratch[:0]), payload...)
			payload = c.scratch
		}
		r.count++
		var tag [16]byte
		for i := range 8 {
			tag[15-i] = byte(r.count >> (8 * i))
		}
		_, err := l.Send(endpoint.Message{Tag: tag[:], Payload: payload})
		switch {
		case err == nil:
			c.facts.Traffic.PacketsOut.Add(1)
		case errors.Is(err, endpoint.ErrTooLarge):
			l.Detach(c.refusal(amqpwire.CondMessageSizeExceeded, fault.MessageTooLarge,
				"event %d has %d bytes, more than the link's max-message-size", r.batch.first+uint64(r.at), len(payload)))
			return
		default:
			return
		}
		r.at++
		r.next.Store(r.batch.first + uint64(r.at))
		if room--; room == 0 {
			room = l.Room()
		}
	}
	if l.Drain() && !r.more() {
		l.Drained()
	}
}

// more reports whether there is an event to be sent.
func (r *receiver) more() bool {
	for r.batch == nil || r.at == r.batch.count() {
		select {
		case r.batch = <-r.ready:
			r.at = 0
		default:
			r.batch = nil
			return false
		}
	}
	return true
}

// where appends the delivery annotations that say where the partition ends.
func (r *receiver) where(b []byte) []byte {
	p := r.server.cfg.Events.Partitions()[r.stand.partition]
	offset := strconv.FormatUint(p.LastOffset, 10)
	b = amqpwire.AppendSection(b, amqpwire.CodeDeliveryAnnotations)
	b, at := amqpwire.OpenMap(b)
	b = amqpwire.AppendSymbol(b, "last_enqueued_sequence_number")
	b = amqpwire.AppendLong(b, int64(p.Last))
	b = amqpwire.AppendSymbol(b, "last_enqueued_offset")
	b = amqpwire.AppendString(b, offset)
	b = amqpwire.AppendSymbol(b, "last_enqueued_time_utc")
	b = amqpwire.AppendTimestamp(b, p.LastEnqueued.UnixMilli())
	b = amqpwire.AppendSymbol(b, "runtime_info_retrieval_time_utc")
	b = amqpwire.AppendTimestamp(b, time.Now().UnixMilli())
	return amqpwire.CloseMap(b, at, 4)
}

// disposition completes what the reader has not settled itself: it means nothing more.
func (r *receiver) disposition(_ *conn, l *endpoint.Link, ev *endpoint.Event) {
	if !ev.Settled {
		l.Settle(ev.ID, amqpwire.Accepted{})
	}
}

// detached ends the reading.
func (r *receiver) detached(*conn, *endpoint.Link) {
	r.cancel()
	r.server.receivers.leave(r)
}
