package hub

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/telemetry"
)

// eventually asks again and again until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick, late := time.NewTicker(10*time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer late.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestFullStoreAndBack lets the disk of a whole hub go to its reserve, then to its last byte,
// with the ballast or without it: sessions that publish end with 503001, and nothing they
// sent since is acknowledged; others open, read, and are refused what must be stored. When
// there is room again the hub goes on by itself, and everything acknowledged is there.
func TestFullStoreAndBack(t *testing.T) {
	mem := vfs.NewMem()
	const total = 1 << 40
	avail := func(n uint64) {
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: total, UsedBytes: total - n})
	}
	avail(total)
	var full atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !full.Load() || (op.Kind != errorfs.OpFileWrite && op.Kind != errorfs.OpCreate) {
			return nil
		}
		if _, err := mem.Stat("data/BALLAST"); err == nil || strings.HasSuffix(op.Path, "BALLAST") {
			return syscall.ENOSPC
		}
		return nil // the room of the ballast
	}))
	p := openPlant(t, fs, telemetry.Config{})
	register := func(id string) error {
		_, err := p.registry.PutDevice(t.Context(), id, iot.Device{Authentication: symmetric(keyOf(1), keyOf(2))}, iot.Match{})
		return err
	}
	if err := register(keptID.Device); err != nil {
		t.Fatal(err)
	}
	var acked []string
	next := 0
	// publish sends one message on a session and says why it was not acknowledged.
	publish := func(s device.Session, b bell) error {
		body := fmt.Sprint(next)
		next++
		before := s.Durable()
		if _, err := s.Append([]iot.Raw{{Source: iot.SourceBag, Body: []byte(body)}}); err != nil {
			return err
		}
		b.until(t, "a message is stored or refused", func() bool { return s.Durable() > before || s.Err() != nil })
		if s.Durable() == before {
			return s.Err()
		}
		acked = append(acked, body)
		return nil
	}
	for round, c := range []struct {
		left  uint64
		bytes bool // not a byte is left, and the ballast is given up
	}{{200 << 20, false}, {0, true}, {0, true}} {
		s, b, err := p.enter(t, keptID)
		if err != nil {
			t.Fatal(err)
		}
		if err := publish(s, b); err != nil {
			t.Fatal(err)
		}
		full.Store(c.bytes)
		avail(c.left)
		eventually(t, "the session ends", func() bool { return publish(s, b) != nil })
		if err := s.Err(); fault.Of(err) != fault.ServiceUnavailable {
			t.Errorf("round %d: the session ended with %v, want 503001", round, err)
		}
		s.Close(device.Goodbye{Kind: device.GoodbyeEnded})
		s, b, err = p.enter(t, keptID)
		if err != nil {
			t.Fatalf("round %d: a connect while the disk is full: %v", round, err)
		}
		for what, err := range map[string]error{
			"telemetry":     publish(s, b),
			"a new device":  register("new"),
			"a message":     p.queues.Send(t.Context(), keptID, &iot.CloudMessage{Body: []byte("x")}),
			"a deletion":    p.registry.DeleteDevice(t.Context(), keptID.Device, anyTag),
			"what was sent": p.Send(t.Context(), iot.Stamp{Identity: keptID}, iot.Raw{Source: iot.SourceHeaders}),
		} {
			if err == nil || fault.Of(err) != fault.ServiceUnavailable {
				t.Errorf("round %d: %s: %v, want 503001", round, what, err)
			}
		}
		if _, err := p.registry.GetDevice(t.Context(), keptID.Device); err != nil {
			t.Errorf("round %d: a read: %v", round, err)
		}
		p.holds(t, acked)
		full.Store(false)
		avail(total)
		eventually(t, "a session publishes again", func() bool {
			s.Close(device.Goodbye{Kind: device.GoodbyeEnded})
			if s, b, err = p.enter(t, keptID); err != nil {
				t.Fatal(err)
			}
			return publish(s, b) == nil
		})
		s.Close(device.Goodbye{Kind: device.GoodbyeClean})
	}
	p.close()
	openPlant(t, fs, telemetry.Config{}).holds(t, acked)
}

// holds checks that the log holds exactly these bodies of keptID, in order.
func (p *plant) holds(t *testing.T, want []string) {
	t.Helper()
	r := rig{Hub: p.Hub, log: p.log}
	info := p.log.Partitions()[p.log.Partition(keptID.Device)]
	if got := r.bodies(t, keptID.Device, int(info.Last+1)); !slices.Equal(got, want) {
		t.Errorf("the log holds %v, acknowledged was %v", got, want)
	}
}
