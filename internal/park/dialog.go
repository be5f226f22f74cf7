package park

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// dialog is a conversation and what its last turn left behind, on either path.
type dialog struct {
	// fixed

	c    *Conn
	conv Conversation

	// owned by the owner

	deadline time.Time // when to be called with Expired; zero for never
	woken    bool
	paused   bool
	more     bool
	stopping bool
	met      error // what reading met, as it came
	written  error // what a write met
}

// turn calls the conversation once, with in as its input and t's output for it to
// append to.
func (d *dialog) turn(t *Turn, in []byte) error {
	now := time.Now()
	*t = Turn{
		Now: now, In: in, Woken: d.woken, Stopping: d.stopping, Out: t.Out[:0],
		Expired: !d.deadline.IsZero() && !now.Before(d.deadline),
	}
	d.woken = false
	err := d.c.lot.guarded(func() error { return d.conv.Turn(t) })
	d.deadline, d.paused, d.more = t.Deadline, t.Paused, t.More
	if used := t.Used; used < 0 || used > len(in) {
		t.Used = 0
		return fmt.Errorf("park: a turn used %d of %d bytes", used, len(in))
	}
	return err
}

// ended is what reading met, as Closed is told; nil while the peer may speak.
func (d *dialog) ended() error {
	if errors.Is(d.met, io.EOF) {
		return ErrPeerClosed
	}
	return d.met
}

// done is what ends the conversation between two turns; nil if nothing does. Once reading
// has met the end, that counts when the conversation has had the input.
func (d *dialog) done(unread int) error {
	if d.met != nil && (!d.paused || unread == 0) {
		return d.ended()
	}
	if d.stopping && !d.paused {
		return ErrShutdown
	}
	return nil
}

// mayRead reports whether there is a use for more input.
func (d *dialog) mayRead() bool { return !d.paused && !d.stopping && d.met == nil }

// stop begins the last turns.
func (d *dialog) stop() {
	d.stopping = true
	d.deadline = time.Time{}
}

// over reports whether the conversation has ended by itself.
func (d *dialog) over() (over bool) {
	observed, ok := d.conv.(Observed)
	if ok {
		_ = d.c.lot.guarded(func() error { over = observed.Over(); return nil })
	}
	return over
}

// finish tells the conversation why it is over, and closes our side of the stream if the
// peer can still hear us. What is left to do is the caller's: to run the probe, if there is
// one, or else what the ending says.
func (d *dialog) finish(why error, unread []byte) (*probe, ending) {
	_ = d.c.lot.guarded(func() error { d.conv.Closed(time.Now(), why); return nil })
	if observer := d.observer(); observer != nil {
		if p := d.observe(observer, unread); p != nil {
			return p, closed
		}
	}
	if d.written != nil || (d.met != nil && !errors.Is(d.met, io.EOF)) {
		return nil, abort
	}
	if d.c.closeWrite() == nil && d.met == nil {
		return nil, linger
	}
	return nil, closed
}

// ending is what is left to do with the peer of a conversation that is over.
type ending uint8

const (
	closed ending = iota // nothing: close
	abort                // nothing, and TLS cannot say anything more: close below it
	linger               // wait a moment for its own close
)

// observer is who wants to be told what the peer does now. A lot that shuts down watches
// nobody.
func (d *dialog) observer() (observer Observer) {
	observed, ok := d.conv.(Observed)
	if ok && !d.stopping {
		_ = d.c.lot.guarded(func() error { observer = observed.Observe(); return nil })
	}
	return observer
}

// observe shuts our write side and prepares the probe. It gives none for a socket that
// cannot end one side alone: its peer would not learn that it is over, so it is closed.
func (d *dialog) observe(observer Observer, unread []byte) *probe {
	p := &probe{c: d.c, observer: observer, met: d.met}
	_ = d.c.lot.guarded(func() error {
		p.key = observer.Key()
		observer.Heard(unread)
		return nil
	})
	end := d.c.closeWrite
	if d.written != nil {
		end = d.c.closeBelow // a record was cut short: TLS cannot say anything more
	}
	shut := end()
	if errors.Is(shut, errors.ErrUnsupported) {
		return nil
	}
	for _, err := range []error{d.written, shut} {
		if p.met == nil && isReset(err) {
			p.met = err // the socket tells it once
		}
	}
	p.shut = time.Now()
	return p
}
