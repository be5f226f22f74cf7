package park

import (
	"container/list"
	"sync"
)

// lookout bounds the probes of a lot: one to a key, maxProbes in all, the oldest giving
// way to the newest.
type lookout struct {
	// guarded by mu

	mu     sync.Mutex
	byKey  map[string]*probe
	oldest list.List // of *probe
	over   bool      // the lot shuts down
}

// enter gives p a place, at the cost of whoever is in its way.
func (l *lookout) enter(p *probe) {
	for _, gone := range l.seat(p) {
		gone.cut()
	}
}

// seat gives p a place and names those who have lost theirs; p itself when the lot shuts down.
func (l *lookout) seat(p *probe) (gone []*probe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return []*probe{p}
	}
	if old := l.byKey[p.key]; old != nil {
		l.remove(old)
		gone = append(gone, old)
	}
	if l.oldest.Len() >= maxProbes {
		old := l.oldest.Front().Value.(*probe) // the list holds nothing else
		l.remove(old)
		gone = append(gone, old)
	}
	if l.byKey == nil {
		l.byKey = make(map[string]*probe)
	}
	l.byKey[p.key] = p
	p.place = l.oldest.PushBack(p)
	return gone
}

// leave gives up p's place, if it still has one.
func (l *lookout) leave(p *probe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(p)
}

// remove takes p out; mu is held.
func (l *lookout) remove(p *probe) {
	if p.place == nil {
		return
	}
	l.oldest.Remove(p.place)
	delete(l.byKey, p.key)
	p.place = nil
}

// close ends every probe, and those that come later.
func (l *lookout) close() {
	for _, p := range l.clear() {
		p.cut()
	}
}

func (l *lookout) clear() []*probe {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	all := make([]*probe, 0, l.oldest.Len())
	for l.oldest.Len() > 0 {
		p := l.oldest.Front().Value.(*probe) // the list holds nothing else
		l.remove(p)
		all = append(all, p)
	}
	return all
}
