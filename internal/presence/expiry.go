package presence

import (
	"container/heap"
	"time"

	"github.com/berth-iot/berth/internal/arbiter"
	"github.com/berth-iot/berth/internal/fault"
)

// deadline is when a seat's token must be looked at. The token's se is wall clock
// time; the grace after it is a duration. Both are turned into monotonic time as soon
// as they are known, so a wall clock that steps back extends neither; a wall clock
// that steps ahead brings se nearer.
type deadline struct {
	seat  *Seat
	ends  time.Time     // the token's se
	at    time.Duration // since the start, monotonic
	grace bool          // se has passed; at is the end of the grace
	index int           // in the shard's expiry, from 1; 0 if it is not there
}

// start puts the deadline of a token into the shard's expiry. The shard is locked.
func (d *deadline) start(p *Presence, sh *shard) {
	d.ends = d.seat.party.Proof.Expires
	if d.ends.IsZero() {
		return
	}
	d.at = p.clock() + d.ends.Sub(d.seat.since.Round(0))
	heap.Push(&sh.expiry, d)
}

// Renew puts another token's end in the place of the one that the session began with.
// On a seat that was fenced or released it does nothing.
func (s *Seat) Renew(expires time.Time) {
	p, sh := s.presence, s.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	d := &s.deadline
	if d.index == 0 { // it has none, or is over
		return
	}
	d.ends, d.grace = expires, false
	d.at = p.clock() + expires.Sub(p.now().Round(0))
	heap.Fix(&sh.expiry, d.index-1)
}

// stop takes the deadline out again. The shard is locked.
func (d *deadline) stop(sh *shard) {
	if d.index > 0 {
		heap.Remove(&sh.expiry, d.index-1)
	}
}

// expired moves the deadlines that have passed to the end of their grace, and gives
// the seats whose grace has passed as well, taken out of the expiry.
func (sh *shard) expired(now, grace time.Duration) []*Seat {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var out []*Seat
	for len(sh.expiry) > 0 && sh.expiry[0].at <= now {
		d := sh.expiry[0]
		if !d.grace {
			d.grace, d.at = true, d.at+grace
			heap.Fix(&sh.expiry, 0)
			continue
		}
		heap.Pop(&sh.expiry)
		out = append(out, d.seat)
	}
	return out
}

// hasten brings the tokens nearer whose se a wall clock that stepped ahead has
// reached or approached.
func (sh *shard) hasten(wall time.Time, now time.Duration) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, d := range sh.expiry {
		if !d.grace {
			d.at = min(d.at, max(now, now+d.ends.Sub(wall)))
		}
	}
	heap.Init(&sh.expiry)
}

// sweep ends the sessions whose token has expired, and writes states behind, until
// Close.
func (p *Presence) sweep() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	wall, mono := p.now().Round(0), p.clock()
	for n := 1; ; n++ {
		select {
		case <-p.quit:
			return
		case <-t.C:
		}
		w, m := p.now().Round(0), p.clock()
		ahead := w.Sub(wall) > m-mono+wallSlack
		wall, mono = w, m
		for _, sh := range p.shards {
			if ahead {
				sh.hasten(w, m)
			}
			for _, s := range sh.expired(m, p.grace) {
				s.revoke(arbiter.Expired, fault.IotHubUnauthorized, expired)
			}
		}
		if n%flushEvery == 0 {
			p.refresh(n / flushEvery)
			p.flushBehind()
		}
	}
}

// expired is what the log says of a session that outlived its token.
const expired = "the shared access token expired"

// expiry is a heap of deadlines, the nearest first.
type expiry []*deadline

// Len is for package heap.
func (x expiry) Len() int { return len(x) }

// Less is for package heap.
func (x expiry) Less(i, j int) bool { return x[i].at < x[j].at }

// Swap is for package heap.
func (x expiry) Swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].index, x[j].index = i+1, j+1
}

// Push is for package heap.
func (x *expiry) Push(v any) {
	d, _ := v.(*deadline)
	d.index = len(*x) + 1
	*x = append(*x, d)
}

// Pop is for package heap.
func (x *expiry) Pop() any {
	old := *x
	d := old[len(old)-1]
	old[len(old)-1] = nil
	d.index = 0
	*x = old[:len(old)-1]
	return d
}
