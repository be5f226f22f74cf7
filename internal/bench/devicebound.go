package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// deviceCredit is how many messages a device that is sent to is ready to take.
const deviceCredit = 8

// Devicebound measures the way from a back-end to devices over AMQP: every worker is a
// back-end with a connection of its own that sends to one of its devices, waits until the
// device has the message and its settlement is confirmed, and goes on with the next.
type Devicebound struct {
	Devices  int
	Size     int // bytes of body, at least 16, which say which message it is
	Workers  int // back-ends, and messages on their way at once
	Rate     float64
	Duration time.Duration // 0: until Messages are sent
	Messages uint64        // the most in all; 0: no bound but time
}

// minDevicebound is the least body: a run's number and a message's.
const minDevicebound = 16

func (d Devicebound) check() error {
	if d.Duration == 0 && d.Messages == 0 {
		return errors.New("a run of messages to devices needs a duration or a number of messages")
	}
	return errors.Join(
		check("devices", d.Devices, 1, MaxDevices),
		check("size", d.Size, minDevicebound, maxAMQPSize),
		check("workers", d.Workers, 1, MaxWorkers),
		checkRate(d.Rate),
		checkDuration("duration", d.Duration),
	)
}

// Run connects everybody, sends, and reports. A message that is not accepted, or does not
// come, ends its worker and is counted.
func (d Devicebound) Run(ctx context.Context, t *Target) (*Report, error) {
	if err := errors.Join(d.check(), t.check(), t.only(AMQP), t.serviced()); err != nil {
		return nil, err
	}
	both, err := watchBoth(t.PID)
	if err != nil {
		return nil, err
	}
	run := &carrier{plan: d, nonce: rand.Uint64()} //nolint:gosec // no secret
	defer run.leave()
	if err := run.connect(ctx, t); err != nil {
		return nil, err
	}
	started := time.Now()
	if err := both.open(); err != nil {
		return nil, err
	}
	run.all(ctx)
	length := time.Since(started)
	if err := errors.Join(both.close(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	settled := run.settled.summary()
	r := &Report{
		Run: "c2d", Target: t.Address, Protocol: AMQP.String(), TLS: t.TLS != nil, Cipher: t.settled(), Started: started.UTC(), Seconds: length.Seconds(),
		Devices: d.Devices, Inflight: len(run.backends), Size: d.Size, Rate: d.Rate, Done: run.done.Load(), Latency: run.received.summary(), Settled: &settled,
	}
	r.finish(length, both, &run.failed)
	return r, nil
}

// carrier is the state that the workers of one run share.
type carrier struct {
	// fixed

	plan  Devicebound
	nonce uint64 // tells this run's messages from another's

	// owned by the worker whose turn the device is

	backends []*conn
	mailbox  []*mailbox

	// shared

	begun    atomic.Uint64
	done     atomic.Uint64
	received meter // send to the device's receipt
	settled  meter // send to the confirmed settlement
	failed   failures
}

// mailbox is a device that waits for messages.
type mailbox struct {
	*conn

	link *inlet
}

// connect connects every device and every back-end, or fails.
func (run *carrier) connect(ctx context.Context, t *Target) error {
	var (
		next   atomic.Int64
		failed failures
	)
	size := min(run.plan.Workers, run.plan.Devices)
	run.backends, run.mailbox = make([]*conn, size), make([]*mailbox, run.plan.Devices)
	workers(size, func(worker int) {
		c, err := t.backend(ctx, worker, peerFrame, func(c *conn) error { return c.peer.outgoing(c.account.Topic) })
		run.backends[worker] = c
		for err == nil {
			n := int(next.Add(1)) - 1
			if n >= run.plan.Devices {
				return
			}
			run.mailbox[n], err = t.mailbox(ctx, n)
		}
		failed.add(err) // the others go on: there is no run in any case
	})
	if failed.count > 0 {
		return errors.Join(context.Cause(ctx), errors.New(failed.reasons[0]))
	}
	return nil
}

// serviced says that a run needs a back-end.
func (t *Target) serviced() error {
	if t.Service == nil {
		return errors.New("the target has no login of a back-end")
	}
	return nil
}

// backend logs in as the back-end.
func (t *Target) backend(ctx context.Context, n, buffer int, then func(*conn) error) (*conn, error) {
	account, err := t.Service()
	if err != nil {
		return nil, err
	}
	return t.login(ctx, n, account, buffer, then)
}

// mailbox logs in as device n and has it receive.
func (t *Target) mailbox(ctx context.Context, n int) (*mailbox, error) {
	account, err := t.Account(n)
	if err != nil {
		return nil, err
	}
	m := new(mailbox)
	m.conn, err = t.login(ctx, n, account, peerFrame, func(c *conn) (err error) {
		m.link, err = c.peer.incoming(account.Filter, amqpwire.Value{}, deviceCredit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (run *carrier) leave() {
	for _, c := range run.backends {
		if c != nil {
			_ = c.leave() // the peer may be gone: nothing is lost by that
		}
	}
	for _, m := range run.mailbox {
		if m != nil {
			_ = m.leave()
		}
	}
}

// all sends until the time or the messages are over.
func (run *carrier) all(ctx context.Context) {
	timed := ctx
	if run.plan.Duration > 0 {
		var cancel context.CancelFunc
		timed, cancel = context.WithTimeout(ctx, run.plan.Duration)
		defer cancel()
	}
	size := len(run.backends)
	workers(size, func(worker int) {
		pace := newPace(run.plan.Rate, worker, size)
		beat := time.Now()
		for n := worker; pace.wait(timed) == nil; n += size { // what has begun is finished
			if n >= run.plan.Devices {
				n = worker
			}
			number := run.begun.Add(1)
			if run.plan.Messages > 0 && number > run.plan.Messages {
				return
			}
			err := run.carry(n, worker, number)
			if err == nil && time.Since(beat) > amqpBeat {
				beat = time.Now()
				err = run.beat(worker)
			}
			if err != nil {
				if ctx.Err() == nil {
					run.failed.add(err)
				}
				return
			}
			run.done.Add(1)
		}
	})
}

// beat shows that a worker's connections live.
func (run *carrier) beat(worker int) error {
	empty := amqpwire.AppendEmpty(nil)
	_, err := run.backends[worker].Write(empty)
	for n := worker; n < len(run.mailbox) && err == nil; n += len(run.backends) {
		_, err = run.mailbox[n].Write(empty)
	}
	return err
}

// carry sends one message to device n and waits until it is settled.
func (run *carrier) carry(n, worker int, number uint64) error {
	from, to := run.backends[worker], run.mailbox[n]
	deadline := time.Now().Add(ackWait)
	if err := errors.Join(from.SetDeadline(deadline), to.SetDeadline(deadline)); err != nil {
		return err
	}
	body := text(run.plan.Size)
	binary.BigEndian.PutUint64(body, run.nonce)
	binary.BigEndian.PutUint64(body[8:], number)
	sent := time.Now()
	id, err := from.peer.send(to.account.Filter, body)
	if err != nil {
		return fmt.Errorf("back-end: %w", err)
	}
	if err := run.deliver(to, body, worker, sent); err != nil {
		err = fmt.Errorf("device %q: %w", to.account.ClientID, err)
		if errors.Is(err, os.ErrDeadlineExceeded) { // the back-end may know why
			_ = from.SetDeadline(time.Now().Add(closeWait))
			err = errors.Join(err, from.peer.settled(id))
		}
		return err
	}
	if err := from.peer.settled(id); err != nil {
		return fmt.Errorf("back-end: %w", err)
	}
	return nil
}

// send sends one message to a device and gives the delivery's number.
func (p *peer) send(to string, body []byte) (id uint32, err error) {
	if err := p.credited(); err != nil {
		return 0, err
	}
	properties := amqpwire.Properties{To: []byte(to)}
	id = p.next
	tag := binary.BigEndian.AppendUint32(nil, id)
	t := amqpwire.Transfer{
		Handle: p.outlet.handle, DeliveryID: amqpwire.Some(id), Tag: tag, MessageFormat: amqpwire.Some[uint32](0), Settled: amqpwire.Some(false),
		Payload: amqpwire.AppendData(properties.Append(nil), body),
	}
	p.next++
	p.window--
	p.outlet.sent++
	p.outlet.credit--
	_, err = p.Write(t.AppendFrame(nil, 0))
	return id, err
}

// deliver takes the device's messages until the one with this body, accepts them, and waits
// until that is confirmed. Others are what an earlier run has left.
func (run *carrier) deliver(m *mailbox, body []byte, worker int, sent time.Time) error {
	var ours amqpwire.Opt[uint32]
	for {
		f, code, err := m.peer.event()
		if err != nil {
			return err
		}
		switch code {
		case amqpwire.CodeTransfer:
			now := time.Now()
			id, is, err := m.accept(f, body)
			if err != nil {
				return err
			}
			if is {
				ours = amqpwire.Some(id)
				run.received.of(worker).record(now.Sub(sent))
			}
		case amqpwire.CodeDisposition:
			is, err := settles(f, ours)
			if err != nil {
				return err
			}
			if is {
				run.settled.of(worker).record(time.Since(sent))
				return nil
			}
		default:
			return fmt.Errorf("the server sent %s", code)
		}
	}
}

// accept accepts a message, and says whether it is the one with this body.
func (m *mailbox) accept(f amqpwire.Frame, body []byte) (id uint32, is bool, err error) {
	t, err := f.Transfer()
	if err != nil {
		return 0, false, err
	}
	if is, err = carries(&t, body); err != nil {
		return 0, false, err
	}
	id = t.DeliveryID.V
	answer := amqpwire.Disposition{Role: amqpwire.RoleReceiver, First: id, Last: id, State: amqpwire.Accepted{}}.AppendFrame(nil, 0)
	_, err = m.Write(m.peer.came(answer, m.link, &t))
	return id, is, err
}

// carries reports whether a transfer's message has this run's and this message's number.
func carries(t *amqpwire.Transfer, body []byte) (bool, error) {
	if t.More || !t.DeliveryID.Set {
		return false, errors.New("the server split a message that fits into a frame")
	}
	m, err := amqpwire.ScanMessage(t.Payload)
	if err != nil {
		return false, err
	}
	for data := range m.Data() {
		return len(data) == len(body) && string(data[:minDevicebound]) == string(body[:minDevicebound]), nil
	}
	return false, nil
}

// settles reports whether a disposition is the other end's last word on a delivery, which
// must be that it is accepted.
func settles(f amqpwire.Frame, id amqpwire.Opt[uint32]) (bool, error) {
	d, err := f.Disposition()
	if err != nil || !id.Set || id.V-d.First > d.Last-d.First {
		return false, err
	}
	if _, ok := d.State.(amqpwire.Accepted); !ok || !d.Settled {
		return false, fmt.Errorf("the server did not accept delivery %d: %s", id.V, outcome(d.State))
	}
	return true, nil
}

// settled waits until what was sent is accepted.
func (p *peer) settled(id uint32) error {
	for {
		f, code, err := p.event()
		if err != nil {
			return err
		}
		if code != amqpwire.CodeDisposition {
			return fmt.Errorf("the server sent %s before the outcome of delivery %d", code, id)
		}
		if is, err := settles(f, amqpwire.Some(id)); is || err != nil {
			return err
		}
	}
}
