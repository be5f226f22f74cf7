package pebble

import (
	"sync"
	"time"

	kv "github.com/cockroachdb/pebble/v2"
)

// scheduler lets one instance run as many compactions as it asks for, but none for a
// while after one that met damage: Pebble itself would try the same again at once, and
// without end.
type scheduler struct {
	// fixed

	db   kv.DBForCompaction
	poke chan struct{} // capacity 1: there may be something to grant
	stop chan struct{}
	wg   sync.WaitGroup

	// guarded by mu, which is never held while db may take locks

	mu      sync.Mutex
	running int
	resting time.Time // until then nothing begins
	ended   bool
}

var (
	_ kv.CompactionScheduler   = (*scheduler)(nil)
	_ kv.CompactionGrantHandle = (*scheduler)(nil)
)

func newScheduler() *scheduler {
	return &scheduler{poke: make(chan struct{}, 1), stop: make(chan struct{})}
}

// rest lets no compaction begin for so long.
func (s *scheduler) rest(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting = time.Now().Add(d)
}

// Register implements kv.CompactionScheduler.
func (s *scheduler) Register(_ int, db kv.DBForCompaction) {
	s.db = db
	s.wg.Go(s.grantLoop)
}

// Unregister implements kv.CompactionScheduler.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	close(s.stop)
	s.wg.Wait()
}

// TrySchedule implements kv.CompactionScheduler.
func (s *scheduler) TrySchedule() (bool, kv.CompactionGrantHandle) {
	if !s.take() {
		return false, nil
	}
	return true, s
}

// UpdateGetAllowedWithoutPermission implements kv.CompactionScheduler.
func (s *scheduler) UpdateGetAllowedWithoutPermission() { s.nudge() }

// take takes a place for one compaction, if there is one.
func (s *scheduler) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// What the instance allows is an atomic's value: no lock is taken for it.
	if s.ended || s.running >= s.db.GetAllowedWithoutPermission() || time.Now().Before(s.resting) {
		return false
	}
	s.running++
	return true
}

// give gives a place back.
func (s *scheduler) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

func (s *scheduler) nudge() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// grantLoop starts what waits when there is room for it. What an instance allows changes
// without a word, so it is looked at again and again.
func (s *scheduler) grantLoop() {
	tick := time.NewTicker(grantEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.poke:
		case <-tick.C:
		}
		for s.grant() {
		}
	}
}

// grant starts one compaction that waits and reports whether it did.
func (s *scheduler) grant() bool {
	if !s.take() {
		return false
	}
	if waiting, _ := s.db.GetWaitingCompaction(); waiting && s.db.Schedule(s) {
		return true
	}
	s.give()
	return false
}

// Started implements kv.CompactionGrantHandle.
func (s *scheduler) Started() {}

// MeasureCPU implements kv.CompactionGrantHandle.
func (s *scheduler) MeasureCPU(kv.CompactionGoroutineKind) {}

// CumulativeStats implements kv.CompactionGrantHandle.
func (s *scheduler) CumulativeStats(kv.CompactionGrantHandleStats) {}

// Done implements kv.CompactionGrantHandle.
func (s *scheduler) Done() {
	s.give()
	s.nudge()
}
