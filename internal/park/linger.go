package park

import "time"

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
