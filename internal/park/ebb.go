package park

import (
	"runtime/debug"
	"sync"
	"time"
)

// ebb gives memory back to the system when a flood of connections coming or going has
// been over for a while: what the flood needed is garbage then, and the collector alone
// would keep it for the next. It does nothing on a fixed beat, because it costs a
// collection.
type ebb struct {
	// fixed

	free func()

	// guarded by mu

	mu      sync.Mutex
	timer   *time.Timer // runs while a flood is being waited out
	flood   int         // comings and goings since memory was last given back
	lately  int         // the same, since the timer last fired
	stopped bool
}

// moved notes a connection that came or went.
func (e *ebb) moved() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flood++
	e.lately++
	if e.flood == floodFrom && !e.stopped {
		e.timer = time.AfterFunc(calmFor, e.look)
	}
}

// look gives the memory back if it has become calm.
func (e *ebb) look() {
	if !e.calm() {
		return
	}
	free := e.free
	if free == nil {
		free = debug.FreeOSMemory
	}
	free()
}

func (e *ebb) calm() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	calm := e.lately <= calmMoves
	e.lately = 0
	switch {
	case e.stopped:
		return false
	case !calm:
		e.timer.Reset(calmFor)
		return false
	}
	e.flood = 0
	return true
}

// stop ends waiting.
func (e *ebb) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.timer != nil {
		e.timer.Stop()
	}
}
