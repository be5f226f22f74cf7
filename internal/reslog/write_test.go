package reslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// small makes records that are cheap to write.
func small(l *Log, first, n int) {
	for i := first; i < first+n; i++ {
		l.Connected(device.Party{Identity: iot.Identity{Device: "d"}, Opened: start, Conn: &device.Conn{ID: uint64(i)}})
	}
}

func decodeAll(t *testing.T, lines []string) []record {
	t.Helper()
	out := make([]record, 0, len(lines))
	for _, line := range lines {
		out = append(out, decode(t, line))
	}
	return out
}

func TestOverflowIsOneHonestRecord(t *testing.T) {
	const room, lost = 3000, 123
	file := shut()
	l := inMemory(t, file, nil)
	if l.queue.room != maxQueue {
		t.Errorf("room for %d records, want %d", l.queue.room, maxQueue)
	}
	l.queue.room = room
	small(l, 1, 1)
	await(t, file.tried, "the writer to stand before the file")
	small(l, 2, room+lost)
	close(file.gate)
	finish(t, l)
	rs := decodeAll(t, file.lines())
	if len(rs) != 1+room+1 {
		t.Fatalf("%d records, want %d", len(rs), 1+room+1)
	}
	if got := rs[room+1]; got.OperationName != "recordsMissing" || got.Category != categoryLog || got.Level != levelError ||
		got.props.Berth.Missing != lost || got.props.Berth.Reason == "" {
		t.Errorf("the last record: %+v, want %d missing", got, lost)
	}
	if diff := cmp.Diff(which(1, 1+room, func(int) bool { return true }), numbers(rs[:1+room])); diff != "" {
		t.Error(diff)
	}
}

func TestARefusedCrowdIsCountedNotWritten(t *testing.T) {
	const crowd = 5000
	file := &mem{}
	l := inMemory(t, file, nil)
	refused := fault.New(fault.IotHubUnauthorized, "op", "no")
	for range crowd {
		l.Refused(hello("x"), refused, start)
	}
	l.IdentityError("get", iot.Identity{Device: "x"}, brief().Conn.Remote, refused, start) // another category has its own rate
	l.Connected(brief())                                                                   // who proved himself has none
	l.Refused(hello("y"), refused, start.Add(time.Second))                                 // and a second later there is room again
	finish(t, l)
	count := map[string]int{}
	rs := decodeAll(t, file.lines())
	for _, r := range rs {
		count[r.OperationName+" "+r.ResultType]++
		if r.Category == categoryLog && !strings.Contains(r.Properties, `"category":"Connections"`) {
			t.Errorf("it does not say of what: %s", r.Properties)
		}
	}
	want := errorBurst + 1
	if count["deviceConnect 401003"] != want || count["get 401003"] != 1 || count["deviceConnect "] != 1 {
		t.Errorf("%v, want %d refusals and one of each other", count, want)
	}
	if got := gaps(rs); got != crowd-errorBurst {
		t.Errorf("%d are said to be missing, want %d", got, crowd-errorBurst)
	}
}

func TestCloseWritesWhatWaits(t *testing.T) {
	file := shut()
	l := inMemory(t, file, nil)
	small(l, 1, 1)
	await(t, file.tried, "the writer to stand before the file")
	small(l, 2, 999)
	ctx, cancel := context.WithCancelCause(t.Context())
	hurry := errors.New("hurry")
	cancel(hurry)
	if err := l.Close(ctx); !errors.Is(err, hurry) {
		t.Fatalf("an impatient close gave %v", err)
	}
	close(file.gate)
	finish(t, l)
	small(l, 1001, 1) // too late, and no harm
	if diff := cmp.Diff(which(1, 1000, func(int) bool { return true }), numbers(decodeAll(t, file.lines()))); diff != "" {
		t.Error(diff)
	}
	finish(t, l) // once more is no error
}

