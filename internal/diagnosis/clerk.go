package diagnosis

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// clerk keeps the stories. Its goroutine owns all of it.
type clerk struct {
	// fixed

	d         *Diagnosis
	records   store.Records
	now       func() time.Time
	log       *slog.Logger
	onVerdict func(iot.Verdict)
	run       uint64
	restart   Trouble // the hub's start, if it had run before
	maxCases  int

	// owned by work

	entries map[iot.Identity]*list.Element // of touched
	touched *list.List                     // *entry, the most recently touched last
	hot     *list.List                     // *entry with a story in memory, likewise
	hotAt   map[iot.Identity]*list.Element // of hot
	kept    int                            // displacements in memory
	restive map[iot.Identity]struct{}      // to be judged, or to be shown to followers
	untold  map[iot.Identity]struct{}      // undecided, and not yet for long
	dirty   map[iot.Identity]struct{}      // to be written
	modules map[string]int                 // how many entries are of a device's modules
	await   awaited
	ends    *troubles
	refused *troubles
	behind  behind
}

func newClerk(d *Diagnosis, cfg Config, run uint64, again bool) *clerk {
	var restart Trouble
	if again { // before its first start nobody was connected
		restart = Trouble{TroubleStart, cfg.Started}
	}
	return &clerk{
		d: d, records: cfg.Records, now: cfg.Now, log: cfg.Logger, onVerdict: cfg.OnVerdict, run: run, restart: restart,
		maxCases: cfg.MaxCases, entries: map[iot.Identity]*list.Element{}, touched: list.New(), hot: list.New(),
		hotAt: map[iot.Identity]*list.Element{}, restive: map[iot.Identity]struct{}{}, untold: map[iot.Identity]struct{}{},
		dirty: map[iot.Identity]struct{}{}, modules: map[string]int{},
		await: newAwaited(), ends: newTroubles(), refused: newTroubles(), behind: newBehind(),
	}
}

// work carries out what the clerk is told and asked until the Diagnosis is closed.
func (c *clerk) work() error {
	var writer sync.WaitGroup
	defer writer.Wait()
	c.load()
	judge, write := time.NewTicker(judgeEvery), time.NewTicker(writeEvery)
	defer judge.Stop()
	defer write.Stop()
	for {
		select {
		case <-c.d.queue.wake:
			c.drain()
		case ask := <-c.d.asks:
			c.drain()
			ask(c)
		case <-judge.C:
			c.expire(time.Now())
			c.judge()
		case <-write.C:
			c.gather()
			c.behind.start(&writer, c.records)
		case err := <-c.behind.done:
			c.wrote(err)
		case <-c.d.quit:
			return c.finish(&writer)
		}
	}
}

