package diagnosis

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// entry gives the entry of an identity, a new one if there is none, as touched now.
func (c *clerk) entry(id iot.Identity) *entry {
	if el := c.entries[id]; el != nil {
		c.touched.MoveToBack(el)
		return el.Value.(*entry)
	}
	e := &entry{identity: id}
	c.keep(e)
	c.warm(e, &story{number: 1})
	return e
}

// keep adds an entry.
func (c *clerk) keep(e *entry) {
	c.entries[e.identity] = c.touched.PushBack(e)
	if e.identity.IsModule() {
		c.modules[e.identity.Device]++
	}
}

// story gives an entry's story, from the store if need be. After an error the entry is
// as it was.
func (c *clerk) story(ctx context.Context, e *entry) (*story, error) {
	if e.hot != nil {
		c.hot.MoveToBack(c.hotAt[e.identity])
		return e.hot, nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	s, err := readStory(ctx, c.records, e.identity)
	if err != nil {
		return nil, err
	}
	for i := range s.history.Kept {
		// Of a displacement before the last stop of the hub, no word will come any more.
		if d := &s.history.Kept[i]; d.Afterlife == nil && d.Loser.Run != c.run {
			s.history.Settle(d.Number, unobserved())
		}
	}
	c.warm(e, s)
	return s, nil
}

func unreadable(err error) error {
	return fault.Wrap(err, fault.ServerError, "diagnosis.explain", "the conflict records of this identity cannot be read")
}

// warm puts an entry's story in memory.
func (c *clerk) warm(e *entry, s *story) {
	e.hot = s
	c.hotAt[e.identity] = c.hot.PushBack(e)
	c.kept += len(s.history.Kept)
}

// cool drops an entry's story from memory.
func (c *clerk) cool(e *entry) {
	if e.hot == nil {
		return
	}
	c.kept -= len(e.hot.history.Kept)
	c.hot.Remove(c.hotAt[e.identity])
	delete(c.hotAt, e.identity)
	e.hot = nil
}

// shed keeps the bounds: of the identities, those longest untouched are dropped, of the
// stories in memory those that are written are put away.
func (c *clerk) shed() {
	for len(c.entries) > c.maxCases {
		c.drop(c.touched.Front().Value.(*entry).identity)
	}
	if c.behind.busy() {
		return // what is being written cannot be read yet
	}
	for el := c.hot.Front(); el != nil && (c.hot.Len() > maxHot || c.kept > maxHotConflicts); {
		e, next := el.Value.(*entry), el.Next()
		_, restive := c.restive[e.identity]
		if _, untold := c.untold[e.identity]; !restive && !untold && !e.hot.dirty {
			c.cool(e)
		}
		el = next
	}
}

// drop forgets an identity.
func (c *clerk) drop(id iot.Identity) {
	el := c.entries[id]
	c.cool(el.Value.(*entry))
	c.touched.Remove(el)
	delete(c.entries, id)
	delete(c.restive, id)
	delete(c.untold, id)
	delete(c.dirty, id)
	if id.IsModule() {
		if c.modules[id.Device]--; c.modules[id.Device] == 0 {
			delete(c.modules, id.Device)
		}
	}
	c.behind.add(erase(id))
}

// archive ends an entry's story: it is kept as it is explained now, and a new one
// begins.
func (c *clerk) archive(e *entry, s *story) {
	j := Classify(&s.history)
	past := explain(e.identity, &s.history, &j, s.history.Last)
	past.Conflicts = past.Conflicts[max(len(past.Conflicts)-maxPastConflicts, 0):]
	b, err := json.Marshal(pastRecord{recordVersion, s.number, s.history.Since, past})
	if err != nil {
		c.log.Error("an earlier story cannot be written", slog.String("device", e.identity.Device), slog.Any("err", err))
	} else {
		c.behind.add([]store.Write{{Key: pastKey(e.identity, s.number), Value: b, If: store.Any}})
	}
	c.kept -= len(s.history.Kept)
	*s = story{number: s.number + 1}
	e.summary.Verdict = "" // it has come to none yet
	delete(c.untold, e.identity)
}

// past explains an earlier story.
func (c *clerk) past(ctx context.Context, id iot.Identity, at, now time.Time) (iot.Explanation, error) {
	var found *pastRecord
	for n := range uint64(maxPast) {
		key := pastKey(id, n)
		value, waits := c.behind.get(key)
		if waits && value == nil {
			continue // being deleted
		}
		if !waits {
			rec, err := c.records.Get(ctx, key)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return iot.Explanation{}, unreadable(err)
			}
			value = rec.Value
		}
		var p pastRecord
		if err := decode(value, &p); err != nil {
			return iot.Explanation{}, unreadable(err)
		}
		if !p.Since.After(at) && (found == nil || p.Since.After(found.Since)) {
			found = &p
		}
	}
	if found == nil {
		return iot.NoConflict(id, now), nil
	}
	found.Explanation.GeneratedAt = iot.MomentOf(now)
	return found.Explanation, nil
}

// gather makes records of what changed.
func (c *clerk) gather() {
	for id := range c.dirty {
		delete(c.dirty, id)
		el := c.entries[id]
		if el == nil || el.Value.(*entry).hot == nil {
			continue
		}
		e := el.Value.(*entry)
		if !e.hot.fresh {
			e.judge(time.Now())
		}
		writes, err := e.writes()
		if err != nil {
			c.log.Error("a conflict cannot be written", slog.String("device", id.Device), slog.Any("err", err))
			continue
		}
		c.behind.add(writes)
	}
	c.shed()
}
