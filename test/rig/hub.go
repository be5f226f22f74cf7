package rig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Host is the name of every hub of the rig: two labels, because some clients cut at
// the first dot.
const Host = "hub.localtest"

// Options say how a hub is started.
type Options struct {
	// Local binds 127.0.0.1 with free ports, for clients that can be told a port but
	// not how a name resolves. Otherwise the hub has a loopback address of its own, and
	// on it the ports that SDKs write into their code.
	Local bool
	// Config is the text of berth.toml; none if empty.
	Config string
	// CAFile is what clients trust if the hub shows a certificate of one's own.
	CAFile string
	// Args are further arguments of "berth serve".
	Args []string
	// Dir is the folder in which the data folder is made; a new one if empty.
	Dir string
}

// Hub is a hub in a process of its own. Its methods are for one goroutine, but for
// Output, Dial, TLS and what reads addresses.
type Hub struct {
	// fixed

	Dir      string // the data folder
	CAFile   string // the PEM file that clients trust
	Out      *Output
	tb       testing.TB
	bin      string
	args     []string
	policies map[string]string // connection strings by policy, as they were asked for

	// of the process that runs now

	Run  RunFile
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a hub in a new data folder and returns when it is ready. It ends with
// the test.
func Start(tb testing.TB, o Options) *Hub {
	tb.Helper()
	if o.Dir == "" {
		o.Dir = tb.TempDir()
	}
	h := &Hub{Dir: filepath.Join(o.Dir, "data"), Out: &Output{}, tb: tb, bin: Binary(tb), policies: map[string]string{}}
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	h.args = []string{"serve", "--data", h.Dir, "--host", Host, "--ops-port", "0"}
	if o.Local {
		h.args = append(h.args, "--bind", "127.0.0.1", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0")
	} else {
		addr := ownAddress()
		h.args = append(h.args, "--bind", addr, "--mqtt-port", "8883", "--amqp-port", "5671", "--https-port", strconv.Itoa(httpsPort(tb, addr)))
	}
	if o.Config != "" {
		name := filepath.Join(tb.TempDir(), "berth.toml")
		if err := os.WriteFile(name, []byte(o.Config), 0o600); err != nil {
			tb.Fatal(err)
		}
		h.args = append(h.args, "--config", name)
	}
	h.args = append(h.args, o.Args...)
	tb.Cleanup(func() {
		h.end(syscall.SIGKILL)
		if tb.Failed() {
			tb.Logf("the hub wrote:\n%s", h.Out)
		}
	})
	h.Start()
	if h.CAFile = o.CAFile; h.CAFile == "" {
		h.CAFile = h.Berth("ca", "path").Must().Line()
	}
	return h
}

// Start starts the hub again, in the same folder, with the same ports.
func (h *Hub) Start() {
	h.tb.Helper()
	if !h.TryStart() {
		h.tb.Fatalf("the hub did not become ready (exit code %d):\n%s", h.exitCode(), h.Out)
	}
}

// TryStart is Start for whoever expects that the hub may refuse, and end; what it writes is
// in Out. One that neither ends nor becomes ready fails the test.
func (h *Hub) TryStart() (ready bool) {
	h.tb.Helper()
	h.spawn()
	if !until(h.tb.Context(), startWithin, func() bool { return h.ended() || h.ready() }) {
		h.tb.Fatalf("the hub neither became ready nor ended:\n%s", h.Out)
	}
	return !h.ended()
}

// spawn starts the process.
func (h *Hub) spawn() {
	h.tb.Helper()
	h.cmd = exec.Command(h.bin, h.args...) //nolint:gosec,noctx // the built binary; end() ends it
	h.cmd.Stdout, h.cmd.Stderr = h.Out, h.Out
	h.cmd.SysProcAttr = DieWithParent()
	if err := h.cmd.Start(); err != nil {
		h.tb.Fatalf("start %s: %v", h.bin, err)
	}
	cmd, done := h.cmd, make(chan struct{})
	h.done = done
	go func() {
		_ = cmd.Wait() // the exit code is read from ProcessState
		close(done)
	}()
}

// Stumble starts the hub again and kills it after so long, ready or not.
func (h *Hub) Stumble(after time.Duration) {
	h.tb.Helper()
	h.spawn()
	select {
	case <-h.done:
		h.tb.Fatalf("the hub ended by itself, with %d:\n%s", h.exitCode(), h.Out)
	case <-time.After(after):
	}
	h.Kill()
}

// ready reports whether the process that runs now says that it is ready.
func (h *Hub) ready() bool {
	run, err := readRunFile(h.Dir)
	if err != nil || run.PID != h.cmd.Process.Pid {
		return false
	}
	h.Run = run
	status, _, err := h.ops(context.WithoutCancel(h.tb.Context()), "/readyz")
	return err == nil && status == http.StatusOK
}

// Kill ends the hub as power loss of the process does: SIGKILL, no goodbye.
func (h *Hub) Kill() {
	h.tb.Helper()
	h.end(syscall.SIGKILL)
}

// Stop asks the hub to stop, waits for its end, and gives the exit code.
func (h *Hub) Stop() int {
	h.tb.Helper()
	h.end(syscall.SIGTERM)
	return h.exitCode()
}

// end sends sig and waits until the process is gone.
func (h *Hub) end(sig syscall.Signal) {
	if h.cmd == nil || h.cmd.Process == nil {
		return
	}
	_ = h.cmd.Process.Signal(sig) // an ended process has nothing to end
	select {
	case <-h.done:
	case <-time.After(stopWithin):
		_ = h.cmd.Process.Kill()
		<-h.done
		h.tb.Errorf("the hub did not end within %v of %v", stopWithin, sig)
	}
}

// Signal sends sig to the hub and does not wait.
func (h *Hub) Signal(sig syscall.Signal) {
	h.tb.Helper()
	if err := h.cmd.Process.Signal(sig); err != nil {
		h.tb.Fatal(err)
	}
}

// Wait waits for the end of the process and gives the exit code.
func (h *Hub) Wait() int {
	h.tb.Helper()
	select {
	case <-h.done:
	case <-time.After(stopWithin):
		h.tb.Fatalf("the hub did not end within %v", stopWithin)
	}
	return h.exitCode()
}

// Alive reports whether the process runs.
func (h *Hub) Alive() bool { return !h.ended() }

func (h *Hub) ended() bool {
	select {
	case <-h.done:
		return true
	default:
		return false
	}
}

// exitCode is -1 for a process that runs or died of a signal.
func (h *Hub) exitCode() int {
	if !h.ended() {
		return -1
	}
	return h.cmd.ProcessState.ExitCode()
}

// PID is the process id of the hub that runs now.
func (h *Hub) PID() int { return h.cmd.Process.Pid }

// TLS gives what a client needs that trusts the hub's CA and dials it by name.
func (h *Hub) TLS() *tls.Config {
	pem, err := os.ReadFile(h.CAFile)
	if err != nil {
		h.tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		h.tb.Fatalf("%s holds no certificate", h.CAFile)
	}
	return &tls.Config{RootCAs: pool, ServerName: Host, MinVersion: tls.VersionTLS12}
}

// Root is the folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Binary is the built hub: BERTH_BIN, or bin/berth of this repository.
func Binary(tb testing.TB) string {
	tb.Helper()
	bin := os.Getenv("BERTH_BIN")
	if bin == "" {
		bin = filepath.Join(Root(), "bin", "berth")
	}
	if _, err := os.Stat(bin); err != nil { //nolint:gosec // whoever sets BERTH_BIN may run it
		tb.Fatalf("%v: run `make build`", err)
	}
	return bin
}

// ownAddress gives a loopback address that no other hub of this machine's tests has,
// so that the ports written into SDKs are free on it.
func ownAddress() string {
	pid, n := os.Getpid(), hubs.Add(1)
	return net.IPv4(127, byte(64+(pid>>8)%128), byte(pid), byte(1+n%250)).String()
}

// hubs counts the hubs of this process.
var hubs atomic.Uint32 //nolint:gochecknoglobals // addresses are unique in the process, not in a test

// httpsPort is 443 where this user may bind it; elsewhere another, and test clients are
// led there (hosts.js, curl --connect-to).
func httpsPort(tb testing.TB, addr string) int {
	tb.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "tcp", net.JoinHostPort(addr, "443"))
	if errors.Is(err, os.ErrPermission) {
		return 8443
	}
	if err != nil {
		tb.Fatalf("listen on port 443 of a loopback address: %v", err)
	}
	_ = ln.Close()
	return 443
}
