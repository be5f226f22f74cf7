package crash

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/store/storetest"
	"github.com/berth-iot/berth/test/rig"
)

// held is what a hub held when its disk was copied.
type held struct {
	from    string // the copy of its folder
	devices []rig.Identity
	events  []map[uint64]message // by partition
}

// TestFlippedBitsAreNeverServed flips a bit in a file of a stopped, or killed, hub's store, of
// either instance and of each kind that there is, and starts it. Either it refuses to start
// and names the file; or everything that it serves is what it was, and what it does not
// serve is told: to readers of events as a gap of exactly these, to who asks for a record as
// an error, and to the operator with the file's name. And it takes new messages, under
// numbers never used.
func TestFlippedBitsAreNeverServed(t *testing.T) {
	h := rig.Start(t, rig.Options{})
	stopped := fillStore(t, h)
	if code := h.Stop(); code != 0 {
		t.Fatalf("the hub ended with %d", code)
	}
	stopped.from = copyOf(t, h.Dir)
	h.Start()
	killed := fillStore(t, h)
	for p, events := range stopped.events {
		maps.Copy(killed.events[p], events)
	}
	killed.devices = append(killed.devices, stopped.devices...)
	h.Kill()
	killed.from = copyOf(t, h.Dir)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	noticed, refused := 0, 0
	kinds := []struct {
		of   *held
		glob string
	}{
		{stopped, "log/*.sst"},
		{stopped, "log/*.blob"},
		{stopped, "records/*.sst"},
		{killed, "log/*.log"},
		{killed, "records/*.log"},
		{killed, "log/*.blob"},
		{killed, "records/*.sst"},
		{stopped, "log/MANIFEST-*"},
		{killed, "records/MANIFEST-*"},
		{stopped, "FORMAT"},
	}
	for round := range storetest.Rounds(t, len(kinds)) {
		kind := kinds[round%len(kinds)]
		if err := os.RemoveAll(h.Dir); err != nil {
			t.Fatal(err)
		}
		copyTo(t, h.Dir, kind.of.from)
		name := flipOne(t, filepath.Join(h.Dir, "store", kind.glob), random)
		h.Out = &rig.Output{}
		if !h.TryStart() {
			refused++
			if !names(h.Out.String(), name) {
				t.Errorf("%s: the hub refused to start, and does not name it:\n%s", name, h.Out)
			}
			continue
		}
		if kind.of.serves(t, h, name) {
			noticed++
		}
		h.Kill()
		if t.Failed() {
			t.Fatalf("a bit of %s, round %d", name, round)
		}
	}
	t.Logf("%d times part of what was stored was refused, %d times the start", noticed, refused)
	if (refused == 0 || noticed == 0) && storetest.Rounds(t, len(kinds)) >= len(kinds) {
		t.Error("no flipped bit was noticed")
	}
}

// fillStore gives the hub something of everything, and says what.
func fillStore(t *testing.T, h *rig.Hub) *held {
	t.Helper()
	all := &held{}
	tag := fmt.Sprint(h.PID())
	for i := range 24 {
		d := h.AddDevice(fmt.Sprintf("rot%s-%d", tag, i))
		all.devices = append(all.devices, d)
		h.SendTo(d, "x")
		for n := range 2 {
			p := publisher{id: d, size: bodySize + 4000*(i%3)}
			h.RequestAs(d.Token(), http.MethodPost, d.Path()+"/messages/events", string(p.body(uint64(n)))).Want(t, http.StatusNoContent)
		}
	}
	known := map[string]bool{}
	for _, d := range all.devices {
		known[d.DeviceID] = true
	}
	for p := range partitions {
		events := map[uint64]message{}
		eachLine(t, h, p, func(l line) {
			m, err := parse(l.record)
			if err != nil || l.Gap != nil {
				t.Fatalf("%+v: %v", l, err)
			}
			if known[m.device] {
				events[l.Sequence] = m
			}
		})
		all.events = append(all.events, events)
	}
	return all
}

