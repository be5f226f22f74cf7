package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// Publish is a closed-loop run: every device keeps Inflight QoS 1 messages, over AMQP
// unsettled transfers, or up to a quarter fewer, unacknowledged until the time or its
// messages are over. With a Rate it
// is paced instead: every device sends Inflight messages at once whenever they are due,
// whatever became of those before, and latencies count from then.
type Publish struct {
	First    int // number of the first device
	Devices  int
	Rate     float64 // messages a second, all devices together; 0: as fast as it goes
	Inflight int
	Size     int           // bytes of body
	Warmup   time.Duration // load before the measured window
	Duration time.Duration // the measured window; 0: until every device has sent Messages
	Messages uint64        // the most each device sends; 0: no bound but time
	Workers  int           // connects at once
	Drain    time.Duration // how long the end waits for what is in flight; 0: 5 s
}

func (p Publish) check(protocol Protocol) error {
	inflight, size := MaxInflight, MaxSize
	if protocol == AMQP {
		inflight, size = MaxAMQPInflight, maxAMQPSize
	}
	if p.Duration == 0 && p.Messages == 0 {
		return errors.New("a publish run needs a duration or a number of messages")
	}
	return errors.Join(
		check("first", p.First, 0, MaxDevices),
		check("devices", p.Devices, 1, MaxDevices),
		checkRate(p.Rate),
		check("inflight", p.Inflight, 1, inflight),
		check("size", p.Size, 0, size),
		check("workers", p.Workers, 1, MaxWorkers),
		checkDuration("warmup", p.Warmup),
		checkDuration("duration", p.Duration),
		checkDuration("drain", p.Drain),
	)
}

// publisher is the state that the connections of one run share.
type publisher struct {
	// fixed

	plan  Publish
	begun time.Time
	cue   cue
	both  *pair

	// owned by Run

	opened time.Time // the measured window
	length time.Duration

	// shared

	measuring atomic.Bool
	stopping  atomic.Bool
	acked     atomic.Uint64 // within the window
	meter     meter
	failed    failures
}

// Run connects every device, then publishes, and reports. Connections that fail
// during the run are counted in the report; an error means that no run took place.
func (p Publish) Run(ctx context.Context, t *Target) (*Report, error) {
	return p.until(ctx, t, cue{})
}

// cue ties a run to another beside it. Whatever is nil is left out.
type cue struct {
	open   func()          // called when the measured window opens
	enough <-chan struct{} // closed to close the window early
	total  *atomic.Uint64  // counts all that was acknowledged, also outside of the window
}

