package park

import (
	"runtime"
	"sync"
	"time"
)

// owner runs one conversation on the plain path: itself one goroutine, and a reader
// that may read only into room the owner gives it. That hand-over is the back-pressure.
type owner struct {
	dialog

	// fixed

	room chan []byte   // to the reader: where to read; closed to end it, or to make it the probe
	got  chan readings // from the reader
	slow *time.Timer   // runs impatient when a write takes long; nil: the conversation is not Observed

	unblocked chan struct{} // to impatient: the write is over

	// owned by run

	in      input
	last    Turn // its output is used again
	timer   *time.Timer
	armed   time.Time // when the timer fires; zero if it does not
	reading bool      // the reader holds the room

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
		dialog: dialog{c: c, conv: conv},
		room:   make(chan []byte, 1),
		got:    make(chan readings, 1),
		in:     input{pool: &c.lot.buffers, max: c.lot.cfg.MaxPacket},
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
	probe, how := o.finish(why, o.in.unread())
	if probe != nil {
		_ = o.c.nc.SetReadDeadline(probe.shut.Add(probeFor)) // a socket that refuses fails at the next read
		o.c.lot.lookout.enter(probe)
		o.probe, o.conv, o.last = probe, nil, Turn{}
		close(o.room)
		return
	}
	switch how {
	case linger:
		o.linger()
	case abort:
		o.c.abort()
	case closed:
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
		if o.more {
			runtime.Gosched()
			o.poll()
			continue
		}
		if why := o.done(len(o.in.unread())); why != nil {
			return why
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
	err := o.turn(&o.last, o.in.unread())
	o.in.consume(o.last.Used)
	o.last.In = nil
	if o.written = o.write(o.last.Now, o.last.Out); err == nil {
		err = o.written
	}
	if cap(o.last.Out) > keptOut && len(o.last.Out) < keptOut {
		o.last.Out = nil // the burst that needed it is over
	}
	return err
}

// offer hands the reader its room, unless it has it, or should not read now.
func (o *owner) offer() error {
	if o.reading || !o.mayRead() {
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
	at := o.deadline
	if at.IsZero() || (!o.armed.IsZero() && !at.Before(o.armed)) {
		return
	}
	o.armed = at
	o.timer.Reset(time.Until(at))
}

// wait blocks until there is reason for a turn. An error ends the connection at once.
func (o *owner) wait() error {
	for {
		select {
		case r := <-o.got:
			o.received(r)
			return nil
		case <-o.c.poke:
			if o.note() {
				return nil
			}
		case <-o.timer.C:
			o.armed = time.Time{}
			if o.stopping {
				return ErrShutdown
			}
			if at := o.deadline; !at.IsZero() && !time.Now().Before(at) {
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
	o.note()
}

// note takes in what has happened and reports whether there was anything. When the lot
// shuts down the last turns begin, and from here the timer means that they are over.
func (o *owner) note() bool {
	bits := o.c.happened.Swap(0)
	o.woken = o.woken || bits&woken != 0
	if bits&stopping != 0 && !o.stopping {
		o.stop()
		o.armed = time.Now().Add(stopGrace)
		o.timer.Reset(stopGrace)
	}
	return bits != 0
}

func (o *owner) received(r readings) {
	o.reading = false
	o.met = r.err
	o.in.landed(r.n)
	if r.n > 0 {
		o.c.meter.In(time.Now(), r.n)
	}
}
