package presence

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	"github.com/berth-iot/berth/internal/iot"
)

// shard is one part of the map of live identities.
type shard struct {
	mu sync.Mutex

	// guarded by mu

	closed  bool
	places  map[iot.Identity]*place
	modules map[string]map[string]*place // of each device, its modules' places
	expiry  expiry
	pending map[iot.Identity]*state // to be written behind
	dropped int                     // states that found no room in pending
}

func newShard() *shard {
	return &shard{
		places:  make(map[iot.Identity]*place),
		modules: make(map[string]map[string]*place),
		pending: make(map[iot.Identity]*state),
	}
}

// shard gives the part that an identity is in.
func (p *Presence) shard(dev string) *shard {
	return p.shards[maphash.String(p.seed, dev)%shards]
}

// join gives the place of an identity, made if there is none, and keeps it until
// leave.
func (sh *shard) join(id iot.Identity) *place {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.joinLocked(id)
}

func (sh *shard) joinLocked(id iot.Identity) *place {
	pl := sh.places[id]
	if pl == nil {
		pl = newPlace(id)
		sh.places[id] = pl
		if id.IsModule() {
			if sh.modules[id.Device] == nil {
				sh.modules[id.Device] = make(map[string]*place)
			}
			sh.modules[id.Device][id.Module] = pl
		}
	}
	pl.refs++
	return pl
}

// leave ends what join began; a place that nobody needs is forgotten.
func (sh *shard) leave(pl *place) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	pl.refs--
	if pl.refs > 0 {
		return
	}
	delete(sh.places, pl.id)
	if pl.id.IsModule() {
		delete(sh.modules[pl.id.Device], pl.id.Module)
		if len(sh.modules[pl.id.Device]) == 0 {
			delete(sh.modules, pl.id.Device)
		}
	}
}

// all gives the places of the shard.
func (sh *shard) all() []*place {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return slices.Collect(maps.Values(sh.places))
}

// seats gives the live sessions of the shard.
func (sh *shard) seats() []*Seat {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	out := make([]*Seat, 0, len(sh.places))
	for _, pl := range sh.places {
		if s := pl.seat.Load(); s != nil {
			out = append(out, s)
		}
	}
	return out
}

// find gives the live session of an identity, nil if none.
func (sh *shard) find(id iot.Identity) *Seat {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if pl := sh.places[id]; pl != nil {
		return pl.seat.Load()
	}
	return nil
}

// family gives the live sessions of a device and its modules.
func (sh *shard) family(dev string) []*Seat {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var out []*Seat
	if pl := sh.places[iot.Identity{Device: dev}]; pl != nil {
		if s := pl.seat.Load(); s != nil {
			out = append(out, s)
		}
	}
	for _, pl := range sh.modules[dev] {
		if s := pl.seat.Load(); s != nil {
			out = append(out, s)
		}
	}
	return out
}
