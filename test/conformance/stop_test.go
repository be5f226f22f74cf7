package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/test/rig"
)

// TestGracefulStop stops the hub with SIGTERM under load: clients see their connection
// closed, the process ends with 0, and everything acknowledged is there afterwards.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{})
	d, sdk := h.AddDevice("dev1"), h.AddDevice("dev2")
	client := newPaho(t, h, d.Hello())
	client.enter()
	p := openDevice(t, h, sdk.String(), overWS)
	send(t, p, "before the stop")

	acked := make(chan int, 1)
	first, gone := make(chan struct{}), make(chan struct{})
	go func() {
		n := 0
		for {
			token := client.Publish(d.EventsTopic(), 1, false, fmt.Sprint(n))
			select {
			case <-token.Done():
			case <-gone: // paho keeps the message for a connection that will not come
				acked <- n
				return
			}
			if token.Error() != nil {
				acked <- n
				return
			}
			if n++; n == 100 {
				close(first)
			}
		}
	}()
	rig.Receive(t, first, "100 messages are acknowledged")
	if code := h.Stop(); code != 0 {
		t.Errorf("the hub ended with %d, want 0:\n%s", code, h.Out)
	}
	rig.Receive(t, client.lost, "paho sees its connection closed")
	close(gone)
	p.event("disconnect")
	n := rig.Receive(t, acked, "the publisher ends")
	if _, err := os.Stat(filepath.Join(h.Dir, "run.json")); err == nil {
		t.Error("run.json names a hub that has stopped")
	}

	h.Start()
	got := bodies(h, "dev1")
	if len(got) < n {
		t.Fatalf("%d messages after the restart, want the %d acknowledged", len(got), n)
	}
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, body)
		}
	}
	if diff := cmp.Diff([]string{"before the stop"}, bodies(h, "dev2")); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	// The log says why the connections ended, though the hub that wrote it is gone.
	for _, device := range []string{"dev1", "dev2"} {
		found := false
		for _, r := range h.Logs("--device", device) {
			found = found || r.OperationName == "deviceDisconnect"
		}
		if !found {
			t.Errorf("no deviceDisconnect of %s in the log", device)
		}
	}
}

// TestStateOutlivesTheProcess keeps identities, keys, policies and the CA over a stop
// and over a kill.
func TestStateOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	owner := h.PolicyString("iothubowner")
	ca, err := os.ReadFile(h.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []func(){func() { h.Stop() }, h.Kill} {
		end()
		// Connection strings and the CA's path need no running hub.
		if got := h.Berth("connection-string", "--policy", "iothubowner").Must().Line(); got != owner {
			t.Errorf("connection string %q, want %q", got, owner)
		}
		if got, err := os.ReadFile(h.Berth("ca", "path").Must().Line()); err != nil || string(got) != string(ca) {
			t.Errorf("the CA changed, or cannot be read: %v", err)
		}
		h.Start()
		again := h.Get(d)
		if again.Key() != d.Key() || again.GenerationID != d.GenerationID || again.ETag != d.ETag {
			t.Errorf("device %+v, want %+v", again, d)
		}
		if again.ConnectionState != "Disconnected" {
			t.Errorf("connectionState %q after a restart", again.ConnectionState)
		}
		l := h.Dial(t)
		l.Enter(d.Hello())
	}
}

// TestSecondHubIsRefused starts a second hub on the same data folder: it says who holds
// the folder, ends with 1, and leaves the first alone.
func TestSecondHubIsRefused(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	d := h.AddDevice("dev1")
	r := h.Berth("serve", "--host", rig.Host, "--bind", "127.0.0.1", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--ops-port", "0")
	if r.ExitCode != 1 {
		t.Errorf("the second hub ended with %d, want 1", r.ExitCode)
	}
	if text := string(r.Stderr); !strings.Contains(text, h.Dir) || !strings.Contains(text, "another") && !strings.Contains(text, "already") {
		t.Errorf("the second hub says %q: want the folder named, and that somebody holds it", text)
	}
	l := h.Dial(t)
	l.Enter(d.Hello())
	l.Publish(d.EventsTopic(), 1, "x")
}

// TestPortInUse starts a hub on a port that another has: it names the port and ends
// with 1.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	port := h.Run.MQTT[strings.LastIndexByte(h.Run.MQTT, ':')+1:]
	r := rig.Run(t, nil, rig.Binary(t), "serve", "--data", filepath.Join(t.TempDir(), "other"),
		"--host", rig.Host, "--bind", "127.0.0.1", "--mqtt-port", port, "--amqp-port", "0", "--https-port", "0", "--ops-port", "0")
	if r.ExitCode != 1 || !strings.Contains(string(r.Stderr), port) {
		t.Errorf("ended with %d: %s; want 1 and the port named", r.ExitCode, r.Stderr)
	}
}

// TestExitCodes are those that scripts rely on.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	h := rig.Start(t, rig.Options{Local: true})
	h.AddDevice("dev1")
	check := func(want int, command ...string) {
		t.Helper()
		if r := h.Berth(command...); r.ExitCode != want {
			t.Errorf("berth %s ended with %d, want %d: %s", strings.Join(command, " "), r.ExitCode, want, r.Stderr)
		}
	}
	check(0, "device", "show", "dev1", "--json")
	check(0, "device", "list", "--json")
	check(0, "monitor", "--json", "--from", "earliest", "--no-follow")
	check(0, "logs", "--json")
	check(1, "device", "show", "nobody")
	check(1, "device", "add", "dev1")
	check(2, "device", "add", "not an id")
	check(2, "device", "frobnicate")
	check(2, "monitor", "--from", "yesterday")
	check(0, "device", "remove", "dev1", "--json")
	h.Signal(syscall.SIGTERM)
	if code := h.Wait(); code != 0 {
		t.Errorf("the hub ended with %d, want 0", code)
	}
	check(3, "device", "show", "dev1")
	check(3, "monitor", "--no-follow")
	check(0, "connection-string")
	h.Start()
	h.Kill()
	check(3, "device", "list") // run.json stays behind, and names nobody
}
