package park

import (
	"errors"
	"time"
)

// finish tells the conversation and closes our side of the stream; if the peer can
// still hear us, its own close is awaited for a moment. It reports whether the peer is to
// be watched by the probe instead.
func (o *owner) finish(why error) (probing bool) {
	_ = o.c.lot.guarded(func() error { o.conv.Closed(time.Now(), why); return nil })
	if observer := o.observer(); observer != nil && o.observe(observer) {
		return true
	}
	if o.written != nil || (o.ended != nil && !errors.Is(o.ended, ErrPeerClosed)) {
		o.c.abort()
		return false
	}
	if o.c.closeWrite() == nil && o.ended == nil {
		o.linger()
	}
	return false
}

// observer is who wants to be told what the peer does now. A lot that shuts down watches
// nobody.
func (o *owner) observer() (observer Observer) {
	observed, ok := o.conv.(Observed)
	if ok && !o.stopping {
		_ = o.c.lot.guarded(func() error { observer = observed.Observe(); return nil })
	}
	return observer
}

// observe shuts our write side and prepares the probe, which begins when room is closed.
// What the probe does not need is let go. It reports false for a socket that cannot end one
// side alone: its peer would not learn that it is over, so it is closed.
func (o *owner) observe(observer Observer) bool {
	p := &probe{c: o.c, observer: observer, met: o.met}
	_ = o.c.lot.guarded(func() error {
		p.key = observer.Key()
		observer.Heard(o.in.unread())
		return nil
	})
	end := o.c.closeWrite
	if o.written != nil {
		end = o.c.closeBelow // a record was cut short: TLS cannot say anything more
	}
	shut := end()
	if errors.Is(shut, errors.ErrUnsupported) {
		return false
	}
	for _, err := range []error{o.written, shut} {
		if p.met == nil && isReset(err) {
			p.met = err // the socket tells it once
		}
	}
	p.shut = time.Now()
	_ = o.c.nc.SetReadDeadline(p.shut.Add(probeFor)) // a socket that refuses fails at the next read
	o.c.lot.lookout.enter(p)
	o.probe, o.conv, o.out = p, nil, nil
	return true
}

// linger lets the reader run on and forgets what it brings.
func (o *owner) linger() {
	_ = o.c.nc.SetReadDeadline(time.Now().Add(lingerFor))
	for left := lingerBytes; left > 0; {
		if !o.reading {
			o.in.consume(len(o.in.unread()))
			room, err := o.in.room()
			if err != nil {
				return
			}
			o.room <- room
		}
		r := <-o.got
		o.received(r)
		if r.err != nil {
			return
		}
		left -= r.n
	}
}
