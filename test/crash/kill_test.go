package crash

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/test/rig"
)

// usually is how often a hub is killed, unless BERTH_CRASH_ROUNDS says otherwise.
const usually = 20

// TestKillUnderLoad kills the hub under full publish load of 100 devices, and finds
// everything that was acknowledged, in order, nothing doubled that was not sent twice.
func TestKillUnderLoad(t *testing.T) {
	h := rig.Start(t, rig.Options{})
	all := register(t, h)
	places := make([]place, partitions)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	var acked, overAMQP, stored int
	for round := range storetest.Rounds(t, usually) {
		load(t, h, all, 50*time.Millisecond+time.Duration(random.IntN(200))*time.Millisecond)
		if round%4 == 3 { // power comes back, and goes again while the hub recovers
			h.Stumble(time.Duration(random.IntN(150)) * time.Millisecond)
		}
		h.Start()
		got := readBack(t, h, all, places)
		for _, p := range all {
			acked += p.acked
			if p.amqp {
				overAMQP += p.acked
			}
			stored += len(got[p.id.DeviceID])
			if err := p.settle(got[p.id.DeviceID]); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	t.Logf("%d messages acknowledged, %d of them over AMQP, %d stored", acked, overAMQP, stored)
	if acked < storetest.Rounds(t, usually)*devices || overAMQP == 0 {
		t.Errorf("only %d messages were acknowledged in all, %d over AMQP: that was no load", acked, overAMQP)
	}

	// Later kills must not have harmed what earlier rounds had read.
	again := make([]place, partitions)
	for i := range again {
		readOn(t, h, i, &again[i], func(record) {})
		if again[i].next != places[i].next || again[i].digest != places[i].digest {
			t.Errorf("partition %d, read again, differs: %d messages, want %d", i, again[i].next, places[i].next)
		}
	}
	if text := h.Out.String(); strings.Contains(text, "panic") || strings.Contains(text, "checksum") {
		t.Errorf("the hub wrote:\n%s", text)
	}
}

// register makes the devices, all in one request.
func register(t *testing.T, h *rig.Hub) []*publisher {
	t.Helper()
	type item struct {
		ID         string `json:"id"`
		ImportMode string `json:"importMode"`
	}
	items := make([]item, devices)
	for i := range items {
		items[i] = item{ID: fmt.Sprintf("dev%03d", i), ImportMode: "create"}
	}
	body, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	h.Request(http.MethodPost, "/devices", string(body)).Want(t, http.StatusOK)
	var ids []rig.Identity
	h.Request(http.MethodGet, "/devices?top=1000", "").Want(t, http.StatusOK).JSON(t, &ids)
	if len(ids) != devices {
		t.Fatalf("%d devices are registered, want %d", len(ids), devices)
	}
	all := make([]*publisher, devices)
	for i, id := range ids {
		all[i] = &publisher{id: id, resends: i%2 == 0, amqp: i%20 == 1, partition: -1}
	}
	return all
}

// load connects every device, lets all publish as fast as they can, and kills the hub
// under way, so long after the last has begun.
func load(t *testing.T, h *rig.Hub, all []*publisher, so time.Duration) {
	t.Helper()
	runs := make([]func() error, len(all))
	for i, p := range all {
		p.begin()
		if p.amqp {
			sender, err := trySender(t, h, p.id)
			if err != nil {
				t.Fatal(err)
			}
			runs[i] = func() error { return p.send(sender) }
			continue
		}
		l := h.Dial(t)
		l.Enter(p.id.Hello())
		runs[i] = func() error { defer l.Conn.Close(); return p.run(l) }
	}
	failed := make(chan error, len(all))
	var wg sync.WaitGroup
	for _, run := range runs {
		wg.Go(func() {
			if err := run(); err != nil {
				failed <- err
			}
		})
	}
	timer := time.NewTimer(so)
	defer timer.Stop()
	select {
	case err := <-failed:
		t.Error(err)
	case <-timer.C:
	}
	h.Kill()
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
}

// readBack reads what is new in every partition, by device in order.
func readBack(t *testing.T, h *rig.Hub, all []*publisher, places []place) map[string][]uint64 {
	t.Helper()
	byID := map[string]*publisher{}
	for _, p := range all {
		byID[p.id.DeviceID] = p
	}
	got := map[string][]uint64{}
	for i := range places {
		readOn(t, h, i, &places[i], func(e record) {
			p := byID[e.DeviceID]
			if p == nil {
				t.Fatalf("a message of %q, who is nobody", e.DeviceID)
			}
			if p.partition < 0 {
				p.partition = e.Partition
			}
			if p.partition != e.Partition {
				t.Errorf("%s is in partition %d and in %d", e.DeviceID, p.partition, e.Partition)
			}
			fields := strings.Fields(e.Body)
			if len(fields) != 3 || fields[0] != e.DeviceID || len(e.Body) != bodySize {
				t.Fatalf("message of %s has the body %q", e.DeviceID, e.Body)
			}
			n, err := strconv.ParseUint(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			got[e.DeviceID] = append(got[e.DeviceID], n)
		})
	}
	return got
}
