package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// readyWithin bounds the start of a server, stopWithin its end.
const (
	readyWithin = 30 * time.Second
	stopWithin  = 20 * time.Second
)

// hubName is the server that everything is compared with.
const hubName = "berth"

// starter starts one server in a folder; the hub's is started first, because the others
// show its certificate. With an error it gives the server all the same, for its name.
type starter func(ctx context.Context, dir string) (*server, error)

// server is one server under load.
type server struct {
	name string
	hub  bool
	cmd  *exec.Cmd
	args []string // of berth bench, to reach it
	ops  string   // address of a hub's port for operators
	said tail     // its standard error
	out  bool     // it takes part no more
	down bool     // the load starts it, again and again
}

// tail keeps the end of what is written to it. Any goroutine may use it.
type tail struct {
	mu   sync.Mutex
	last []byte
}

// tailBytes is how much a tail keeps.
const tailBytes = 2048

// Write keeps the end of b.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-tailBytes):]
	return len(b), nil
}

// String gives what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.last))
}

// stop ends the server and waits for it. Stopping it twice is harmless.
func (s *server) stop() {
	if s.cmd == nil || s.cmd.Process == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(os.Interrupt) // if it is gone already, Wait says so
	late := time.AfterFunc(stopWithin, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	_ = s.cmd.Wait() // how it ended does not matter any more
}

// startBerth starts a hub with a data folder of its own, on free ports.
func startBerth(ctx context.Context, dir string) (*server, error) {
	return startHub(ctx, hubName, filepath.Join(dir, "berth"), "")
}

// quietName is a hub that explains no conflicts.
const quietName = "diagnosis off"

// startQuiet starts a hub that explains no conflicts.
func startQuiet(ctx context.Context, dir string) (*server, error) {
	config := filepath.Join(dir, "quiet.toml")
	if err := os.WriteFile(config, []byte("[diagnosis]\nenabled = false\n"), 0o600); err != nil {
		return &server{name: quietName, hub: true}, err
	}
	return startHub(ctx, quietName, filepath.Join(dir, "quiet"), config)
}

// mqttName is a second hub, of which one load is told apart from the first one's.
const mqttName = "berth, over MQTT"

// startMQTT starts a second hub that a load is run on over MQTT.
func startMQTT(ctx context.Context, dir string) (*server, error) {
	return startHub(ctx, mqttName, filepath.Join(dir, "mqtt"), "")
}

// millionDevices is how many devices make a million identities, with a module each.
const millionDevices = 500_000

// startMillion makes the data folder of a hub with a million identities. The hub itself is
// stopped: who measures starts it.
func startMillion(ctx context.Context, dir string) (*server, error) {
	s, err := startHub(ctx, hubName, filepath.Join(dir, "million"), "")
	if err != nil {
		return s, err
	}
	args := append([]string{"bench", "register", "--keep", "--modules", "1", "--devices", strconv.Itoa(millionDevices)}, s.args...)
	out, err := exec.CommandContext(ctx, "bin/berth", args...).CombinedOutput() //nolint:gosec // our own binary
	s.stop()
	s.down = true
	if err != nil {
		return s, fmt.Errorf("register a million: %w: %s", err, out)
	}
	return s, nil
}

func startHub(ctx context.Context, name, data, config string) (*server, error) {
	args := []string{"serve", "--data", data, "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--ops-port", "0"}
	if config != "" {
		args = append(args, "--config", config)
	}
	cmd := exec.CommandContext(ctx, "bin/berth", args...) //nolint:gosec // our own binary
	s := &server{name: name, hub: true, cmd: cmd, args: []string{"--data", data}}
	cmd.Stderr = &s.said
	if err := cmd.Start(); err != nil {
		return s, fmt.Errorf("start berth (make build makes it): %w", err)
	}
	var run struct {
		OpsPort int `json:"opsPort"`
	}
	err := until(ctx, func() error {
		b, err := os.ReadFile(filepath.Join(data, "run.json")) //nolint:gosec // a folder of our own
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &run)
	})
	if err != nil {
		s.stop()
		return s, fmt.Errorf("berth did not start: %w", err)
	}
	s.ops = net.JoinHostPort("127.0.0.1", strconv.Itoa(run.OpsPort))
	return s, nil
}

