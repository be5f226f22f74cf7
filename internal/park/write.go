package park

import "time"

// write writes b within WriteTimeout. If that takes long, the owner does not see wakes;
// somebody else then watches for it (impatient), so that a conversation that is over
// does not hold its socket for a peer that does not read.
func (o *owner) write(now time.Time, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := o.c.nc.SetWriteDeadline(now.Add(o.c.lot.cfg.WriteTimeout)); err != nil {
		return err
	}
	if o.slow != nil {
		o.slow.Reset(patience)
	}
	n, err := o.c.nc.Write(b)
	if o.slow != nil && !o.slow.Stop() {
		o.unblocked <- struct{}{} // impatient has begun, and ends with this
	}
	o.c.meter.Out(now, n)
	return err
}

// impatient is the owner while the owner proper waits for its write: it takes the wakes,
// which it hands on in the end, and cuts the write off when the conversation is over.
func (o *owner) impatient() {
	defer o.c.Wake()
	for !o.over() {
		select {
		case <-o.c.wake:
		case <-o.unblocked:
			return
		}
	}
	_ = o.c.nc.SetWriteDeadline(time.Unix(1, 0)) // a socket that refuses is closed
	<-o.unblocked
}

// over reports whether the conversation has ended by itself.
func (o *owner) over() (over bool) {
	observed, ok := o.conv.(Observed)
	if ok {
		_ = o.c.lot.guarded(func() error { over = observed.Over(); return nil })
	}
	return over
}
