package reslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

var start = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

// mem is a file in memory. While it is shut, writes wait; while it has a limit, it
// takes no more bytes than that in all, and fails as a full disk does.
type mem struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	limit int           // 0: none
	gate  chan struct{} // nil: open
	tried chan struct{} // has an element when a write came to the gate
}

var errFull = errors.New("no space left on device")

func (m *mem) Write(p []byte) (int, error) {
	if m.gate != nil {
		select {
		case m.tried <- struct{}{}:
		default:
		}
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.limit > 0 && m.buf.Len()+len(p) > m.limit {
		n, _ := m.buf.Write(p[:max(m.limit-m.buf.Len(), 0)])
		return n, errFull
	}
	return m.buf.Write(p)
}

func (m *mem) Close() error { return nil }

func (m *mem) setLimit(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = n
}

func (m *mem) lines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Split(strings.TrimSuffix(m.buf.String(), "\n"), "\n")
}

func shut() *mem { return &mem{gate: make(chan struct{}), tried: make(chan struct{}, 1)} }

// inMemory opens a log over a file of the test's own.
func inMemory(t *testing.T, file *mem, logger *slog.Logger) *Log {
	t.Helper()
	return open(Config{Dir: t.TempDir(), HubName: "hub", Now: func() time.Time { return start }, Logger: logger}, file)
}

func onDisk(t *testing.T, cfg Config) *Log {
	t.Helper()
	cfg.HubName = "hub"
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, l) })
	return l
}

// finish closes a log.
func finish(t *testing.T, l *Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// await waits for a channel.
func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !yes() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// read gives the records that a query without Follow finds.
func read(t *testing.T, l *Log, q iot.LogQuery) []record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out []record
	err := l.Read(ctx, q, func(line []byte) error {
		out = append(out, decode(t, string(line)))
		return nil
	})
	if err != nil {
		t.Fatalf("read %+v: %v", q, err)
	}
	return out
}

// record is a line, taken apart.
type record struct {
	envelope

	props struct {
		DeviceID string `json:"deviceId"`
		ModuleID string `json:"moduleId"`
		Berth    struct {
			gapFacts

			Conn uint64 `json:"conn"`
		} `json:"berth"`
	}
}

// decode takes a line apart; one that is not what was published ends the test.
func decode(t *testing.T, line string) record {
	t.Helper()
	var r record
	dec := json.NewDecoder(strings.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r.envelope); err != nil || dec.More() {
		t.Fatalf("no record: %q: %v", line, err)
	}
	if err := json.Unmarshal([]byte(r.Properties), &r.props); err != nil {
		t.Fatalf("properties do not parse: %q: %v", r.Properties, err)
	}
	return r
}

// numbers gives the connection numbers of records.
func numbers(rs []record) []uint64 {
	out := make([]uint64, 0, len(rs))
	for _, r := range rs {
		out = append(out, r.props.Berth.Conn)
	}
	return out
}

// gaps sums what the log says is missing.
func gaps(rs []record) int {
	n := 0
	for _, r := range rs {
		if r.Category == categoryLog {
			n += r.props.Berth.Missing
		}
	}
	return n
}

// nth is a party on connection n, opened n seconds after start: devices a and b take
// turns, and of b every other connection is its module m.
func nth(n int) device.Party {
	id := iot.Identity{Device: "a"}
	if n%2 == 1 {
		id.Device = "b"
		if n%4 == 3 {
			id.Module = "m"
		}
	}
	return device.Party{
		Identity: id, Epoch: fmt.Sprintf("1.%d", n), Opened: start.Add(time.Duration(n) * time.Second),
		Conn: &device.Conn{ID: uint64(n), Transport: device.MQTT, Remote: netip.MustParseAddrPort("10.0.0.9:50000")},
	}
}
