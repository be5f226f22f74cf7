package telemetry

import (
	"sort"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
)

// place is where a reader stands: the next sequence, and what an event must reach to be
// given, until one does.
type place struct {
	sequence uint64
	offset   uint64 // events before it are passed over
	time     int64  // events before it, in Unix milliseconds, are passed over
}

// passes reports whether the place gives an event of this offset and time.
func (l place) passes(offset uint64, millis int64) bool {
	return offset >= l.offset && millis >= l.time
}

// place finds where a reader begins.
func (p *partition) place(s device.Start) (place, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s.At {
	case device.StartEarliest:
		return place{sequence: p.kept()}, nil
	case device.StartSequence:
		return place{sequence: max(s.Sequence, p.kept())}, nil
	case device.StartEnd:
		return place{sequence: p.end.sequence}, nil
	case device.StartOffset:
		if s.Offset >= p.end.offset {
			return place{sequence: p.end.sequence, offset: s.Offset}, nil
		}
		// Behind the last mark that is not behind the offset.
		i := sort.Search(len(p.marks), func(i int) bool { return p.marks[i].Offset > s.Offset })
		return place{sequence: p.marked(i - 1), offset: s.Offset}, nil
	case device.StartTime:
		millis := ceilMilli(s.Time)
		if p.end.sequence > 0 && millis > p.end.time {
			return place{sequence: p.end.sequence, time: millis}, nil
		}
		// Blocks of the mark's own time may stand before it.
		i := sort.Search(len(p.marks), func(i int) bool { return p.marks[i].Time.UnixMilli() >= millis })
		return place{sequence: p.marked(i - 1), time: millis}, nil
	}
	return place{}, fault.New(fault.ArgumentInvalid, "telemetry.reader", "no place %d to begin reading at", s.At)
}

// marked is the sequence of the mark, or the earliest kept. The caller holds mu.
func (p *partition) marked(i int) uint64 {
	if i < 0 {
		return p.kept()
	}
	return p.marks[i].Sequence
}

// ceilMilli is the first whole millisecond at t or later.
func ceilMilli(t time.Time) int64 {
	millis := t.UnixMilli()
	if time.UnixMilli(millis).Before(t) {
		millis++
	}
	return millis
}
