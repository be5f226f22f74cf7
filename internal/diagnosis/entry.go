package diagnosis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// entry is one identity that had a displacement. Its summary is always there; its story
// is in memory while it is touched.
type entry struct {
	identity iot.Identity
	summary  iot.ConflictSummary
	hot      *story // nil: read it again
}

// story is the current story of an identity.
type story struct {
	number  uint64 // of the identity's stories, from 1 on
	history History
	judged  Judgement
	fresh   bool          // judged is of history as it is
	turned  time.Time     // when it came to the verdict that it has; zero: in an earlier run, or long ago
	counted []iot.Verdict // which OnVerdict knows of
	shown   time.Time     // when followers last heard of it
	dirty   bool          // the head is to be written
	changed map[uint64]struct{}
}

// change notes that a displacement is to be written, and the head with it.
func (s *story) change(number uint64) {
	if s.changed == nil {
		s.changed = map[uint64]struct{}{}
	}
	s.changed[number] = struct{}{}
	s.dirty, s.fresh = true, false
}

// read gives an identity's story from the store.
func readStory(ctx context.Context, records store.Records, id iot.Identity) (*story, error) {
	rec, err := records.Get(ctx, headKey(id))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", headKey(id), err)
	}
	var h head
	if err := decode(rec.Value, &h); err != nil {
		return nil, fmt.Errorf("read %s: %w", headKey(id), err)
	}
	s := &story{number: h.Story, history: h.History, counted: h.Counted}
	prefix := displacementKeys + id.Device + "/" + id.Module + "/"
	var bad error
	err = records.Scan(ctx, prefix, "", func(r store.Record) bool {
		var d displacementRecord
		if err := decode(r.Value, &d); err != nil {
			bad = errors.Join(bad, fmt.Errorf("read %s: %w", r.Key, err))
			return true
		}
		if d.Story == h.Story && d.Number <= h.History.Count {
			s.history.Kept = append(s.history.Kept, d.Displacement)
		}
		return len(s.history.Kept) < maxKept
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, err
	}
	slices.SortFunc(s.history.Kept, func(a, b Displacement) int { return int(a.Number) - int(b.Number) })
	return s, nil
}

// writes gives the records of what changed, and takes it for written.
func (e *entry) writes() ([]store.Write, error) {
	s := e.hot
	var list []store.Write
	add := func(key string, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		list = append(list, store.Write{Key: key, Value: b, If: store.Any})
		return nil
	}
	for _, n := range slices.Sorted(maps.Keys(s.changed)) {
		d := s.history.find(n)
		if d == nil {
			continue // no longer kept
		}
		if err := add(displacementKey(e.identity, n), displacementRecord{recordVersion, s.number, *d}); err != nil {
			return nil, err
		}
	}
	if err := add(headKey(e.identity), head{recordVersion, s.number, s.counted, e.summary, s.history}); err != nil {
		return nil, err
	}
	s.dirty = false
	clear(s.changed)
	return list, nil
}

// erase gives the writes that forget an identity.
func erase(id iot.Identity) []store.Write {
	list := []store.Write{{Key: headKey(id), Delete: true, If: store.Any}}
	for n := range uint64(maxKept) {
		list = append(list, store.Write{Key: displacementKey(id, n), Delete: true, If: store.Any})
	}
	for n := range uint64(maxPast) {
		list = append(list, store.Write{Key: pastKey(id, n), Delete: true, If: store.Any})
	}
	return list
}
