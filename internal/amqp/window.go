package amqp

import (
	"github.com/berth-iot/berth/internal/amqp/endpoint"
	"github.com/berth-iot/berth/internal/iot"
)

// window is the deliveries of a user that the log has taken, whole or in part, and that
// are not yet durable, in the order they came. The zero window is empty.
type window struct {
	ring     []taken // length a power of two, or nil while empty
	head, n  int
	messages int // that are not yet durable
	bytes    int // of deliveries with messages that are not yet durable
}

// taken is one delivery.
type taken struct {
	link  *endpoint.Link // nil: nobody waits for an acceptance
	id    uint32
	count uint32 // messages that are not yet durable
	size  uint32 // bytes of messages since none was left that is not durable
	whole bool   // its last message is among those that were taken
}

// firstRing is the length of the first ring, and keptRing the longest that an idle window
// keeps.
const (
	firstRing = 8
	keptRing  = 64
)

// room says how many of the messages may be given to the log now: as long as the window is
// not full, one more.
func (w *window) room(raws []iot.Raw) (n int) {
	for bytes := w.bytes; n < len(raws) && w.messages+n < maxInFlight && bytes < maxInFlightBytes; n++ {
		bytes += raws[n].Size()
	}
	return n
}

// push notes a message of size bytes.
func (w *window) push(m mark, size int) {
	w.messages++
	w.bytes += size
	if w.n > 0 {
		if e := w.at(w.n - 1); !e.whole && e.id == m.id && e.link == m.link {
			e.count++
			e.size += uint32(size)
			e.whole = m.last
			return
		}
	}
	if w.n == len(w.ring) {
		ring := make([]taken, max(firstRing, 2*len(w.ring)))
		for i := range w.n {
			ring[i] = *w.at(i)
		}
		w.ring, w.head = ring, 0
	}
	w.n++
	*w.at(w.n - 1) = taken{link: m.link, id: m.id, count: 1, size: uint32(size), whole: m.last}
}

// durable takes out what is durable as k more messages have become so, and calls accept
// with each delivery that is to be accepted.
func (w *window) durable(k uint64, accept func(*endpoint.Link, uint32)) {
	for k > 0 && w.n > 0 {
		e := w.at(0)
		d := uint32(min(k, uint64(e.count)))
		e.count -= d
		w.messages -= int(d)
		k -= uint64(d)
		if e.count > 0 {
			return
		}
		w.bytes -= int(e.size)
		e.size = 0
		if !e.whole {
			return
		}
		if e.link != nil {
			accept(e.link, e.id)
		}
		*e = taken{}
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.n--
	}
	if w.n == 0 && len(w.ring) > keptRing {
		*w = window{}
	}
}

// drop makes sure that a delivery that was rejected half way is not accepted as well.
func (w *window) drop(m mark) {
	if w.n == 0 {
		return
	}
	if e := w.at(w.n - 1); e.link == m.link && e.id == m.id && !e.whole {
		e.link, e.whole = nil, true
	}
}

func (w *window) at(i int) *taken { return &w.ring[(w.head+i)&(len(w.ring)-1)] }
