package telemetry

import (
	"log/slog"
	"time"

	"github.com/berth-iot/berth/internal/store"
)

// retainLoop trims every partition now and then.
func (l *Log) retainLoop() {
	tick := time.NewTicker(l.conf.RetainEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.retain()
		}
	}
}

// retain trims every partition once.
func (l *Log) retain() {
	oldest := l.conf.Now().Add(-l.conf.RetentionAge)
	for _, p := range l.partitions {
		before := p.expired(oldest, l.conf.RetentionBytes)
		if before == 0 {
			continue
		}
		// First the marks: readers move behind them, so that a gap is always damage.
		p.forget(before)
		if err := l.store.Trim(p.id, before); err != nil {
			l.logger.Warn("old telemetry cannot be trimmed; it goes with the next that grows old", slog.Int("partition", int(p.id)), slog.Any("err", err))
		}
	}
}

// expired gives the sequence before which everything is too old or too much, 0 for
// nothing. It is a mark's, and so never behind the first message of the last block:
// trimming that, sequences would begin again after a restart.
func (p *partition) expired(oldest time.Time, keep int64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return expiredBefore(p.marks, p.end.offset, oldest, uint64(keep))
}

// expiredBefore is the first mark such that everything before the next one may go.
func expiredBefore(marks []store.Mark, end uint64, oldest time.Time, keep uint64) uint64 {
	kept := uint64(0)
	for i := range marks {
		kept += span(marks, i, end)
	}
	i := 0
	for i+1 < len(marks) {
		// Whatever stands before the next mark was enqueued no later than it.
		old := !marks[i+1].Time.After(oldest)
		if !old && kept <= keep {
			break
		}
		kept -= span(marks, i, end)
		i++
	}
	if i == 0 {
		return 0
	}
	return marks[i].Sequence
}

// span is how many bytes of messages stand from one mark to the next, or to the end. Where
// a gap behind damage lies between them, what stands before the gap is not counted.
func span(marks []store.Mark, i int, end uint64) uint64 {
	if i+1 < len(marks) {
		end = marks[i+1].Offset
	}
	if bytes := end - marks[i].Offset; bytes < maxMarked {
		return bytes
	}
	return 0
}
