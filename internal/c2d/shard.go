package c2d

import (
	"sync"

	"github.com/berth-iot/berth/internal/iot"
)

// shard is a part of the map of places.
type shard struct {
	// fixed

	workers *sync.WaitGroup // of all shards

	// guarded by mu

	mu     sync.Mutex
	places map[iot.Identity]*place
	closed bool // nobody is hired any more
}

// join gives the place of an identity and keeps it alive until leave.
func (sh *shard) join(q *Queues, id iot.Identity) *place {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := sh.places[id]
	if p == nil {
		p = &place{q: q, shard: sh, id: id, lapse: lapse{index: -1}}
		sh.places[id] = p
	}
	p.refs++
	return p
}

// find gives the place of an identity if there is one, and keeps it alive until leave.
func (sh *shard) find(id iot.Identity) *place {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := sh.places[id]
	if p != nil {
		p.refs++
	}
	return p
}

// leave lets go of a place.
func (sh *shard) leave(p *place) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.leaveLocked(p)
}

func (sh *shard) leaveLocked(p *place) {
	if p.refs--; p.refs == 0 {
		delete(sh.places, p.id)
	}
}

// hire keeps a place alive for a worker, and counts the worker, unless the place has gone
// already or the hub is stopping.
func (sh *shard) hire(p *place) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed || p.refs == 0 {
		return false
	}
	p.refs++
	sh.workers.Add(1)
	return true
}

// fire ends what hire began.
func (sh *shard) fire(p *place) {
	sh.leave(p)
	sh.workers.Done()
}

// close refuses further workers.
func (sh *shard) close() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.closed = true
}