// finish writes what waits, and ends the followers.
func (c *clerk) finish(writer *sync.WaitGroup) error {
	c.drain()
	c.judge()
	for id := range c.untold { // there is no later
		if el := c.entries[id]; el != nil && el.Value.(*entry).hot != nil {
			c.tell(el.Value.(*entry), time.Now().Add(tellWithin))
		}
	}
	c.gather()
	writer.Wait()
	select {
	case err := <-c.behind.done:
		c.wrote(err)
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	err := c.behind.flush(ctx, c.records)
	c.d.connections.close()
	c.d.stories.close()
	return err
}

// load reads the summaries of all stories. What cannot be read is left out and said.
func (c *clerk) load() {
	type found struct {
		id iot.Identity
		s  iot.ConflictSummary
	}
	var all []found
	err := c.records.Scan(context.Background(), headKeys, "", func(r store.Record) bool {
		var h struct {
			Summary iot.ConflictSummary `json:"summary"`
		}
		if err := decode(r.Value, &h); err != nil {
			c.log.Warn("a conflict record cannot be read", slog.String("op", r.Key), slog.Any("err", err))
			return true
		}
		all = append(all, found{identityOf(r.Key), h.Summary})
		return true
	})
	if err != nil {
		c.log.Error("the conflict records cannot be read; earlier conflicts are not explained", slog.Any("err", err))
	}
	slices.SortFunc(all, func(a, b found) int { return a.s.Last.Compare(b.s.Last.Time) })
	for _, f := range all {
		c.keep(&entry{identity: f.id, summary: f.s})
	}
	c.shed()
}

// drain carries out what waits in the queue.
func (c *clerk) drain() {
	events, lost := c.d.queue.take()
	for i := range events {
		c.take(&events[i])
	}
	c.d.queue.recycle(events)
	if lost > 0 {
		c.log.Warn("diagnosis was told more than it could take", slog.Uint64("lost", lost))
		c.d.connections.miss(lost)
	}
	c.shed()
}

// take carries out one event.
func (c *clerk) take(ev *event) {
	switch ev.kind {
	case eventConnected:
		c.show(ev)
	case eventEnded:
		if ev.by != nil && ev.kernel != nil {
			ev.by.TCP = ev.kernel()
		}
		c.show(ev)
		if ev.by != nil {
			c.displaced(ev)
		} else if t := troubleOf(ev.code, ev.reason, ev.at); t.Kind != 0 {
			c.ends.note(ev.identity, t)
		}
	case eventAfterlife:
		loser := session{ev.identity, ev.peer.Epoch}
		if w, ok := c.await.take(loser); ok {
			c.settle(w, Afterlife{Afterlife: ev.afterlife})
		} else {
			c.await.early(loser, ev.afterlife, time.Now())
		}
	case eventRefused:
		c.refused.note(ev.identity, Trouble{TroubleRefused, ev.at})
	case eventForget:
		c.forget(ev.identity)
	}
}

// displaced adds a displacement to its story.
func (c *clerk) displaced(ev *event) {
	e := c.entry(ev.identity)
	s, err := c.story(context.Background(), e)
	if err != nil {
		c.log.Warn("a conflict record cannot be read; its story begins anew", slog.String("device", ev.identity.Device),
			slog.String("module", ev.identity.Module), slog.Any("err", err))
		s = &story{number: 1}
		c.warm(e, s)
	}
	if !s.history.Continues(ev.at) {
		c.archive(e, s)
	}
	before := newest(ev.at, ev.peer.KeepAlive, c.ends.latest[ev.identity], c.refused.latest[ev.identity], c.restart)
	had := len(s.history.Kept)
	number := s.history.Add(Displacement{
		At: ev.at, Code: ev.code, Reason: ev.reason, Loser: ev.peer, Winner: *ev.by, Lost: ev.lost, Before: before,
	})
	c.kept += len(s.history.Kept) - had
	c.note(e, number)
	w := waiting{session: session{ev.identity, ev.peer.Epoch}, story: s.number, number: number, since: time.Now()}
	if a, ok := c.await.arrived(w.session); ok {
		c.settle(w, Afterlife{Afterlife: a})
	} else if oldest, full := c.await.add(w); full {
		c.settle(oldest, unobserved())
	}
}

// note says that a displacement of e's story changed.
func (c *clerk) note(e *entry, number uint64) {
	e.hot.change(number)
	c.restive[e.identity], c.dirty[e.identity] = struct{}{}, struct{}{}
}

// settle notes what a loser did.
func (c *clerk) settle(w waiting, a Afterlife) {
	el := c.entries[w.identity]
	if el == nil {
		return // forgotten meanwhile
	}
	e := el.Value.(*entry)
	s, err := c.story(context.Background(), e)
	if err != nil || s.number != w.story {
		return
	}
	if d := s.history.find(w.number); d == nil || d.Loser.Epoch != w.epoch {
		return // no longer kept, or the identity was forgotten and began anew
	}
	s.history.Settle(w.number, a)
	c.note(e, w.number)
}

// expire takes those of whom no word came for unobserved.
func (c *clerk) expire(now time.Time) {
	for {
		w, ok := c.await.expired(now)
		if !ok {
			return
		}
		c.settle(w, unobserved())
	}
}

// judge judges the stories that changed, shows them to followers, and tells of those
// that have come to a verdict.
func (c *clerk) judge() {
	now := time.Now()
	for id := range c.restive {
		el := c.entries[id]
		if el == nil || el.Value.(*entry).hot == nil {
			delete(c.restive, id)
			continue
		}
		e := el.Value.(*entry)
		before := e.summary.Verdict
		if !e.hot.fresh {
			e.judge(now)
			c.dirty[id], e.hot.dirty = struct{}{}, true
		}
		if before != e.summary.Verdict || now.Sub(e.hot.shown) >= tellEvery {
			e.hot.shown = now
			c.d.stories.publish(e.summary)
			delete(c.restive, id)
		}
		c.tell(e, now)
	}
	for id := range c.untold {
		if el := c.entries[id]; el == nil || el.Value.(*entry).hot == nil {
			delete(c.untold, id)
		} else {
			c.tell(el.Value.(*entry), now)
		}
	}
}

// judge judges the entry's story as it is now.
func (e *entry) judge(now time.Time) {
	s, before := e.hot, e.summary.Verdict
	s.judged, s.fresh = Classify(&s.history), true
	e.summary = summaryOf(e.identity, &s.history, &s.judged)
	if e.summary.Verdict != before {
		s.turned = now
	}
}

// tell counts the story under its verdict, once under each that it comes to, and says
// once that there is a new story: when its first loser's reaction is known, and, as most
// stories are undecided at first, not before some time if it still is.
func (c *clerk) tell(e *entry, now time.Time) {
	s, v := e.hot, e.summary.Verdict
	d := s.history.focus()
	if !s.fresh || d == nil || d.Afterlife == nil || slices.Contains(s.counted, v) {
		return
	}
	if v == iot.VerdictUndecided && now.Sub(s.turned) < tellWithin {
		c.untold[e.identity] = struct{}{}
		return
	}
	delete(c.untold, e.identity)
	if len(s.counted) == 0 {
		c.log.Info("connections of one identity displace each other", slog.String("device", e.identity.Device),
			slog.String("module", e.identity.Module), slog.String("verdict", string(v)), slog.Float64("confidence", e.summary.Confidence))
	}
	s.counted, s.dirty = append(s.counted, v), true
	c.dirty[e.identity] = struct{}{}
	if c.onVerdict != nil {
		c.onVerdict(v)
	}
}

// show gives a connect or disconnect to those who follow.
func (c *clerk) show(ev *event) {
	if c.d.connections.idle() {
		return
	}
	peer := peerOf(&ev.peer, "")
	v := iot.ConnectionEvent{
		Time: iot.MomentOf(ev.at), DeviceID: ev.identity.Device, Event: iot.DeviceConnected, Epoch: ev.peer.Epoch,
		SequenceNumber: c.d.sequence.number(ev.sequence), Peer: &peer,
	}
	if ev.identity.IsModule() {
		v.ModuleID = &ev.identity.Module
	}
	if ev.kind == eventEnded {
		v.Event, v.Reason, v.Code = iot.DeviceDisconnected, ev.reason, int(ev.code)
		if ev.code != 0 {
			v.CodeName = ev.code.Name()
		}
	}
	if ev.by != nil {
		by := peerOf(ev.by, "")
		v.By = &by
	}
	c.d.connections.publish(v)
}

// explain answers Explain.
func (c *clerk) explain(ctx context.Context, id iot.Identity, at time.Time) (iot.Explanation, error) {
	now := c.now()
	el := c.entries[id]
	if el == nil {
		return iot.NoConflict(id, now), nil
	}
	s, err := c.story(ctx, el.Value.(*entry))
	if err != nil {
		return iot.Explanation{}, unreadable(err)
	}
	if at.IsZero() || !s.history.Since.After(at) {
		h := s.history
		if !at.IsZero() {
			h = s.history.At(at)
		}
		j := Classify(&h)
		return explain(id, &h, &j, now), nil
	}
	return c.past(ctx, id, at, now)
}

// forget drops an identity, and the modules of a device.
func (c *clerk) forget(id iot.Identity) {
	if c.entries[id] != nil {
		c.drop(id)
	}
	if id.IsModule() || c.modules[id.Device] == 0 {
		return
	}
	for known := range c.entries {
		if known.Device == id.Device {
			c.drop(known)
		}
	}
}

// wrote notes how a write ended; what it did not write is written again.
func (c *clerk) wrote(err error) {
	c.behind.finish(err)
	if err != nil && !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrClosed) {
		c.log.Error("conflict records cannot be written", slog.Any("err", err))
	}
}
