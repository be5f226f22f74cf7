package crash

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/test/rig"
)

// scarce keeps as little telemetry as may be configured, so that retention has something to
// delete at each start, and again while there is load.
const scarce = `
[telemetry]
partitions = 2
retention_bytes = "8MiB"
`

// heavy registers devices whose messages fill that soon, one of them over AMQP.
func heavy(h *rig.Hub) []*publisher {
	var all []*publisher
	for i := range 6 {
		all = append(all, &publisher{id: h.AddDevice(fmt.Sprintf("heavy%d", i)), amqp: i == 5, size: 8 << 10, partition: -1})
	}
	return all
}

// histories are those of all partitions of a hub that was started with scarce.
func histories() []*history {
	var all []*history
	for p := range 2 {
		all = append(all, &history{partition: p, held: map[uint64]message{}, devices: map[string]bool{}})
	}
	return all
}

// recount reads everything and compares what is new with what was sent since the last time,
// all of it on one connection of each device.
func recount(t *testing.T, h *rig.Hub, all []*publisher, parts []*history) {
	t.Helper()
	stored := map[string][]uint64{}
	var passed []*history // of which retention has taken all that was read before, and more
	seen := map[string]bool{}
	for _, part := range parts {
		ended := part.next
		for _, m := range part.reread(t, h) {
			stored[m.device] = append(stored[m.device], m.number)
		}
		if part.first > ended {
			passed = append(passed, part)
		}
		maps.Copy(seen, part.devices)
	}
	for _, p := range all {
		id := p.id.DeviceID
		// All of a device's messages may be gone, and who was never seen may be anywhere.
		gone := slices.ContainsFunc(passed, func(part *history) bool { return part.devices[id] || !seen[id] })
		if err := p.settleKept(stored[id], gone); err != nil {
			for _, part := range parts {
				t.Logf("partition %d is kept from %d to %d", part.partition, part.first, part.next)
			}
			t.Error(err)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// TestKillUnderRetention kills the hub at random moments while retention deletes, at its
// start and, now and then, in the flush of what was deleted: what was acknowledged and is
// not before the earliest kept is there, each sequence holds what it held, and what was
// deleted does not come back.
func TestKillUnderRetention(t *testing.T) {
	h := rig.Start(t, rig.Options{Config: scarce})
	all, parts := heavy(h), histories()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	acked := 0
	nothing := func() bool { return parts[0].first == 0 && parts[1].first == 0 }
	for round := 0; round < storetest.Rounds(t, 5) || nothing() && round < 50; round++ { // a slow machine needs more
		so := 50 + random.IntN(500)
		if round%5 == 3 { // deletions reach the disk two seconds after they were made
			so = 2000 + random.IntN(700)
		}
		load(t, h, all, time.Duration(so)*time.Millisecond)
		h.Start()
		recount(t, h, all, parts)
		for _, p := range all {
			acked += p.acked
		}
	}
	t.Logf("%d messages acknowledged; the partitions begin at %d and %d of %d and %d", acked, parts[0].first, parts[1].first, parts[0].next, parts[1].next)
	if nothing() {
		t.Error("retention deleted nothing")
	}
}
