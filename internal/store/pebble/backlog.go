package pebble

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	kv "github.com/cockroachdb/pebble/v2"

	"github.com/berth-iot/berth/internal/store"
)

// backlog watches the flushes of one instance that wait to be compacted: where a table is
// damaged they never are. Before Pebble would let writes wait without end, they are
// refused.
type backlog struct {
	// fixed

	db  *kv.DB
	dir string
	log *slog.Logger

	// shared

	full atomic.Bool
}

// admit refuses a write while too many flushes wait.
func (b *backlog) admit() error {
	if b.full.Load() {
		return fmt.Errorf("%w: %d flushes wait to be compacted in %s", store.ErrFull, fullSublevels, b.dir)
	}
	return nil
}

// watch counts until stop is closed.
func (b *backlog) watch(stop <-chan struct{}) {
	tick := time.NewTicker(sublevelsEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			b.check(int(b.db.Metrics().Levels[0].Sublevels))
		}
	}
}

// check looks at a count; half of it must be worked off before writes are taken again.
func (b *backlog) check(sublevels int) {
	switch full := b.full.Load(); {
	case !full && sublevels >= fullSublevels:
		b.full.Store(true)
		b.log.Error("too many flushes wait to be compacted: writes are refused; if data is damaged it must be restored",
			slog.String("dir", b.dir), slog.Int("waiting", sublevels))
	case full && sublevels < fullSublevels/2:
		b.full.Store(false)
		b.log.Info("the flushes that waited are compacted: writes are accepted", slog.String("dir", b.dir))
	}
}