// serves reads everything. It says whether anything was refused.
func (all *held) serves(t *testing.T, h *rig.Hub, name string) (refused bool) {
	t.Helper()
	for _, d := range all.devices {
		res := h.Request(http.MethodGet, d.Path(), "")
		if res.Status == http.StatusInternalServerError {
			refused = true
			continue
		}
		var got rig.Identity
		res.Want(t, http.StatusOK).JSON(t, &got)
		if got.ETag != d.ETag || got.GenerationID != d.GenerationID || got.Key() != d.Key() || got.CloudToDeviceMessageCount != 1 {
			t.Errorf("the device is %+v, it was %+v with one message", got, d)
		}
	}
	for i := range 16 { // in every partition, so that a lost end shows as a gap
		d := h.AddDevice(fmt.Sprintf("new%d", i))
		p := publisher{id: d}
		h.RequestAs(d.Token(), http.MethodPost, d.Path()+"/messages/events", string(p.body(uint64(i)))).Want(t, http.StatusNoContent)
	}
	for p, events := range all.events {
		refused = readRotten(t, h, p, events) || refused
	}
	if refused && !names(h.Out.String(), name) {
		t.Errorf("the operator is not told which file is damaged: want %s in\n%s", name, h.Out)
	}
	return refused
}

// readRotten reads a partition of which part may be damaged, and says whether it is: what is
// not served is told as a gap of exactly that, and what is new has numbers of its own.
func readRotten(t *testing.T, h *rig.Hub, partition int, events map[uint64]message) (refused bool) {
	t.Helper()
	at, fresh := uint64(0), 0
	eachLine(t, h, partition, func(l line) {
		if l.Gap != nil {
			var from, to uint64
			var of int
			if _, err := fmt.Sscanf(l.Gap.Message, "events %d to %d of partition %d are damaged", &from, &to, &of); err != nil || from != at || of != partition || l.Gap.Code != 500001 {
				t.Fatalf("partition %d at %d: gap %+v", partition, at, l.Gap)
			}
			refused, at = true, to+1
			return
		}
		if l.Sequence != at {
			t.Fatalf("partition %d: sequence %d comes where %d must, and nobody was told", partition, l.Sequence, at)
		}
		at++
		m, err := parse(l.record)
		if err != nil {
			t.Fatal(err)
		}
		old, known := events[l.Sequence]
		switch {
		case known && old != m:
			t.Errorf("partition %d: sequence %d is served as %+v, it was %+v", partition, l.Sequence, m, old)
		case !known && !strings.HasPrefix(m.device, "new"):
			t.Errorf("partition %d: sequence %d is %+v, which was never there", partition, l.Sequence, m)
		case !known:
			fresh++
		}
	})
	if fresh == 0 {
		t.Errorf("partition %d: no new event is read", partition)
	}
	return refused
}

// names reports whether a text names a file: Pebble's errors know the number only.
func names(text, name string) bool {
	base := filepath.Base(name)
	return strings.Contains(text, strings.TrimSuffix(strings.TrimSuffix(base, ".sst"), ".blob"))
}

// flipOne changes one bit of a random file of those that a pattern names.
func flipOne(t *testing.T, glob string, random *rand.Rand) string {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no file, %v", glob, err)
	}
	name := files[random.IntN(len(files))]
	content, err := os.ReadFile(name)
	if err != nil || len(content) == 0 {
		t.Fatalf("%s: %d bytes, %v", name, len(content), err)
	}
	bit := random.IntN(8 * len(content))
	content[bit/8] ^= 1 << (bit % 8)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("bit %d of %s", bit, name)
	return name
}

// copyOf copies a folder to a new one.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	copyTo(t, to, dir)
	return to
}

// copyTo copies a folder and all that is in it.
func copyTo(t *testing.T, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), content, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
