package park

import "time"

// write writes b within WriteTimeout. If that takes long, the owner does not see wakes;
// somebody else then watches for it (impatient), so that a conversation that is over
// does not hold its socket for a peer that does not read.
func (o *owner) write(now time.Time, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if o.slow != nil {
		o.slow.Reset(patience)
	}
	err := o.c.write(now, b)
	if o.slow != nil && !o.slow.Stop() {
		o.unblocked <- struct{}{} // impatient has begun, and ends with this
	}
	return err
}

// impatient is the owner while the owner proper waits for its write: it takes the pokes,
// one of which it hands on in the end, and cuts the write off when the conversation is over.
func (o *owner) impatient() {
	defer o.c.poked()
	for !o.over() {
		select {
		case <-o.c.poke:
		case <-o.unblocked:
			return
		}
	}
	_ = o.c.nc.SetWriteDeadline(time.Unix(1, 0)) // a socket that refuses is closed
	<-o.unblocked
}
