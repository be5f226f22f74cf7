package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// groupKeys begins the keys of consumer groups: the name in lower case follows. The value
// is an iot.ConsumerGroup in JSON.
const groupKeys = "tel/group/"

// Groups are the consumer groups of the log's readers. They are few, and kept in memory
// as well. Its methods may be called by any goroutine; errors are fault.Error.
type Groups struct {
	// fixed

	records store.Records
	now     func() time.Time

	// guarded by mu

	mu  sync.RWMutex
	all map[string]iot.ConsumerGroup // by name in lower case
}

// OpenGroups reads the consumer groups, and makes the default one the first time.
func OpenGroups(ctx context.Context, records store.Records, now func() time.Time) (*Groups, error) {
	g := &Groups{records: records, now: now, all: make(map[string]iot.ConsumerGroup)}
	var damaged error
	err := records.Scan(ctx, groupKeys, "", func(r store.Record) bool {
		var group iot.ConsumerGroup
		if damaged = json.Unmarshal(r.Value, &group); damaged != nil {
			damaged = fmt.Errorf("consumer group %q: %w", r.Key, damaged)
			return false
		}
		g.all[strings.ToLower(group.Name)] = group
		return true
	})
	if err == nil {
		err = damaged
	}
	if err != nil {
		return nil, fmt.Errorf("read the consumer groups: %w", err)
	}
	if !g.Has(iot.DefaultConsumerGroup) {
		if _, err := g.Create(ctx, iot.DefaultConsumerGroup); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Has reports whether there is a group of this name, letter case aside.
func (g *Groups) Has(name string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, ok := g.all[strings.ToLower(name)]
	return ok
}

// List gives the groups, the default one first, the others by name.
func (g *Groups) List() []iot.ConsumerGroup {
	g.mu.RLock()
	defer g.mu.RUnlock()
	list := make([]iot.ConsumerGroup, 0, len(g.all))
	for _, group := range g.all {
		list = append(list, group)
	}
	slices.SortFunc(list, func(a, b iot.ConsumerGroup) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) // '$' is less than any letter or digit
	})
	return list
}

// Born is when the first group was made, and with it the log.
func (g *Groups) Born() time.Time {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.all[strings.ToLower(iot.DefaultConsumerGroup)].Created.Time
}

// Create makes a group, on stable storage when it returns. One that is there already is
// given as it is. Codes: ArgumentInvalid for a name that cannot be, InvalidOperation when
// there are as many as there may be, ServiceUnavailable while the store is full.
func (g *Groups) Create(ctx context.Context, name string) (iot.ConsumerGroup, error) {
	const op = "telemetry.create_group"
	if !iot.ValidConsumerGroup(name) {
		return iot.ConsumerGroup{}, fault.New(fault.ArgumentInvalid, op,
			"a consumer group's name has 1 to 50 letters, digits, '.', '-' and '_', and begins and ends with a letter or digit")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := strings.ToLower(name)
	if group, ok := g.all[key]; ok {
		return group, nil
	}
	if len(g.all) >= iot.MaxConsumerGroups {
		return iot.ConsumerGroup{}, fault.New(fault.InvalidOperation, op, "there are %d consumer groups, as many as there may be", len(g.all))
	}
	group := iot.ConsumerGroup{Name: name, Created: iot.MomentOf(g.now())}
	value, err := json.Marshal(group)
	if err != nil {
		return iot.ConsumerGroup{}, fault.Wrap(err, fault.ServerError, op, "")
	}
	if _, err := g.records.Apply(ctx, store.Batch{Writes: []store.Write{{Key: groupKeys + key, Value: value, If: store.Any}}}); err != nil {
		return iot.ConsumerGroup{}, store.Fault(err, op, "the consumer group could not be stored")
	}
	g.all[key] = group
	return group, nil
}

// Delete removes a group, on stable storage when it returns; who reads for it goes on.
// Codes: GroupNotFound, InvalidOperation for the default group, ServiceUnavailable
// while the store is full.
func (g *Groups) Delete(ctx context.Context, name string) error {
	const op = "telemetry.delete_group"
	key := strings.ToLower(name)
	if key == strings.ToLower(iot.DefaultConsumerGroup) {
		return fault.New(fault.InvalidOperation, op, "the consumer group %s cannot be removed", iot.DefaultConsumerGroup)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.all[key]; !ok {
		return fault.New(fault.GroupNotFound, op, "there is no consumer group %.64q", name)
	}
	if _, err := g.records.Apply(ctx, store.Batch{Writes: []store.Write{{Key: groupKeys + key, Delete: true, If: store.Any}}}); err != nil {
		return store.Fault(err, op, "the consumer group could not be removed")
	}
	delete(g.all, key)
	return nil
}
