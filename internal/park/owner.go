package park

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"
)

// owner runs one conversation on the plain path: itself one goroutine, and a reader
// that may read only into room the owner gives it. That hand-over is the back-pressure.
type owner struct {
	// fixed

	c    *Conn
	conv Conversation
	room chan []byte   // to the reader: where to read; closed to end it, or to make it the probe
	got  chan readings // from the reader
	slow *time.Timer   // runs impatient when a write takes long; nil: the conversation is not Observed

	unblocked chan struct{} // to impatient: the write is over

	// owned by run

	in       input
	turn     Turn
	out      []byte
	timer    *time.Timer
	armed    time.Time // when the timer fires; zero if it does not
	reading  bool      // the reader holds the room
	woken    bool
	stopping bool
	ended    error // what the reader met; acted on once the conversation has had the input
	met      error // the same, as it came
	written  error // what a write met

	// owned by run, and by the reader once room is closed

	probe *probe // what the reader goes on as; nil: it ends

	wg sync.WaitGroup
}

// readings is what one read brought.
type readings struct {
	n   int
	err error
}

func newOwner(c *Conn, conv Conversation, leftover []byte) *owner {
	o := &owner{
		c:    c,
		conv: conv,
		room: make(chan []byte, 1),
		got:  make(chan readings, 1),
		in:   input{pool: &c.lot.buffers, max: c.lot.cfg.MaxPacket},
	}
	o.in.buf = o.in.small[:]
	if len(leftover) > smallBuffer {
		o.in.buf = make([]byte, len(leftover))
	}
	o.in.w = copy(o.in.buf, leftover)
	o.timer = time.NewTimer(time.Hour)
	o.timer.Stop()
	if _, ok := conv.(Observed); ok {
		o.unblocked = make(chan struct{})
		o.slow = time.AfterFunc(time.Hour, o.impatient)
		o.slow.Stop()
	}
	return o
}

// run returns when the connection has ended, but for a probe, which is then the reader's.
func (o *owner) run() {
	o.wg.Go(o.read)
	why := o.serve()
	o.timer.Stop()
	if o.finish(why) {
		close(o.room)
		return
	}
	close(o.room)
	_ = o.c.nc.Close()
	o.wg.Wait()
	o.in.release()
	o.c.lot.left(o.c)
}

// read is the reader: it reads once into each room it is given. When there are no more,
// it may have to go on as the probe.
func (o *owner) read() {
	for buf := range o.room {
		n, err := o.c.nc.Read(buf)
		o.got <- readings{n, err}
	}
	if o.probe == nil {
		return
	}
	var r readings // what a read brought after the owner had turned away
	select {
	case r = <-o.got:
	default:
	}
	o.probe.heard(o.in.buf[o.in.w : o.in.w+r.n])
	o.in.release()
	o.probe.run(r.err)
}

// serve takes turns until something ends the connection, and says what.
func (o *owner) serve() error {
	for {
		if err := o.takeTurn(); err != nil {
			return err
		}
		if o.turn.More {
			runtime.Gosched()
			o.poll()
			continue
		}
		if o.ended != nil && (!o.turn.Paused || len(o.in.unread()) == 0) {
			return o.ended
		}
		if o.stopping && !o.turn.Paused {
			return ErrShutdown
		}
		if err := o.offer(); err != nil {
			return err
		}
		o.arm()
		if done := o.wait(); done != nil {
			return done
		}
	}
}

// takeTurn calls the conversation once and writes what it said.
func (o *owner) takeTurn() error {
	now := time.Now()
	last := o.turn.Deadline
	o.turn = Turn{
		Now: now, In: o.in.unread(), Woken: o.woken, Stopping: o.stopping, Out: o.out[:0],
		Expired: !last.IsZero() && !now.Before(last),
	}
	o.woken = false
	err := o.c.lot.guarded(func() error { return o.conv.Turn(&o.turn) })
	if used := o.turn.Used; used < 0 || used > len(o.turn.In) {
		return fmt.Errorf("park: a turn used %d of %d bytes", used, len(o.turn.In))
	}
	o.in.consume(o.turn.Used)
	o.turn.In = nil
	o.written = o.write(now, o.turn.Out)
	o.out, o.turn.Out = o.turn.Out, nil
	if cap(o.out) > keptOut && len(o.out) < keptOut {
		o.out = nil // the burst that needed it is over
	}
	if err == nil {
		err = o.written
	}
	return err
}

// offer hands the reader its room, unless it has it, or should not read now.
func (o *owner) offer() error {
	if mayRead := !o.reading && !o.turn.Paused && !o.stopping && o.ended == nil; !mayRead {
		return nil
	}
	room, err := o.in.room()
	if err != nil {
		return err
	}
	o.reading = true
	o.room <- room
	return nil
}

// arm sets the timer for the deadline. It only ever moves the timer earlier: a timer
// that fires before a deadline that has moved on is armed again, which spares a busy
// connection one reset a turn.
func (o *owner) arm() {
	at := o.turn.Deadline
	if at.IsZero() || (!o.armed.IsZero() && !at.Before(o.armed)) {
		return
	}
	o.armed = at
	o.timer.Reset(time.Until(at))
}

// wait blocks until there is reason for a turn. An error ends the connection at once.
func (o *owner) wait() error {
	stop := o.c.lot.stop
	if o.stopping {
		stop = nil
	}
	for {
		select {
		case r := <-o.got:
			o.received(r)
			return nil
		case <-o.c.wake:
			o.woken = true
			return nil
		case <-stop:
			o.stop()
			return nil
		case <-o.timer.C:
			o.armed = time.Time{}
			if o.stopping {
				return ErrShutdown
			}
			if at := o.turn.Deadline; !at.IsZero() && !time.Now().Before(at) {
				return nil
			}
			o.arm()
		}
	}
}

// poll notes what has happened meanwhile, without waiting.
func (o *owner) poll() {
	select {
	case r := <-o.got:
		o.received(r)
	default:
	}
	select {
	case <-o.c.wake:
		o.woken = true
	default:
	}
	if o.stopping {
		return
	}
	select {
	case <-o.c.lot.stop:
		o.stop()
	default:
	}
}

// stop begins the last turns: from here the timer means that they are over.
func (o *owner) stop() {
	o.stopping = true
	o.turn.Deadline = time.Time{}
	o.armed = time.Now().Add(stopGrace)
	o.timer.Reset(stopGrace)
}

func (o *owner) received(r readings) {
	o.reading = false
	o.met = r.err
	o.in.landed(r.n)
	if r.n > 0 {
		o.c.meter.In(time.Now(), r.n)
	}
	switch {
	case errors.Is(r.err, io.EOF):
		o.ended = ErrPeerClosed
	case r.err != nil:
		o.ended = r.err
	}
}
