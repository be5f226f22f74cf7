package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/berth-iot/berth/test/rig"
)

// busy is the name of 503001 in the answers of the service API.
const busy = "ServiceUnavailable"

// diskSize is the disk of a hub that is to meet its end: the reserve of 256 MiB, the
// ballast of 32 MiB, and what is left is for the store.
const diskSize = 512 << 20

// smallDisk mounts a disk of its own for a test, or skips it where that is not allowed.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize)); err != nil {
		t.Skipf("NOT TESTED: a full disk under the built hub, because no file system may be mounted here (%v); TestFullStoreAndBack of internal/hub is what is left", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// filler is a file that takes the room of a disk.
type filler struct{ name string }

// leave fills the disk until so many bytes are left to others.
func (f filler) leave(t *testing.T, left int64) {
	t.Helper()
	out, err := os.OpenFile(f.name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	chunk := make([]byte, 1<<20)
	for {
		var at syscall.Statfs_t
		if err := syscall.Statfs(filepath.Dir(f.name), &at); err != nil {
			t.Fatal(err)
		}
		n := int64(at.Bavail)*int64(at.Bsize) - left //nolint:unconvert // an int32 elsewhere
		if n <= 0 {
			return
		}
		_, err := out.Write(chunk[:min(n, int64(len(chunk)))])
		if errors.Is(err, syscall.ENOSPC) && left == 0 {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (f filler) remove(t *testing.T) {
	t.Helper()
	if err := os.Remove(f.name); err != nil {
		t.Fatal(err)
	}
}

// TestFullDiskAndBack fills the disk under load: first to the reserve, then to the last
// byte, then with the hub killed and started while it is full, at last without its ballast.
// Nothing more is acknowledged, over any door, and each says why; what is stored is read,
// and devices connect. Each time room returns the hub goes on by itself, and at the end
// everything that was ever acknowledged is there.
func TestFullDiskAndBack(t *testing.T) {
	disk := smallDisk(t)
	h := rig.Start(t, rig.Options{Dir: disk})
	all := make([]*stream, 8)
	for i := range all {
		all[i] = &stream{id: h.AddDevice(fmt.Sprintf("dev%03d", i)), hub: h, tls: h.TLS()}
	}
	idle, fresh := h.AddDevice("idle"), h.AddDevice("fresh")
	h.SendTo(idle, "kept")
	h.Listen(t, idle).Receive() // locked, not settled

	fill := filler{filepath.Join(disk, "filler")}
	for _, c := range []struct {
		name    string
		left    int64
		restart bool
	}{
		{"to the reserve", 250 << 20, false},
		{"to the last byte", 0, false},
		{"with a kill and a start", 0, true},
	} {
		stop := streams(t.Context(), all)
		rig.Until(t, c.name+": there is load", moving(all))
		if c.restart { // with the ballast in its place
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			h.Kill()
			fill.leave(t, c.left)
			h.Start()
			stop = streams(t.Context(), all)
		}
		rig.Until(t, c.name+": the hub refuses", func() bool {
			fill.leave(t, c.left)
			return refusal(t, h, idle) == busy
		})
		refused(t, h, idle, fresh)
		before := total(all)
		served(t, h, idle)
		if after := total(all); after != before {
			t.Errorf("%s: %d messages were acknowledged while the disk was full", c.name, after-before)
		}
		fill.remove(t)
		rig.Until(t, c.name+": every device publishes again", moving(all))
		rig.Until(t, c.name+": over HTTPS too", func() bool { return refusal(t, h, idle) == "" })
		if err := stop(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if t.Failed() {
			return
		}
	}
	startedWithoutRoom(t, h, fill)
	stored := map[string][]uint64{}
	for p := range partitions {
		readOn(t, h, p, &place{}, func(e record) {
			if fields := strings.Fields(e.Body); len(fields) == 3 {
				n, err := strconv.ParseUint(fields[1], 10, 64)
				if err != nil || fields[0] != e.DeviceID {
					t.Fatalf("%q of %s: %v", e.Body, e.DeviceID, err)
				}
				stored[e.DeviceID] = append(stored[e.DeviceID], n)
			}
		})
	}
	for _, s := range all {
		if err := s.settle(stored[s.id.DeviceID]); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d messages were acknowledged", total(all))
	if text := h.Out.String(); strings.Contains(text, "panic") || !strings.Contains(text, "disk is full") {
		t.Errorf("the hub wrote:\n%s", text)
	}
}

// startedWithoutRoom starts the hub where neither a byte nor its ballast is left. It waits,
// saying why, or ends, saying why; with room it starts.
func startedWithoutRoom(t *testing.T, h *rig.Hub, fill filler) {
	t.Helper()
	h.Kill()
	if err := os.Remove(filepath.Join(h.Dir, "store", "BALLAST")); err != nil {
		t.Fatal(err)
	}
	fill.leave(t, 0)
	h.Out = &rig.Output{}
	out, roomy := h.Out, make(chan struct{})
	go func() {
		defer close(roomy)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if strings.Contains(out.String(), "no space left on device") || t.Context().Err() != nil {
				_ = os.Remove(fill.name)
				return
			}
		}
	}()
	ready := h.TryStart()
	<-roomy
	if !ready {
		h.Start()
	}
}

func total(all []*stream) int {
	n := 0
	for _, s := range all {
		n += s.acked()
	}
	return n
}

// moving reports whether every stream has had more acknowledged since it was made.
func moving(all []*stream) func() bool {
	begun := make([]int, len(all))
	for i, s := range all {
		begun[i] = s.acked()
	}
	return func() bool {
		for i, s := range all {
			if s.acked() < begun[i]+2*window {
				return false
			}
		}
		return true
	}
}

// refusal sends one message over HTTPS and gives the code of the refusal, "" if the hub
// took it.
func refusal(t *testing.T, h *rig.Hub, d rig.Identity) string {
	t.Helper()
	res := h.RequestAs(d.Token(), http.MethodPost, d.Path()+"/messages/events", "by https")
	if res.Status == http.StatusNoContent {
		return ""
	}
	return res.Header.Get("iothub-errorcode")
}

// refused tries every door through which something comes to be stored; d has a kept
// session and fresh has none.
func refused(t *testing.T, h *rig.Hub, d, fresh rig.Identity) {
	t.Helper()
	if got := refusal(t, h, d); got != busy {
		t.Errorf("telemetry over HTTPS: %q, want %s", got, busy)
	}
	for what, res := range map[string]rig.Response{
		"a new device":               h.Request(http.MethodPut, "/devices/new", `{"deviceId":"new"}`),
		"a cloud-to-device message":  h.Request(http.MethodPost, "/messages/deviceBound", "x", "iothub-to", d.Path()+"/messages/deviceBound"),
		"a deletion":                 h.Request(http.MethodDelete, d.Path(), "", "If-Match", "*"),
		"a new consumer group":       h.Request(http.MethodPut, "/berth/v1/consumer-groups/new", ""),
		"a purge of a device's mail": h.Request(http.MethodDelete, d.Path()+"/commands", ""),
	} {
		if got := res.Header.Get("iothub-errorcode"); res.Status != http.StatusServiceUnavailable || got != busy {
			t.Errorf("%s: status %d, %q, %s; want 503, %s", what, res.Status, got, res.Body, busy)
		}
	}
	l := h.Dial(t)
	l.Enter(d.Hello())
	l.Send(rig.PublishBytes(d.EventsTopic(), 0x02, 1, []byte("by mqtt")))
	for {
		p, err := l.TryRead(rig.Within)
		if err != nil {
			break
		}
		if p.Type == rig.PubAck {
			t.Error("a full hub acknowledged a message over MQTT")
		}
	}
	h.Log(d.DeviceID, "deviceDisconnect", "503001")
	many := h.Request(http.MethodPost, "/devices", `[{"id":"new","importMode":"create"}]`)
	if many.Status != http.StatusBadRequest || !strings.Contains(string(many.Body), "503001") {
		t.Errorf("an import: status %d, %s; want 400 that names 503001", many.Status, many.Body)
	}
	// A client without a kept session would drop the one that there is.
	for what, id := range map[string]rig.Identity{"telemetry": fresh, "the end of a kept session": d} {
		var condition *amqp.Error
		if err := sendOverAMQP(t, h, id); !errors.As(err, &condition) || condition.Condition != "com.microsoft:server-busy" {
			t.Errorf("%s over AMQP: %v, want com.microsoft:server-busy", what, err)
		}
	}
}

// sendOverAMQP sends one message over AMQP and gives its outcome.
func sendOverAMQP(t *testing.T, h *rig.Hub, d rig.Identity) error {
	t.Helper()
	sender, err := trySender(t, h, d)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), rig.Within)
	defer cancel()
	return sender.Send(ctx, &amqp.Message{Data: [][]byte{[]byte("by amqp")}}, nil)
}

// served does what a hub with a full disk still does.
func served(t *testing.T, h *rig.Hub, d rig.Identity) {
	t.Helper()
	if got := h.Get(d).DeviceID; got != d.DeviceID {
		t.Errorf("got device %q", got)
	}
	events := 0
	for p := range partitions {
		readOn(t, h, p, &place{}, func(record) { events++ })
	}
	if events == 0 {
		t.Error("no event is served")
	}
	l := h.Dial(t)
	if !l.Enter(d.Hello()) {
		t.Error("the kept session is gone")
	}
	if m := l.Receive(); m.Body != "kept" || m.ID == 0 {
		t.Errorf("received %+v, want the message that is kept", m)
	}
	l.Ping()
	l.Send(rig.Frame(rig.Disconnect<<4, nil))
}