func TestReopeningAppends(t *testing.T) {
	dir := t.TempDir()
	for n := 1; n <= 5; n++ {
		l := onDisk(t, Config{Dir: dir})
		fill(l, n, 1)
		finish(t, l)
		if n == 3 { // a crash tore the line after the third
			name := filepath.Join(dir, fileName)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, append(b, `{"time":"2026-11-21T10:0`...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	l := onDisk(t, Config{Dir: dir})
	if diff := cmp.Diff([]uint64{1, 2, 3, 4, 5}, numbers(read(t, l, iot.LogQuery{}))); diff != "" {
		t.Error(diff)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{Dir: t.TempDir()}, {HubName: "hub"}, {HubName: "hub", Dir: name}} {
		if l, err := Open(cfg); err == nil {
			finish(t, l)
			t.Errorf("%+v was opened", cfg)
		}
	}
}

func TestAFullDiskDelaysNobodyAndIsTold(t *testing.T) {
	var operator bytes.Buffer
	file := &mem{limit: 1000} // two records and a part of the third
	l := inMemory(t, file, slog.New(slog.NewTextHandler(&operator, nil)))
	f, _ := following(t, func(ctx context.Context, take func([]byte) error) error {
		return l.follow(ctx, &iot.LogQuery{}, 0, take)
	})
	for n := 1; n <= 50; n++ {
		small(l, n, 1)
		if got := f.next(t).props.Berth.Conn; got != uint64(n) { // who follows misses nothing
			t.Fatalf("record %d, want %d", got, n)
		}
	}
	file.setLimit(0)
	small(l, 51, 2)
	for want := uint64(51); want <= 52; want++ {
		if got := f.next(t).props.Berth.Conn; got != want {
			t.Fatalf("record %d, want %d", got, want)
		}
	}
	finish(t, l)
	if err := f.end(t); err != nil {
		t.Error(err)
	}
	var rs []record
	torn := 0
	for _, line := range file.lines() {
		if !strings.HasSuffix(line, "}") {
			torn++
			continue
		}
		rs = append(rs, decode(t, line))
	}
	whole := len(rs) - 1
	if torn > 1 || whole < 3 || whole+gaps(rs) != 52 {
		t.Errorf("%d whole and %d torn lines, %d said to be missing, of 52: %v", whole, torn, gaps(rs), numbers(rs))
	}
	if got := strings.Count(operator.String(), "level=ERROR"); got != 1 {
		t.Errorf("the operator was told %d times, want once:\n%s", got, operator.String())
	}
}

func TestADiskThatStaysFullIsToldTheOperator(t *testing.T) {
	var operator bytes.Buffer
	file := &mem{limit: 1}
	l := inMemory(t, file, slog.New(slog.NewTextHandler(&operator, nil)))
	small(l, 1, 77)
	finish(t, l)
	if !strings.Contains(operator.String(), "lost=77") {
		t.Errorf("the operator was not told of 77 records:\n%s", operator.String())
	}
}

// halfway is a file that takes only a part of its first write.
type halfway struct {
	mem

	part   int
	failed bool
}

func (h *halfway) Write(p []byte) (int, error) {
	if !h.failed {
		h.failed = true
		n, _ := h.mem.Write(p[:h.part])
		return n, errFull
	}
	return h.mem.Write(p)
}

func TestWholeLinesOfATornWriteAreNotCountedAsMissing(t *testing.T) {
	file := &halfway{}
	l := &Log{file: file, resource: "r", now: time.Now, log: slog.New(slog.DiscardHandler)}
	lines := strings.Repeat(`{"time":"2026-11-21T10:00:00.000Z","properties":"{}"}`+"\n", 5)
	file.part = len(lines)/5*2 + 7
	l.put([]byte(lines), 5)
	l.put([]byte(lines), 5)
	got := file.lines()
	if len(got) != 2+1+1+5 { // whole, torn, what is missing, the second write
		t.Fatalf("%d lines: %q", len(got), got)
	}
	if r := decode(t, got[3]); r.props.Berth.Missing != 3 {
		t.Errorf("%d said to be missing, want 3", r.props.Berth.Missing)
	}
}

func TestStandardOutputCarriesTheSameLines(t *testing.T) {
	var out bytes.Buffer
	file := &mem{}
	l := open(Config{Dir: t.TempDir(), HubName: "hub", Stdout: &out}, file)
	small(l, 1, 100)
	finish(t, l)
	if diff := cmp.Diff(file.buf.String(), out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestABrokenStandardOutputIsLeftAlone(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	file := &mem{}
	l := open(Config{Dir: t.TempDir(), HubName: "hub", Stdout: w}, file)
	small(l, 1, 100)
	finish(t, l)
	if got := len(file.lines()); got != 100 {
		t.Errorf("%d lines in the file, want 100", got)
	}
}

func TestManyWritersAndReaders(t *testing.T) {
	const writers, each = 8, 200
	l := onDisk(t, Config{MaxSizeMB: 1})
	fill(l, 0, 1)
	f, _ := follow(t, l, iot.LogQuery{Device: "w3"})
	read(t, l, iot.LogQuery{Tail: 1})
	fail := fault.New(fault.DeviceNotFound, "op", "gone")
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				p := device.Party{Identity: iot.Identity{Device: fmt.Sprintf("w%d", w)}, Opened: start, Conn: &device.Conn{ID: uint64(n)}}
				l.Connected(p)
				l.TelemetryError(p.Identity, device.MQTT, n, fail, start)
				p.Conn.Traffic.In(start, n) // goes on while the record is on its way
			}
		})
		wg.Go(func() {
			for range 2 {
				read(t, l, iot.LogQuery{Device: fmt.Sprintf("w%d", w), Tail: 10})
			}
		})
	}
	for n := range each { // what one writer wrote comes in his order
		r := f.next(t)
		for r.Category != categoryConnections {
			r = f.next(t)
		}
		if got := r.props.Berth.Conn; got != uint64(n) {
			t.Fatalf("record %d, want %d", got, n)
		}
	}
	wg.Wait()
	for w := range writers {
		got := numbers(read(t, l, iot.LogQuery{Device: fmt.Sprintf("w%d", w), Category: categoryConnections}))
		if diff := cmp.Diff(which(0, each-1, func(int) bool { return true }), got[:min(len(got), each)]); diff != "" {
			t.Error(diff)
		}
	}
}
