package mqtt

import "github.com/berth-iot/berth/internal/mqttwire"

// window is what a connection has published and not had acknowledged, in the order it
// came, so that PUBACKs leave in that order (MQTT-4.6.0-2). It holds QoS 0 messages as
// well, because the session's count of durable messages does. The zero window is empty.
type window struct {
	ring    []entry // length a power of two, or nil while empty
	head, n int
	stored  int // entries that wait to be durable
	bytes   int // their size
}

// entry is one publish.
type entry struct {
	id     uint16 // 0 for QoS 0: nothing to send
	stored bool   // acknowledged once durable; a request is once all before it are
	size   uint32
}

// firstRing is the length of the first ring: what a client in lock-step never outgrows.
const firstRing = 8

// full reports whether more more entries of size bytes together are too many.
func (w *window) full(more, size int) bool {
	return w.n+more >= maxInFlight || w.bytes+size >= maxInFlightBytes
}

// push notes a publish.
func (w *window) push(e entry) {
	if w.n == len(w.ring) {
		w.grow()
	}
	w.ring[(w.head+w.n)&(len(w.ring)-1)] = e
	w.n++
	if e.stored {
		w.stored++
		w.bytes += int(e.size)
	}
}

func (w *window) grow() {
	ring := make([]entry, max(firstRing, 2*len(w.ring)))
	for i := range w.n {
		ring[i] = w.ring[(w.head+i)&(len(w.ring)-1)]
	}
	w.ring, w.head = ring, 0
}

// durable takes out the oldest publishes as k more stored ones have become durable, and
// appends their PUBACKs to out; it says how many.
func (w *window) durable(k uint64, out []byte) ([]byte, int) {
	acks := 0
	for w.n > 0 {
		e := w.ring[w.head]
		if e.stored {
			if k == 0 {
				break
			}
			k--
			w.stored--
			w.bytes -= int(e.size)
		}
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.n--
		if e.id != 0 {
			out = mqttwire.Puback{ID: e.id}.Append(out)
			acks++
		}
	}
	if w.n == 0 && len(w.ring) > maxInFlight/8 {
		*w = window{} // an idle connection does not keep what a burst needed
	}
	return out, acks
}
