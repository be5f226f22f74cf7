package endpoint

import (
	"sort"

	"github.com/berth-iot/berth/internal/amqpwire"
)

// unsettled is a session's unsettled deliveries in one direction, in the order of their
// ids, which only grow. A pass over it is what a range costs, however many ids the range
// names. The zero value is empty.
type unsettled struct {
	ring    []entry // length a power of two, or nil while empty
	head, n int     // gone entries count until they are at the head, or many
	gone    int
	due     int // outcomes to be told
}

// entry is one delivery.
type entry struct {
	link  *Link // nil once gone
	state amqpwire.State
	ref   uint64
	id    uint32
	phase entryPhase
	first bool // the transfer said receiver-settle-mode first
}

type entryPhase uint8

const (
	entryOpen    entryPhase = iota // we have not settled it
	entryPartial                   // more of it is to come
	entryDue                       // our outcome is to be told, and settles it
	entryDueHalf                   // our outcome is to be told; the peer settles it
	entryTold                      // our outcome was told; the peer settles it
)

func (u *unsettled) at(i int) *entry { return &u.ring[(u.head+i)&(len(u.ring)-1)] }

// live is how many deliveries are unsettled.
func (u *unsettled) live() int { return u.n - u.gone }

// push adds a delivery. An id that is half of all ids behind the oldest is too far for
// serial numbers: the oldest is forgotten.
func (u *unsettled) push(e entry) {
	for u.n > 0 && before(e.id, u.at(0).id) {
		u.remove(u.at(0))
		u.trim()
	}
	if u.n == len(u.ring) {
		u.grow()
	}
	*u.at(u.n) = e
	u.n++
}

// grow makes room: by leaving out what is gone if that is half, else by another ring.
func (u *unsettled) grow() {
	size := max(firstRing, len(u.ring))
	if u.live() > size/2 {
		size *= 2
	}
	u.resize(size)
}

// resize leaves out what is gone, in a ring of the size.
func (u *unsettled) resize(size int) {
	ring := make([]entry, size)
	n := 0
	for i := range u.n {
		if e := u.at(i); e.link != nil {
			ring[n] = *e
			n++
		}
	}
	u.ring, u.head, u.n, u.gone = ring, 0, n, 0
}

// search gives the index of the first entry whose id is not before id.
func (u *unsettled) search(id uint32) int {
	if u.n == 0 || !before(u.at(0).id, id) {
		return 0
	}
	if i := id - u.at(0).id; i < uint32(u.n) && u.at(int(i)).id == id { // ids without a gap
		return int(i)
	}
	return sort.Search(u.n, func(i int) bool { return !before(u.at(i).id, id) })
}

// find gives the entry of an id, or nil.
func (u *unsettled) find(id uint32) *entry {
	if i := u.search(id); i < u.n {
		if e := u.at(i); e.id == id && e.link != nil {
			return e
		}
	}
	return nil
}

// remove takes a delivery out; trim follows.
func (u *unsettled) remove(e *entry) {
	switch e.phase {
	case entryDue:
		u.due--
	case entryDueHalf:
		u.due--
		e.link.count(-1)
	default:
		e.link.count(-1)
	}
	*e = entry{id: e.id}
	u.gone++
}

// count counts an unsettled delivery of the link.
func (l *Link) count(n int) {
	l.unsettled += uint32(n)
	if l.role == amqpwire.RoleSender {
		l.session.conn.unsettled += n
	}
}

// trim gives back the room of gone entries at the head.
func (u *unsettled) trim() {
	for u.n > 0 && u.at(0).link == nil {
		u.head = (u.head + 1) & (len(u.ring) - 1)
		u.n--
		u.gone--
	}
	switch size := len(u.ring); {
	case size <= keptRing:
	case u.n == 0:
		*u = unsettled{} // an idle session does not keep what a burst needed
	case u.live() < size/16: // nor does one that leaves a few unsettled
		u.resize(size / 8)
	}
}

// forget takes the deliveries of a link out.
func (u *unsettled) forget(l *Link) {
	for i := 0; i < u.n; i++ {
		if e := u.at(i); e.link == l {
			u.remove(e)
		}
	}
	u.trim()
}
