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
)

// Publish is a closed-loop run: every device keeps Inflight QoS 1 messages, or up to
// a quarter fewer, unacknowledged until the time or its messages are over.
type Publish struct {
	Devices  int
	Inflight int
	Size     int           // bytes of body
	Warmup   time.Duration // load before the measured window
	Duration time.Duration // the measured window; 0: until every device has sent Messages
	Messages uint64        // the most each device sends; 0: no bound but time
	Workers  int           // connects at once
	Drain    time.Duration // how long the end waits for what is in flight; 0: 5 s
}

func (p Publish) check() error {
	if p.Duration == 0 && p.Messages == 0 {
		return errors.New("a publish run needs a duration or a number of messages")
	}
	return errors.Join(
		check("devices", p.Devices, 1, MaxDevices),
		check("inflight", p.Inflight, 1, MaxInflight),
		check("size", p.Size, 0, MaxSize),
		check("workers", p.Workers, 1, MaxWorkers),
		checkDuration("warmup", p.Warmup),
		checkDuration("duration", p.Duration),
		checkDuration("drain", p.Drain),
	)
}

// publisher is the state that the connections of one run share.
type publisher struct {
	// fixed

	plan    Publish
	begun   time.Time
	watches []*watch

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
	if err := errors.Join(p.check(), t.check()); err != nil {
		return nil, err
	}
	p.Drain = cmp.Or(p.Drain, closeWait)
	server, err := newWatch(t.PID)
	if err != nil {
		return nil, err
	}
	own, err := newWatch(ownPID())
	if err != nil {
		return nil, err
	}
	conns, err := connectAll(ctx, t, p.Devices, p.Workers)
	if err != nil {
		return nil, err
	}
	run := &publisher{plan: p, begun: time.Now(), watches: []*watch{server, own}}
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
		_ = c.SetReadDeadline(time.Now().Add(p.Drain)) // drains what is in flight; a closed one is over already
	}
	<-over
	if err != nil {
		return nil, err
	}
	r := &Report{
		Run: "publish", Target: t.Address, TLS: t.TLS != nil, Started: run.opened.UTC(), Seconds: run.length.Seconds(),
		Devices: p.Devices, Inflight: p.Inflight, Size: p.Size, Done: run.acked.Load(), Latency: run.meter.summary(),
	}
	r.finish(run.length, server, own, &run.failed)
	return r, nil
}

// clock opens the measured window after the warm-up, unless it is open, and closes it
// when its time is over, or every device has finished.
func (run *publisher) clock(ctx context.Context, over <-chan struct{}) error {
	if run.plan.Warmup > 0 {
		if err := wait(ctx, over, run.plan.Warmup); err != nil {
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
	err := wait(ctx, over, length)
	run.measuring.Store(false)
	run.length = time.Since(run.opened)
	for _, w := range run.watches {
		err = errors.Join(err, w.close())
	}
	return err
}

// open begins the measured window.
func (run *publisher) open() error {
	for _, w := range run.watches {
		if err := w.open(); err != nil {
			return err
		}
	}
	run.opened = time.Now()
	run.measuring.Store(true)
	return nil
}

// wait returns after d, or at once when over is closed; an ended context is an error.
func wait(ctx context.Context, over <-chan struct{}, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// window is one device's messages in flight. Only its goroutine uses it.
type window struct {
	packets *packets
	refill  int             // free identifiers at which the window is filled again: a quarter, so that a server which answers one by one is not sent one by one
	free    []uint16        // packet identifiers not in flight, 1 to Inflight
	sent    []time.Duration // by identifier, since the run began; negative when not in flight
	left    uint64          // messages still to send
}

func newWindow(p Publish, topic string) *window {
	w := &window{packets: newPackets(topic, p.Size, p.Inflight), refill: max(1, p.Inflight/4), sent: make([]time.Duration, p.Inflight+1), left: p.Messages}
	if p.Messages == 0 {
		w.left = ^uint64(0)
	}
	for id := p.Inflight; id > 0; id-- {
		w.free = append(w.free, uint16(id))
		w.sent[id] = -1
	}
	return w
}

// device runs one connection: send what the window allows in one write, read what
// the server acknowledged, again. It returns nil when its work is over and
// everything was acknowledged.
func (run *publisher) device(c *conn, n int) (err error) {
	defer func() {
		if err == nil {
			err = c.leave()
			return
		}
		_ = c.Close()
		err = fmt.Errorf("device %q: %w", c.account.ClientID, err)
	}()
	w := newWindow(run.plan, c.account.Topic)
	var (
		buf  [readBytes]byte
		have int
		hist = run.meter.of(n)
		due  time.Time
	)
	for {
		if !run.stopping.Load() {
			if len(w.free) >= w.refill {
				if err := w.send(c, time.Since(run.begun)); err != nil {
					return err
				}
			}
			if now := time.Now(); due.Sub(now) < ackWait/2 {
				due = now.Add(ackWait)
				_ = c.SetReadDeadline(due)
				if run.stopping.Load() { // its own deadline must not be lengthened
					_ = c.SetReadDeadline(now.Add(run.plan.Drain))
				}
			}
		}
		if len(w.free) == run.plan.Inflight {
			return nil // nothing in flight and nothing more to send
		}
		m, err := c.Read(buf[have:])
		if err != nil {
			return silence(err)
		}
		have += m
		used, acks, err := w.acked(buf[:have], time.Since(run.begun), hist, run.measuring.Load())
		if err != nil {
			return err
		}
		if run.measuring.Load() {
			run.acked.Add(uint64(acks))
		}
		have = copy(buf[:], buf[used:have])
	}
}

// silence names a read that ran into its deadline.
func silence(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the server did not acknowledge what is in flight")
	}
	return err
}

// send fills the window, in as few writes as batchBytes allows.
func (w *window) send(c *conn, now time.Duration) error {
	for len(w.free) > 0 && w.left > 0 {
		n := min(len(w.free), w.packets.batch)
		if uint64(n) > w.left {
			n = int(w.left)
		}
		take := w.free[len(w.free)-n:]
		for _, id := range take {
			w.sent[id] = now
		}
		if _, err := c.Write(w.packets.number(take)); err != nil {
			return err
		}
		w.free = w.free[:len(w.free)-n]
		w.left -= uint64(n)
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
