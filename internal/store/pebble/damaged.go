package pebble

import (
	"sync"
)

// damaged remembers the blocks of the log whose checksum was found bad. Pebble answers
// a bad checksum by looking for the bit that flipped, for seconds of a core where a
// block is large: once is enough.
type damaged struct {
	// guarded by mu

	mu     sync.Mutex
	blocks map[place]error // at most maxTold
}

// place is one block of the log.
type place struct {
	partition uint32
	first     uint64
}

// known gives the error of a block found damaged before.
func (d *damaged) known(p place) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.blocks[p]
}

// remember keeps the error of a damaged block.
func (d *damaged) remember(p place, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blocks == nil {
		d.blocks = map[place]error{}
	}
	if len(d.blocks) < maxTold {
		d.blocks[p] = err
	}
}

// forget drops what a trim took away.
func (d *damaged) forget(partition uint32, before uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.blocks {
		if p.partition == partition && p.first < before {
			delete(d.blocks, p)
		}
	}
}