// until is Run with a cue.
func (p Publish) until(ctx context.Context, t *Target, with cue) (*Report, error) {
	if err := errors.Join(p.check(t.Protocol), t.check()); err != nil {
		return nil, err
	}
	p.Drain = cmp.Or(p.Drain, closeWait)
	both, err := watchBoth(t.PID)
	if err != nil {
		return nil, err
	}
	conns, err := connectAll(ctx, t, p.First, p.Devices, p.Workers, unstamped)
	if err != nil {
		return nil, err
	}
	run := &publisher{plan: p, begun: time.Now(), cue: with, both: both}
	if p.Warmup == 0 { // from the first message on
		err = run.open()
	}
	var wg sync.WaitGroup
	for n, c := range conns {
		wg.Go(func() {
			if err := run.device(c, n); err != nil {
				run.failed.add(err)
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	if err == nil {
		err = run.clock(ctx, over)
	}
	run.stopping.Store(true)
	for _, c := range conns {
		if p.Rate == 0 { // a paced device looks by itself
			_ = c.SetReadDeadline(time.Now().Add(p.Drain)) // drains what is in flight; a closed one is over already
		}
	}
	<-over
	if err != nil {
		return nil, err
	}
	r := &Report{
		Run: "publish", Target: t.Address, TLS: t.TLS != nil, Cipher: t.settled(), Started: run.opened.UTC(), Seconds: run.length.Seconds(),
		Devices: p.Devices, Inflight: p.Inflight, Size: p.Size, Rate: p.Rate, Done: run.acked.Load(), Latency: run.meter.summary(),
	}
	if t.Protocol == AMQP {
		r.Protocol = AMQP.String()
	}
	r.finish(run.length, both, &run.failed)
	return r, nil
}

// clock opens the measured window after the warm-up, unless it is open, and closes it
// when its time is over, or every device has finished.
func (run *publisher) clock(ctx context.Context, over <-chan struct{}) error {
	if run.plan.Warmup > 0 {
		if err := wait(ctx, over, run.cue.enough, run.plan.Warmup); err != nil {
			return err
		}
		if err := run.open(); err != nil {
			return err
		}
	}
	length := run.plan.Duration
	if length == 0 {
		length = MaxDuration
	}
	err := wait(ctx, over, run.cue.enough, length)
	run.measuring.Store(false)
	run.length = time.Since(run.opened)
	return errors.Join(err, run.both.close())
}

// open begins the measured window.
func (run *publisher) open() error {
	if err := run.both.open(); err != nil {
		return err
	}
	run.opened = time.Now()
	run.measuring.Store(true)
	if run.cue.open != nil {
		run.cue.open()
	}
	return nil
}

// wait returns after d, or at once when over or enough is closed; an ended context is an
// error.
func wait(ctx context.Context, over, enough <-chan struct{}, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-enough:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// flight is one device's messages on their way. Only its goroutine uses it.
type flight interface {
	room() int   // messages that may be sent now
	refill() int // room at which it is filled again
	idle() bool  // nothing is unacknowledged
	over() bool  // nothing more is to be sent
	send(c *conn, due time.Duration, most int) error
	acked(b []byte, now time.Duration, h *histogram, measure bool) (used, acks int, err error)
}

// window is one device's messages in flight over MQTT. Only its goroutine uses it.
type window struct {
	packets *packets
	size    int             // messages that may be in flight
	least   int             // free identifiers at which the window is filled again: a quarter, so that a server which answers one by one is not sent one by one
	free    []uint16        // packet identifiers not in flight, 1 to size
	sent    []time.Duration // by identifier, since the run began; negative when not in flight
	left    uint64          // messages still to send
}

func newWindow(p Publish, topic string) *window {
	size := p.Inflight
	if p.Rate > 0 {
		size = min(size*lateBursts, MaxInflight)
	}
	w := &window{size: size, packets: newPackets(topic, p.Size, p.Inflight), least: max(1, size/4), sent: make([]time.Duration, size+1), left: p.Messages}
	if p.Messages == 0 {
		w.left = ^uint64(0)
	}
	for id := size; id > 0; id-- {
		w.free = append(w.free, uint16(id))
		w.sent[id] = -1
	}
	return w
}

func (w *window) room() int   { return len(w.free) }
func (w *window) refill() int { return w.least }
func (w *window) idle() bool  { return len(w.free) == w.size }
func (w *window) over() bool  { return w.left == 0 }

// device runs one connection. It returns nil when its work is over and everything was
// acknowledged.
func (run *publisher) device(c *conn, n int) (err error) {
	defer func() {
		if err == nil {
			err = c.leave()
			return
		}
		_ = c.Close()
		err = fmt.Errorf("device %q: %w", c.account.ClientID, err)
	}()
	s := &sender{run: run, conn: c, hist: run.meter.of(n)}
	if c.peer != nil {
		s.window = newTransfers(run.plan, c)
		s.have = copy(s.buf[:], c.peer.buf[c.peer.from:c.peer.to])
		if err := s.take(); err != nil {
			return err
		}
	} else {
		s.window = newWindow(run.plan, c.account.Topic)
	}
	if run.plan.Rate > 0 {
		return s.paced(n)
	}
	return s.closed()
}

// sender is one device at work. Only its goroutine uses it.
type sender struct {
	run    *publisher
	conn   *conn
	window flight
	hist   *histogram
	buf    [readBytes]byte
	have   int // bytes of buf that hold the beginning of a packet or frame

	// of a paced device

	next  time.Duration // when the next burst is due, since the run began
	every time.Duration
	beat  time.Time // when it last showed that it lives
}

// closed keeps the window full: send what it allows in one write, read what the server
// acknowledged, again.
func (s *sender) closed() error {
	run, w := s.run, s.window
	var due time.Time
	for {
		stopping := run.stopping.Load()
		if !stopping {
			if room := w.room(); room >= w.refill() {
				if err := w.send(s.conn, time.Since(run.begun), room); err != nil {
					return err
				}
			}
			if now := time.Now(); due.Sub(now) < ackWait/2 {
				due = now.Add(ackWait)
				_ = s.conn.SetReadDeadline(due)
				if run.stopping.Load() { // its own deadline must not be lengthened
					_ = s.conn.SetReadDeadline(now.Add(run.plan.Drain))
				}
			}
		}
		if w.idle() && (stopping || w.over()) {
			return nil
		}
		if err := s.read(); err != nil {
			if w.idle() && run.stopping.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
				return nil // it waited for room
			}
			return silence(err)
		}
	}
}

// paced sends a burst of Inflight messages whenever one is due.
func (s *sender) paced(n int) error {
	run, w := s.run, s.window
	s.every = time.Duration(float64(run.plan.Inflight*run.plan.Devices) / run.plan.Rate * float64(time.Second))
	s.next = s.every * time.Duration(n) / time.Duration(run.plan.Devices)
	heard, patience, stopping := time.Now(), ackWait, false
	s.beat = heard
	for {
		if err := s.alive(); err != nil {
			return err
		}
		if !stopping && run.stopping.Load() {
			heard, patience, stopping = time.Now(), run.plan.Drain, true
		}
		until := time.Now().Add(lookEvery)
		if !stopping {
			var err error
			if until, err = s.bursts(until); err != nil {
				return err
			}
		}
		if w.idle() && (stopping || w.over()) {
			return nil
		}
		_ = s.conn.SetReadDeadline(until)
		switch err := s.read(); {
		case err == nil, w.idle() && errors.Is(err, os.ErrDeadlineExceeded):
			heard = time.Now()
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case time.Since(heard) > patience:
			return silence(err)
		}
	}
}

// alive shows over AMQP that the connection lives, however seldom its device sends.
func (s *sender) alive() error {
	if s.conn.peer == nil || time.Since(s.beat) < amqpBeat {
		return nil
	}
	s.beat = time.Now()
	_, err := s.conn.Write(amqpwire.AppendEmpty(nil))
	return err
}

// bursts sends the bursts that are due, as far as the window allows, and gives when to look
// again: latest, or sooner if the next one is due sooner.
func (s *sender) bursts(latest time.Time) (time.Time, error) {
	run, w, size := s.run, s.window, s.run.plan.Inflight
	for w.room() >= size && !w.over() {
		if due := run.begun.Add(s.next); time.Until(due) > 0 {
			if due.Before(latest) {
				latest = due
			}
			break
		}
		if err := w.send(s.conn, s.next, size); err != nil {
			return latest, err
		}
		s.next += s.every
	}
	return latest, nil
}

// read reads once and takes the acknowledgements that came.
func (s *sender) read() error {
	m, err := s.conn.Read(s.buf[s.have:])
	if err != nil {
		return err
	}
	s.have += m
	return s.take()
}

// take takes the acknowledgements that have been read.
func (s *sender) take() error {
	run := s.run
	used, acks, err := s.window.acked(s.buf[:s.have], time.Since(run.begun), s.hist, run.measuring.Load())
	if err != nil {
		return err
	}
	if run.measuring.Load() {
		run.acked.Add(uint64(acks))
	}
	if run.cue.total != nil {
		run.cue.total.Add(uint64(acks))
	}
	s.have = copy(s.buf[:], s.buf[used:s.have])
	return nil
}

// silence names a read that ran into its deadline.
func silence(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the server did not acknowledge what is in flight")
	}
	return err
}

// send sends at most most messages, as many as the window allows, in as few writes as
// batchBytes allows. They were due at the given time.
func (w *window) send(c *conn, due time.Duration, most int) error {
	for most > 0 && len(w.free) > 0 && w.left > 0 {
		n := min(len(w.free), w.packets.batch, most)
		if uint64(n) > w.left {
			n = int(w.left)
		}
		take := w.free[len(w.free)-n:]
		for _, id := range take {
			w.sent[id] = due
		}
		if _, err := c.Write(w.packets.number(take)); err != nil {
			return err
		}
		w.free = w.free[:len(w.free)-n]
		w.left -= uint64(n)
		most -= n
	}
	return nil
}

// acked takes the whole packets of b: how many bytes they were and how many
// messages they acknowledged.
func (w *window) acked(b []byte, now time.Duration, h *histogram, measure bool) (used, acks int, err error) {
	for {
		id, n, err := nextAck(b[used:])
		if err != nil || n == 0 {
			return used, acks, err
		}
		used += n
		if id == 0 {
			continue
		}
		if int(id) >= len(w.sent) || w.sent[id] < 0 {
			return used, acks, fmt.Errorf("the server acknowledged packet %d, which is not in flight", id)
		}
		if measure {
			h.record(now - w.sent[id])
		}
		w.sent[id] = -1
		w.free = append(w.free, id)
		acks++
	}
}
