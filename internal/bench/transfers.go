package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// transfers is one device's messages in flight over AMQP. Only its goroutine uses it.
type transfers struct {
	peer   *peer
	link   *outlet
	frames *frames
	size   int             // messages that may be in flight
	least  int             // room at which it is filled again
	sent   []time.Duration // by delivery, modulo its length, since the run began; negative when not in flight
	oldest uint32          // no delivery before it is in flight
	flying int             // deliveries in flight
	left   uint64          // messages still to send
}

func newTransfers(p Publish, c *conn) *transfers {
	size := p.Inflight
	if p.Rate > 0 {
		size = min(size*lateBursts, MaxAMQPInflight)
	}
	ring := 1
	for ring < 2*size {
		ring *= 2
	}
	t := &transfers{
		peer: c.peer, link: c.peer.outlet, frames: newFrames(c.peer.outlet.handle, p.Size, p.Inflight), size: size, least: max(1, size/4),
		sent: make([]time.Duration, ring), oldest: c.peer.next, left: p.Messages,
	}
	for i := range t.sent {
		t.sent[i] = -1
	}
	if p.Messages == 0 {
		t.left = ^uint64(0)
	}
	return t
}

// at is where a delivery is noted.
func (t *transfers) at(id uint32) *time.Duration { return &t.sent[id&uint32(len(t.sent)-1)] }

// room says how many messages may be sent now: as the window, the link's credit, the
// session's window and the table of what is noted allow.
func (t *transfers) room() int {
	span := len(t.sent) - int(t.peer.next-t.oldest)
	return min(t.size-t.flying, int(min(t.link.credit, MaxAMQPInflight)), int(min(t.peer.window, MaxAMQPInflight)), span)
}

func (t *transfers) refill() int { return t.least }
func (t *transfers) idle() bool  { return t.flying == 0 }
func (t *transfers) over() bool  { return t.left == 0 }

// send sends at most most messages in as few writes as batchBytes allows. They were due at
// the given time.
func (t *transfers) send(c *conn, due time.Duration, most int) error {
	for most = min(most, t.room()); most > 0 && t.left > 0; {
		n := min(most, t.frames.batch)
		if uint64(n) > t.left {
			n = int(t.left)
		}
		for i := range n {
			*t.at(t.peer.next + uint32(i)) = due
		}
		if _, err := c.Write(t.frames.number(t.peer.next, n)); err != nil {
			return err
		}
		t.peer.next += uint32(n)
		t.peer.window -= uint32(n)
		t.link.credit -= uint32(n)
		t.link.sent += uint32(n)
		t.flying += n
		t.left -= uint64(n)
		most -= n
	}
	return nil
}

// acked takes the whole frames of b: how many bytes they were and how many messages they
// accepted.
func (t *transfers) acked(b []byte, now time.Duration, h *histogram, measure bool) (used, acks int, err error) {
	for {
		f, n, err := amqpwire.Split(b[used:], readBytes)
		if errors.Is(err, amqpwire.ErrShort) {
			return used, acks, nil
		}
		if err != nil {
			return used, acks, err
		}
		used += n
		if len(f.Body) == 0 {
			continue
		}
		m, err := t.take(f, now, h, measure)
		acks += m
		if err != nil {
			return used, acks, err
		}
	}
}

// take takes one frame.
func (t *transfers) take(f amqpwire.Frame, now time.Duration, h *histogram, measure bool) (acks int, err error) {
	code, err := f.Code()
	if err != nil {
		return 0, err
	}
	switch code {
	case amqpwire.CodeDisposition:
		d, err := f.Disposition()
		if err != nil {
			return 0, err
		}
		return t.accepted(&d, now, h, measure)
	case amqpwire.CodeFlow:
		w, err := f.Flow()
		if err != nil {
			return 0, err
		}
		t.peer.flow(&w)
		return 0, nil
	default:
		if err := ending(f, code); err != nil {
			return 0, err
		}
		return 0, fmt.Errorf("the server sent %s", code)
	}
}

// accepted notes the outcome of deliveries.
func (t *transfers) accepted(d *amqpwire.Disposition, now time.Duration, h *histogram, measure bool) (acks int, err error) {
	if _, ok := d.State.(amqpwire.Accepted); !ok || !d.Settled {
		return 0, fmt.Errorf("the server did not accept deliveries %d to %d: %s", d.First, d.Last, outcome(d.State))
	}
	if d.First-t.oldest >= t.peer.next-t.oldest || d.Last-t.oldest >= t.peer.next-t.oldest || d.Last-t.oldest < d.First-t.oldest {
		return 0, fmt.Errorf("the server accepted deliveries %d to %d, which are not in flight", d.First, d.Last)
	}
	for id := d.First; ; id++ {
		at := t.at(id)
		if *at < 0 {
			return acks, fmt.Errorf("the server accepted delivery %d, which is not in flight", id)
		}
		if measure {
			h.record(now - *at)
		}
		*at = -1
		t.flying--
		acks++
		if id == d.Last {
			break
		}
	}
	for t.oldest != t.peer.next && *t.at(t.oldest) < 0 {
		t.oldest++
	}
	return acks, nil
}

// outcome is a delivery's state as text.
func outcome(s amqpwire.State) string {
	if r, ok := s.(amqpwire.Rejected); ok {
		return reason(r.Error)
	}
	return fmt.Sprintf("%T", s)
}

// frames is a run of equal transfer frames, laid out one behind the other so that one
// write carries many; only the delivery's number, which is its tag too, changes.
type frames struct {
	buf    []byte
	length int // of one frame
	id     int // of the delivery-id within a frame
	tag    int // of the tag within a frame
	batch  int // frames in buf
}

// newFrames makes as many frames of messages with size bytes of body as one write may
// carry, at most inflight.
func newFrames(handle uint32, size, inflight int) *frames {
	const number, tag = 0xfeedbeef, "\xde\xad\xfa\xce"
	payload := amqpwire.AppendData(nil, text(size))
	t := amqpwire.Transfer{
		Handle: handle, DeliveryID: amqpwire.Some[uint32](number), Tag: []byte(tag), MessageFormat: amqpwire.Some[uint32](0),
		Settled: amqpwire.Some(false), Payload: payload,
	}
	one := t.AppendFrame(nil, 0)
	f := &frames{length: len(one), id: bytes.Index(one, binary.BigEndian.AppendUint32(nil, number)), tag: bytes.Index(one, []byte(tag))}
	f.batch = min(inflight, max(1, batchBytes/len(one)))
	for range f.batch {
		f.buf = append(f.buf, one...)
	}
	return f
}

// number writes the numbers from first on into the first n frames and gives their bytes,
// which are good until the next call. n is at most batch.
func (f *frames) number(first uint32, n int) []byte {
	for i := range n {
		frame := f.buf[i*f.length:]
		binary.BigEndian.PutUint32(frame[f.id:], first+uint32(i))
		binary.BigEndian.PutUint32(frame[f.tag:], first+uint32(i))
	}
	return f.buf[:n*f.length]
}
