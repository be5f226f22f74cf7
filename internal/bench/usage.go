package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// userHertz is the unit of utime and stime in /proc/PID/stat, which Linux has
// fixed at 100 for every program.
const userHertz = 100

// sample is what a process has used until now.
type sample struct {
	cpu      time.Duration
	resident int64 // bytes
}

// Usage is what a process used during the measured window.
type Usage struct {
	MicrosPerOp   float64 `json:"cpuMicrosPerOperation"` // processor time over completed operations
	Cores         float64 `json:"cores"`                 // processor seconds per second
	ResidentBytes int64   `json:"residentBytes"`         // at the end of the window
	GrownBytes    int64   `json:"grownBytes"`            // resident memory gained since the run began
}

// read samples a process from Linux's /proc; on other systems it is an error.
func read(pid int) (sample, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat") //nolint:gosec // the path holds a number only
	if err != nil {
		return sample{}, fmt.Errorf("read the use of process %d: %w", pid, err)
	}
	cpu, err := parseStat(stat)
	if err != nil {
		return sample{}, err
	}
	statm, err := os.ReadFile(dir + "/statm") //nolint:gosec // the path holds a number only
	if err != nil {
		return sample{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return sample{}, errors.New("/proc/PID/statm has fewer than two fields")
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return sample{}, fmt.Errorf("resident pages: %w", err)
	}
	return sample{cpu: cpu, resident: pages * int64(os.Getpagesize())}, nil
}

// parseStat gives user plus system time from the text of /proc/PID/stat. The
// program's name, in parentheses, may hold anything, so fields count from the last ')'.
func parseStat(stat []byte) (time.Duration, error) {
	i := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[i+1:])
	if i < 0 || len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is not as proc(5) says")
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHertz, nil
}

// watch is one process over one window; a nil watch watches nothing.
type watch struct {
	pid   int
	start sample // when the run began
	from  sample // when the window opened
	to    sample // when the window closed
}

// newWatch begins to watch a process; pid 0 is none.
func newWatch(pid int) (*watch, error) {
	if pid == 0 {
		return nil, nil //nolint:nilnil // nobody to watch is no error
	}
	s, err := read(pid)
	if err != nil {
		return nil, err
	}
	return &watch{pid: pid, start: s, from: s, to: s}, nil
}

func (w *watch) open() error {
	return w.take(func(s sample) { w.from = s })
}

func (w *watch) close() error {
	return w.take(func(s sample) { w.to = s })
}

// remember reads the memory again, after the window, without its processor time.
func (w *watch) remember() error {
	return w.take(func(s sample) { w.to.resident = s.resident })
}

func (w *watch) take(keep func(sample)) error {
	if w == nil {
		return nil
	}
	s, err := read(w.pid)
	if err == nil {
		keep(s)
	}
	return err
}

// pair is the server and the load generator over the same window.
type pair struct{ server, own *watch }

// watchBoth begins to watch the process of a server, 0 for none, and this one.
func watchBoth(server int) (*pair, error) {
	var (
		p   pair
		err error
	)
	if p.server, err = newWatch(server); err != nil {
		return nil, err
	}
	if p.own, err = newWatch(ownPID()); err != nil {
		return nil, err
	}
	return &p, nil
}

func (p *pair) open() error     { return errors.Join(p.server.open(), p.own.open()) }
func (p *pair) close() error    { return errors.Join(p.server.close(), p.own.close()) }
func (p *pair) remember() error { return errors.Join(p.server.remember(), p.own.remember()) }

// usage says what the window cost for done operations.
func (w *watch) usage(done uint64, window time.Duration) *Usage {
	if w == nil {
		return nil
	}
	cpu := w.to.cpu - w.from.cpu
	u := &Usage{ResidentBytes: w.to.resident, GrownBytes: w.to.resident - w.start.resident}
	if window > 0 {
		u.Cores = round(cpu.Seconds()/window.Seconds(), 100)
	}
	if done > 0 {
		u.MicrosPerOp = round(float64(cpu.Microseconds())/float64(done), 100)
	}
	return u
}