// pki is where the hub in dir keeps its certificates.
func pki(dir string) string { return filepath.Join(dir, "berth", "pki") }

// startMosquitto starts Debian's Mosquitto, in memory, behind the same certificate and
// with the same cipher as the hub.
func startMosquitto(ctx context.Context, dir string) (*server, error) {
	exe, err := exec.LookPath("mosquitto")
	if err != nil {
		exe = "/usr/sbin/mosquitto" // not on everybody's path
	}
	pair, conf := filepath.Join(pki(dir), "server-ecdsa.pem"), filepath.Join(dir, "mosquitto.conf")
	return startPeer(ctx, "mosquitto", dir, func(port int) (*exec.Cmd, error) {
		text := fmt.Sprintf("listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\ntls_version tlsv1.3\nciphers_tls1.3 TLS_AES_128_GCM_SHA256\n"+
			"allow_anonymous true\nset_tcp_nodelay true\npersistence false\nmax_inflight_messages 0\nmax_queued_messages 0\n"+
			"user root\nlog_type error\n", port, pair, pair)
		return exec.CommandContext(ctx, exe, "-c", conf), os.WriteFile(conf, []byte(text), 0o600) //nolint:gosec // the peer that is measured
	})
}

// startMochi starts mochi-mqtt, in memory, behind the same certificate.
func startMochi(ctx context.Context, dir string) (*server, error) { return startGo(ctx, "mochi", dir) }

// startHandshake starts the bare handshake loop behind the same certificate.
func startHandshake(ctx context.Context, dir string) (*server, error) {
	return startGo(ctx, "handshake", dir)
}

// startGo starts one of the commands of bench/peers.
func startGo(ctx context.Context, name, dir string) (*server, error) {
	return startPeer(ctx, name, dir, func(port int) (*exec.Cmd, error) {
		return exec.CommandContext(ctx, filepath.Join("bin", name), //nolint:gosec // built by make bench
			"-listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "-pair", filepath.Join(pki(dir), "server-ecdsa.pem")), nil
	})
}

// startPeer starts a server that is no hub and waits until it listens.
func startPeer(ctx context.Context, name, dir string, command func(port int) (*exec.Cmd, error)) (*server, error) {
	s := &server{name: name}
	port, err := freePort(ctx)
	if err != nil {
		return s, err
	}
	if s.cmd, err = command(port); err != nil {
		return s, err
	}
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		return s, fmt.Errorf("start %s (make bench installs it): %w", name, err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.args = []string{"--target", address, "--tls-ca", filepath.Join(pki(dir), "ca.pem"), "--server-name", "localhost"}
	err = until(ctx, func() error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	})
	if err != nil {
		s.stop()
		return s, fmt.Errorf("%s did not start: %w", name, err)
	}
	return s, nil
}

// until tries again until it succeeds.
func until(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, text, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return 0, err
	}
	port, err := strconv.Atoi(text)
	return port, errors.Join(err, ln.Close())
}

// profile takes a hub's CPU profile for most of one window, and its heap as it is then,
// into files that begin with name. The function it gives waits for both.
func (s *server) profile(ctx context.Context, name string, seconds int) (wait func() error) {
	done := make(chan error, 1)
	go func() {
		cpu := s.fetch(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(seconds, 2)), name+".cpu.pprof")
		done <- errors.Join(cpu, s.fetch(ctx, "/debug/pprof/heap", name+".heap.pprof"))
	}()
	return func() error { return <-done }
}

func (s *server) fetch(ctx context.Context, path, name string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // only read from
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, answer.Status)
	}
	f, err := os.Create(name) //nolint:gosec // the folder was asked for
	if err != nil {
		return err
	}
	_, err = io.Copy(f, answer.Body)
	return errors.Join(err, f.Close())
}
