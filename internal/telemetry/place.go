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

// skips reports whether the place gives no event of a block.
func (l place) skips(b *block) bool {
	return b.offset+uint64(len(b.body)) <= l.offset || b.time < l.time
}

// place finds where a reader begins, as far as the marks say: the first event that it is to
// be given is not behind stop.
func (p *partition) place(s device.Start) (at place, stop uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s.At {
	case device.StartEarliest:
		return place{sequence: p.kept()}, 0, nil
	case device.StartSequence:
		return place{sequence: max(s.Sequence, p.kept())}, 0, nil
	case device.StartEnd:
		return place{sequence: p.end.sequence}, 0, nil
	case device.StartOffset:
		if s.Offset >= p.end.offset {
			return place{sequence: p.end.sequence, offset: s.Offset}, 0, nil
		}
		// Behind the last mark that is not behind the offset.
		i := sort.Search(len(p.marks), func(i int) bool { return p.marks[i].Offset > s.Offset })
		from, stop := p.span(i)
		return place{sequence: from, offset: s.Offset}, stop, nil
	case device.StartTime:
		millis := ceilMilli(s.Time)
		if p.end.sequence > 0 && millis > p.end.time {
			return place{sequence: p.end.sequence, time: millis}, 0, nil
		}
		// Blocks of the mark's own time may stand before it.
		i := sort.Search(len(p.marks), func(i int) bool { return p.marks[i].Time.UnixMilli() >= millis })
		from, stop := p.span(i)
		return place{sequence: from, time: millis}, stop, nil
	}
	return place{}, 0, fault.New(fault.ArgumentInvalid, "telemetry.reader", "no place %d to begin reading at", s.At)
}

// span gives what lies between the mark before i, or the earliest kept, and mark i, or the
// end. stop is 0 if that is read sooner than looked through. The caller holds mu.
func (p *partition) span(i int) (from, stop uint64) {
	if i == 0 {
		return p.kept(), 0
	}
	from, low := p.marks[i-1].Sequence, p.marks[i-1].Offset
	stop, high := p.end.sequence, p.end.offset
	if i < len(p.marks) {
		stop, high = p.marks[i].Sequence, p.marks[i].Offset
	}
	if high-low <= 2*readBytes {
		stop = 0
	}
	return from, stop
}

// ceilMilli is the first whole millisecond at t or later.
func ceilMilli(t time.Time) int64 {
	millis := t.UnixMilli()
	if time.UnixMilli(millis).Before(t) {
		millis++
	}
	return millis
}
