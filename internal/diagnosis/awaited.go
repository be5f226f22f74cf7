package diagnosis

import (
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// awaited is the displaced sessions of which word is awaited, and the words that came
// before their displacement was told: a reset may be that fast.
type awaited struct {
	bySession map[session]waiting
	order     []waiting // oldest first; those no longer in bySession are passed over
	words     map[session]word
	spoken    []word // oldest first
}

// session names a displaced session: a connection may have held several.
type session struct {
	identity iot.Identity
	epoch    string
}

// waiting is one displaced session, and where it stands in its identity's stories.
type waiting struct {
	session

	story  uint64
	number uint64
	since  time.Time
}

// word is an afterlife that came early.
type word struct {
	session

	life  device.Afterlife
	since time.Time
}

func newAwaited() awaited {
	return awaited{bySession: map[session]waiting{}, words: map[session]word{}}
}

// add awaits word of a session. If that is one too many, the oldest is given up.
func (a *awaited) add(w waiting) (oldest waiting, full bool) {
	a.bySession[w.session] = w
	a.order = append(a.order, w)
	if len(a.order) <= maxPending {
		return waiting{}, false
	}
	oldest, a.order = a.order[0], a.order[1:]
	if a.bySession[oldest.session] != oldest {
		return waiting{}, false // word of it came
	}
	delete(a.bySession, oldest.session)
	return oldest, true
}

// take gives the session of which word came.
func (a *awaited) take(s session) (waiting, bool) {
	w, ok := a.bySession[s]
	delete(a.bySession, s)
	return w, ok
}

// early keeps a word of which nothing is known yet.
func (a *awaited) early(s session, life device.Afterlife, now time.Time) {
	w := word{s, life, now}
	a.words[s] = w
	a.spoken = append(a.spoken, w)
	for len(a.spoken) > maxEarly || len(a.spoken) > 0 && now.Sub(a.spoken[0].since) > afterlifeWithin {
		if a.words[a.spoken[0].session] == a.spoken[0] {
			delete(a.words, a.spoken[0].session)
		}
		a.spoken = a.spoken[1:]
	}
}

// arrived gives the word of a session that came early.
func (a *awaited) arrived(s session) (device.Afterlife, bool) {
	w, ok := a.words[s]
	delete(a.words, s)
	return w.life, ok
}

// expired gives one session of which no word came in time.
func (a *awaited) expired(now time.Time) (waiting, bool) {
	for len(a.order) > 0 {
		w := a.order[0]
		current := a.bySession[w.session] == w
		if current && now.Sub(w.since) < afterlifeWithin {
			return waiting{}, false
		}
		a.order = a.order[1:]
		if current {
			delete(a.bySession, w.session)
			return w, true
		}
	}
	return waiting{}, false
}
