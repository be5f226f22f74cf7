package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/event"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// telemetry answers GET /berth/v1/events/telemetry: events as they come, of one
// partition or of all. A damaged or trimmed stretch of the log shows as a gap.
func (s *Server) telemetry(c *call) error {
	ends := s.cfg.Events.Ends()
	q, err := parseEventQuery(c.query, len(ends))
	if err != nil {
		return err
	}
	resumed, err := parsePosition(c.r.Header.Get("Last-Event-ID"), len(ends))
	if err != nil {
		return err
	}
	f, err := newFeed(s.cfg.Events, q, resumed, ends)
	if err != nil {
		return err
	}
	defer f.close()
	st, err := c.open()
	if err != nil {
		return err
	}
	defer st.close()
	return f.run(c.r.Context(), st)
}

// feed merges the partitions of one stream in the order in which they come.
type feed struct {
	// fixed

	q    eventQuery
	ends []uint64 // where the log ended when the stream began
	from []source
	runs chan run

	// owned by run

	at      position
	resumed map[int]bool // a partition whose next event must follow the one last seen
	given   int
}

// source is one partition being read.
type source struct {
	partition int
	reader    device.EventReader
	next      chan struct{} // capacity 1: the run was taken, read on
	ended     bool          // without follow: it begins at its end
}

// run is what one call of a reader brought; the events are the reader's until it
// is told to read on.
type run struct {
	from   *source
	events []iot.Event
	err    error
	last   bool // the partition brings no more
}

// newFeed opens the readers that q asks for.
func newFeed(log events, q eventQuery, resumed position, ends []uint64) (*feed, error) {
	f := &feed{q: q, ends: ends, runs: make(chan run), at: make(position), resumed: make(map[int]bool)}
	for p, end := range ends {
		if q.partition >= 0 && p != q.partition {
			continue
		}
		start := resumed.start(p, q.start)
		if start.At == device.StartEnd {
			start = device.Start{At: device.StartSequence, Sequence: end} // so that an id says where this one stood
		}
		if start.At == device.StartSequence && (resumed != nil || q.start.At == device.StartEnd) {
			f.at[p] = int64(start.Sequence) - 1
			f.resumed[p] = true
		}
		reader, err := log.Reader(p, start)
		if err != nil {
			f.close()
			return nil, err
		}
		f.from = append(f.from, source{
			partition: p, reader: reader, next: make(chan struct{}, 1),
			ended: !q.follow && (end == 0 || start.At == device.StartSequence && start.Sequence >= end),
		})
	}
	return f, nil
}

func (f *feed) close() {
	for i := range f.from {
		f.from[i].reader.Close()
	}
}

// run writes the merged events until there are enough, the log's end as it was is
// reached (without follow), or ctx ends.
func (f *feed) run(ctx context.Context, st *stream) error {
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	for i := range f.from {
		readers.Go(func() { f.read(ctx, &f.from[i]) })
	}
	beat := time.NewTicker(heartbeatEvery)
	defer beat.Stop()
	for open := len(f.from); open > 0; {
		select {
		case r := <-f.runs:
			enough, err := f.give(st, &r) //nolint:contextcheck // the stream has its request's
			if err == nil {
				err = st.flush()
			}
			if err != nil || enough {
				return err
			}
			if r.last {
				open--
				continue
			}
			r.from.next <- struct{}{} // never blocks: one run, one token
		case <-beat.C:
			if err := st.beat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil // the peer left
		case <-st.stop:
			return nil
		}
	}
	return nil
}

// read hands on what one partition brings, until it brings no more.
func (f *feed) read(ctx context.Context, from *source) {
	failures := 0
	for {
		r := f.next(ctx, from)
		if ctx.Err() != nil {
			return
		}
		if r.err == nil {
			failures = 0
		} else if failures++; failures >= maxFailures {
			r.last = true
		}
		select {
		case f.runs <- r:
		case <-ctx.Done():
			return
		}
		if r.last {
			return
		}
		select {
		case <-from.next:
		case <-ctx.Done():
			return
		}
	}
}

// next reads once. Without follow, a partition that stays silent is at its end: what
// stood there when the stream began may have been removed since.
func (f *feed) next(ctx context.Context, from *source) run {
	if !f.q.follow {
		if from.ended {
			return run{from: from, last: true}
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, drainedAfter)
		defer cancel()
	}
	events, err := from.reader.Next(ctx)
	r := run{from: from, events: events, err: err}
	if err == nil {
		if end := f.ends[from.partition]; !f.q.follow && len(events) > 0 && events[len(events)-1].Sequence+1 >= end {
			r.last = true
		}
		return r
	}
	if errors.Is(err, context.DeadlineExceeded) && !f.q.follow {
		return run{from: from, last: true}
	}
	if _, known := errors.AsType[*fault.Error](err); !known { // the log is closed
		return run{from: from, last: true}
	}
	return r
}

// give writes one run, and says whether the stream has all it was asked for.
func (f *feed) give(st *stream, r *run) (enough bool, err error) {
	p := r.from.partition
	if r.err != nil {
		delete(f.resumed, p) // the gap has been told
		return false, f.tell(st, gap{Partition: p, Code: int(fault.Of(r.err)), Message: fault.Detail(r.err)})
	}
	for i := range r.events {
		e := &r.events[i]
		if !f.q.follow && e.Sequence >= f.ends[p] {
			break
		}
		if want := uint64(f.at[p] + 1); f.resumed[p] && e.Sequence > want {
			last := e.Sequence - 1
			if err := f.tell(st, gap{
				Partition: p, From: &want, To: &last, Code: int(fault.GenericNotFound),
				Message: fmt.Sprintf("events %d to %d of partition %d were removed before they were read", want, last, p),
			}); err != nil {
				return false, err
			}
		}
		f.at[p], f.resumed[p] = int64(e.Sequence), true
		if !f.q.wants(e.Stamp.Identity) {
			continue
		}
		if err := f.show(st, e); err != nil {
			return false, err
		}
		if f.given++; f.given == f.q.max {
			return true, nil
		}
	}
	return false, nil
}

// wants reports whether an identity passes the filter: a device's name stands for
// its modules too.
func (q eventQuery) wants(id iot.Identity) bool {
	return (q.id.Device == "" || q.id.Device == id.Device) && (q.id.Module == "" || q.id.Module == id.Module)
}

// show writes one event. Properties that cannot be parsed leave it incomplete, which
// its reader sees; the rest of it stands.
func (f *feed) show(st *stream, e *iot.Event) error {
	m, err := event.Parse(*e)
	if err != nil {
		st.c.s.log.LogAttrs(st.c.r.Context(), slog.LevelDebug, "an event's properties cannot be read", st.c.attrs(err)...)
	}
	line, err := iot.NewEventJSON(*e, m).Line()
	if err != nil {
		return fmt.Errorf("render event %d of partition %d: %w", e.Sequence, e.Partition, err)
	}
	id := ""
	if st.sse {
		id = f.at.String()
	}
	return st.event("", id, line)
}

// gap is a stretch of a partition that cannot be read. From and To are absent when
// the message alone names it.
type gap struct {
	Partition int     `json:"partition"`
	From      *uint64 `json:"fromSequence,omitempty"`
	To        *uint64 `json:"toSequence,omitempty"`
	Code      int     `json:"code"`
	Message   string  `json:"message"`
}

func (f *feed) tell(st *stream, g gap) error {
	return st.event("gap", "", plainJSON(struct {
		Gap gap `json:"gap"`
	}{g}))
}
