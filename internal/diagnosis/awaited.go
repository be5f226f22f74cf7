package diagnosis

import (
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// awaited is the displaced connections of which word is awaited, and the words that
// came before their displacement was told: a reset may be that fast.
type awaited struct {
	byConn map[uint64]waiting
	order  []waiting // oldest first; those no longer in byConn are passed over
	words  map[uint64]word
	spoken []word // oldest first
}

// waiting is one displaced connection.
type waiting struct {
	conn     uint64
	identity iot.Identity
	story    uint64
	number   uint64
	since    time.Time
}

// word is an afterlife that came early.
type word struct {
	conn  uint64
	life  device.Afterlife
	since time.Time
}

func newAwaited() awaited { return awaited{byConn: map[uint64]waiting{}, words: map[uint64]word{}} }

// add awaits word of a connection. If that is one too many, the oldest is given up.
func (a *awaited) add(w waiting) (oldest waiting, full bool) {
	a.byConn[w.conn] = w
	a.order = append(a.order, w)
	if len(a.order) <= maxPending {
		return waiting{}, false
	}
	oldest, a.order = a.order[0], a.order[1:]
	if a.byConn[oldest.conn] != oldest {
		return waiting{}, false // word of it came
	}
	delete(a.byConn, oldest.conn)
	return oldest, true
}

// take gives the connection of which word came.
func (a *awaited) take(conn uint64) (waiting, bool) {
	w, ok := a.byConn[conn]
	delete(a.byConn, conn)
	return w, ok
}

// early keeps a word of which nothing is known yet.
func (a *awaited) early(conn uint64, life device.Afterlife, now time.Time) {
	w := word{conn, life, now}
	a.words[conn] = w
	a.spoken = append(a.spoken, w)
	for len(a.spoken) > maxEarly || len(a.spoken) > 0 && now.Sub(a.spoken[0].since) > afterlifeWithin {
		if a.words[a.spoken[0].conn] == a.spoken[0] {
			delete(a.words, a.spoken[0].conn)
		}
		a.spoken = a.spoken[1:]
	}
}

// arrived gives the word of a connection that came early.
func (a *awaited) arrived(conn uint64) (device.Afterlife, bool) {
	w, ok := a.words[conn]
	delete(a.words, conn)
	return w.life, ok
}

// expired gives one connection of which no word came in time.
func (a *awaited) expired(now time.Time) (waiting, bool) {
	for len(a.order) > 0 {
		w := a.order[0]
		current := a.byConn[w.conn] == w
		if current && now.Sub(w.since) < afterlifeWithin {
			return waiting{}, false
		}
		a.order = a.order[1:]
		if current {
			delete(a.byConn, w.conn)
			return w, true
		}
	}
	return waiting{}, false
}
