package rig

import (
	"bufio"
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
)

// Result is what a finished command left behind.
type Result struct {
	Name     string // what was run, for messages
	Stdout   []byte
	Stderr   []byte
	ExitCode int // -1 if it did not end by itself
	tb       testing.TB
}

// Must fails the test unless the command ended with 0.
func (r Result) Must() Result {
	r.tb.Helper()
	if r.ExitCode != 0 {
		r.tb.Fatalf("%s ended with %d\nstdout: %s\nstderr: %s", r.Name, r.ExitCode, r.Stdout, r.Stderr)
	}
	return r
}

// Line is the standard output without surrounding space.
func (r Result) Line() string { return strings.TrimSpace(string(r.Stdout)) }

// Berth runs a command of the command line against this hub's data folder.
func (h *Hub) Berth(args ...string) Result {
	h.tb.Helper()
	return Run(h.tb, nil, h.bin, append(args, "--data", h.Dir)...)
}

// Run runs a program to its end, bounded in time, with stdin as its input.
func Run(tb testing.TB, stdin []byte, name string, args ...string) Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), commandWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // a test names the program
	cmd.SysProcAttr = DieWithParent()
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		tb.Fatalf("run %s: %v: run `make setup`", name, err)
	}
	return Result{
		Name: name + " " + strings.Join(args, " "), Stdout: stdout.Bytes(), Stderr: stderr.Bytes(),
		ExitCode: cmd.ProcessState.ExitCode(), tb: tb,
	}
}

// Need fails the test unless the programs are installed.
func Need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			tb.Fatalf("%s is missing: run `make setup`", p)
		}
	}
}

// Follow starts a command of the command line that goes on, and gives its lines as they
// come; the channel is closed when it ends. It ends with the test.
func (h *Hub) Follow(args ...string) <-chan string {
	h.tb.Helper()
	cmd := exec.Command(h.bin, append(args, "--data", h.Dir)...) //nolint:gosec,noctx // the built binary; the cleanup ends it
	cmd.SysProcAttr = DieWithParent()
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.tb.Fatal(err)
	}
	lines := make(chan string, maxFollowed)
	h.tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range lines { // the reader ends with the process
		}
		_ = cmd.Wait() // it was killed
	})
	go func() {
		defer close(lines)
		in := bufio.NewScanner(out)
		in.Buffer(nil, maxPacket)
		for in.Scan() {
			lines <- in.Text()
		}
	}()
	return lines
}
