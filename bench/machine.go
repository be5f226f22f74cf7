package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// flushes is how many flushes are measured to know the disk.
const flushes = 200

// machine describes where and how the figures came about.
func (r *rig) machine(ctx context.Context) []string {
	lines := []string{
		fmt.Sprintf("%s, %d processors shared by servers and load generator, %s", cpuModel(), runtime.NumCPU(), memory()),
		first("/proc/sys/kernel/ostype") + " " + first("/proc/sys/kernel/osrelease"),
		"disk: " + r.disk(),
		runtime.Version() + ", " + said(ctx, "bin/berth", "version") + ", commit " + said(ctx, "git", "rev-parse", "--short", "HEAD"),
		"peers: " + mosquittoVersion(ctx) + ", " + mochiVersion() + ", all on loopback with the same ECDSA P-256 certificate",
		fmt.Sprintf("%d rounds of %d s, servers in turn; load average at the end %s", r.rounds, r.seconds, first("/proc/loadavg")),
		"command: `" + strings.Join(append([]string{"go run ./bench"}, os.Args[1:]...), " ") + "` (`make bench` builds first)",
	}
	return lines
}

func first(file string) string {
	b, err := os.ReadFile(file) //nolint:gosec // a file of /proc
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// said gives the first line of what a command prints.
func said(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output() //nolint:gosec // commands of this file
	if err != nil && len(out) == 0 {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func memory() string {
	fields := strings.Fields(first("/proc/meminfo")) // MemTotal: N kB
	if len(fields) < 2 {
		return "memory unknown"
	}
	kb, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%.0f GiB", kb/(1<<20))
}

// disk says how long a flush takes where the hub keeps its data.
func (r *rig) disk() string {
	took, err := flush(filepath.Join(r.dir, "flush"))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("a flush behind 4 KiB takes %.0f µs (median of %d)", took, flushes)
}

// flush appends and flushes a few times and gives the median in microseconds.
func flush(name string) (median50 float64, err error) {
	f, err := os.Create(name) //nolint:gosec // a folder of our own
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(name)) }()
	page := make([]byte, 4096)
	var all []float64
	for range flushes {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		from := time.Now()
		if err := f.Sync(); err != nil {
			return 0, err
		}
		all = append(all, float64(time.Since(from).Nanoseconds())/1e3)
	}
	return median(all), nil
}

func mosquittoVersion(ctx context.Context) string {
	exe, err := exec.LookPath("mosquitto")
	if err != nil {
		exe = "/usr/sbin/mosquitto"
	}
	return said(ctx, exe, "-h")
}

// mochiVersion reads what bench/peers requires.
func mochiVersion() string {
	b, err := os.ReadFile("bench/peers/go.mod")
	if err != nil {
		return "mochi-mqtt"
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) >= 2 && strings.Contains(line, "mochi-mqtt/server") {
			return "mochi-mqtt " + fields[len(fields)-1]
		}
	}
	return "mochi-mqtt"
}
