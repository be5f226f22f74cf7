package reslog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// fill connects n parties, from first on, with records of about 2.5 kB.
func fill(l *Log, first, n int) {
	for i := first; i < first+n; i++ {
		p := nth(i)
		p.Client = device.Client{ID: strings.Repeat("i", maxText), Type: strings.Repeat("t", maxText)}
		l.Connected(p)
	}
}

// files counts the files of a log.
func files(t *testing.T, dir string) int {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// which gives the numbers from first to last that keep is true of.
func which(first, last int, keep func(n int) bool) []uint64 {
	var out []uint64
	for n := first; n <= last; n++ {
		if keep(n) {
			out = append(out, uint64(n))
		}
	}
	return out
}

func TestReadFiltersAcrossRotatedFiles(t *testing.T) {
	const n = 900
	dir := filepath.Join(t.TempDir(), "[log]*") // a name that a pattern would misread
	l := onDisk(t, Config{Dir: dir, MaxSizeMB: 1})
	fill(l, 1, n)
	at := start.Add((n + 1) * time.Second)
	l.IdentityError("get", iot.Identity{Device: "a"}, nth(1).Conn.Remote, fault.New(fault.DeviceNotFound, "op", "gone"), at)
	if got := len(read(t, l, iot.LogQuery{})); got != n+1 {
		t.Fatalf("%d records, want %d", got, n+1)
	}
	if got := files(t, dir); got < 3 {
		t.Fatalf("%d files: the log was not rotated", got)
	}
	all := func(int) bool { return true }
	odd := func(n int) bool { return n%2 == 1 }
	module := func(n int) bool { return n%4 == 3 }
	second := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	for name, tc := range map[string]struct {
		q    iot.LogQuery
		want []uint64
	}{
		"category":       {iot.LogQuery{Category: "connections"}, which(1, n, all)},
		"device":         {iot.LogQuery{Device: "b"}, which(1, n, odd)},
		"module":         {iot.LogQuery{Device: "b", Module: "m"}, which(1, n, module)},
		"other category": {iot.LogQuery{Category: categoryIdentity}, []uint64{0}},
		"unknown device": {iot.LogQuery{Device: "c"}, []uint64{}},
		"part of a name": {iot.LogQuery{Device: "MICROSOFT"}, []uint64{}},
		"since":          {iot.LogQuery{Category: categoryConnections, Since: second(700)}, which(700, n, all)},
		"since, in between": {
			iot.LogQuery{Category: categoryConnections, Since: second(700).Add(-time.Millisecond)}, which(700, n, all),
		},
		"since the last":    {iot.LogQuery{Category: categoryConnections, Since: second(n)}, []uint64{n}},
		"since the future":  {iot.LogQuery{Since: second(n + 2)}, []uint64{}},
		"since, device":     {iot.LogQuery{Device: "b", Since: second(601)}, which(601, n, odd)},
		"tail":              {iot.LogQuery{Category: categoryConnections, Tail: 3}, which(n-2, n, all)},
		"tail across files": {iot.LogQuery{Category: categoryConnections, Tail: 700}, which(n-699, n, all)},
		"tail, module":      {iot.LogQuery{Device: "b", Module: "m", Tail: 5}, which(n-17, n, module)},
		"tail beyond":       {iot.LogQuery{Category: categoryConnections, Since: start, Tail: 1 << 30}, which(1, n, all)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, numbers(read(t, l, tc.q))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRetentionKeepsTheNewestFiles(t *testing.T) {
	const n, backups = 1600, 2
	dir := t.TempDir()
	l := onDisk(t, Config{Dir: dir, MaxSizeMB: 1, MaxBackups: backups})
	fill(l, 1, n)
	read(t, l, iot.LogQuery{Tail: 1})
	eventually(t, "old files to be removed", func() bool { return files(t, dir) <= backups+1 })
	got := numbers(read(t, l, iot.LogQuery{}))
	if len(got) == 0 || len(got) >= n {
		t.Fatalf("%d records of %d are kept", len(got), n)
	}
	if diff := cmp.Diff(which(n-len(got)+1, n, func(int) bool { return true }), got); diff != "" {
		t.Error(diff)
	}
}

// follower reads with Follow in a goroutine, one record at a time as the test takes
// them.
type follower struct {
	records chan record
	ended   chan error
}

func follow(t *testing.T, l *Log, q iot.LogQuery) (f *follower, cancel context.CancelCauseFunc) {
	t.Helper()
	q.Follow = true
	return following(t, func(ctx context.Context, take func([]byte) error) error { return l.Read(ctx, q, take) })
}

// following runs read as a follower, until the test ends.
func following(t *testing.T, read func(context.Context, func([]byte) error) error) (*follower, context.CancelCauseFunc) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	f := &follower{records: make(chan record), ended: make(chan error, 1)}
	take := func(line []byte) error {
		select {
		case f.records <- decode(t, string(line)):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	go func() { f.ended <- read(ctx, take) }()
	return f, cancel
}

func (f *follower) next(t *testing.T) record {
	t.Helper()
	select {
	case r := <-f.records:
		return r
	case err := <-f.ended:
		t.Fatalf("the follower ended: %v", err)
	case <-time.After(patience):
		t.Fatal("waited in vain for a record")
	}
	return record{}
}

func (f *follower) end(t *testing.T) error {
	t.Helper()
	for {
		select {
		case <-f.records:
		case err := <-f.ended:
			return err
		case <-time.After(patience):
			t.Fatal("waited in vain for the follower's end")
		}
	}
}

func TestFollowGivesWhatIsThereAndThenWhatComes(t *testing.T) {
	l := onDisk(t, Config{})
	fill(l, 1, 9)
	f, cancel := follow(t, l, iot.LogQuery{Device: "b", Tail: 2})
	for _, want := range []uint64{7, 9} {
		if got := f.next(t).props.Berth.Conn; got != want {
			t.Fatalf("record %d, want %d", got, want)
		}
	}
	for n := 10; n < 400; n++ { // each one is seen before the next one is made
		fill(l, n, 1)
		if n%2 == 1 {
			if got := f.next(t).props.Berth.Conn; got != uint64(n) {
				t.Fatalf("record %d, want %d", got, n)
			}
		}
	}
	enough := errors.New("enough")
	cancel(enough)
	if err := f.end(t); !errors.Is(err, enough) {
		t.Errorf("ended with %v, want the context's cause", err)
	}
}

func TestFollowEndsWithTheLog(t *testing.T) {
	l := onDisk(t, Config{})
	fill(l, 1, 1)
	f, _ := follow(t, l, iot.LogQuery{})
	f.next(t)
	finish(t, l)
	if err := f.end(t); err != nil {
		t.Errorf("ended with %v", err)
	}
	err := l.Read(t.Context(), iot.LogQuery{}, func([]byte) error { return nil })
	if fault.Of(err) != fault.ServiceUnavailable {
		t.Errorf("reading a closed log: %v", err)
	}
}

func TestReadEndsWithTheReadersError(t *testing.T) {
	l := onDisk(t, Config{})
	fill(l, 1, 2)
	enough, calls := errors.New("enough"), 0
	err := l.Read(t.Context(), iot.LogQuery{Follow: true}, func([]byte) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls, ended with %v", calls, err)
	}
}

func TestSlowFollowerDelaysNobodyAndIsToldWhatHeMissed(t *testing.T) {
	const n = 2 * ringLines
	l := onDisk(t, Config{})
	p := nth(0)
	l.Connected(p)
	f, _ := follow(t, l, iot.LogQuery{})
	f.next(t) // he stands behind the first record, and takes no more for now
	for i := 1; i <= n; i++ {
		q := p
		c := &device.Conn{ID: uint64(i), Transport: device.MQTT}
		q.Conn = c
		l.Connected(q)
	}
	if got := read(t, l, iot.LogQuery{Tail: 1}); got[0].props.Berth.Conn != n {
		t.Fatalf("the last record written is %d, want %d", got[0].props.Berth.Conn, n)
	}
	seen, missed, last := 0, 0, uint64(0)
	for last < n {
		r := f.next(t)
		if r.Category == categoryLog {
			missed += r.props.Berth.Missing
			last += uint64(r.props.Berth.Missing)
			continue
		}
		if seen++; r.props.Berth.Conn != last+1 {
			t.Fatalf("record %d after %d", r.props.Berth.Conn, last)
		}
		last++
	}
	if missed == 0 || seen < ringLines/2 || seen+missed != n {
		t.Errorf("saw %d, was told of %d missing, of %d", seen, missed, n)
	}
}

func TestReadSkipsDamagedLines(t *testing.T) {
	dir := t.TempDir()
	l := onDisk(t, Config{Dir: dir})
	fill(l, 1, 400)
	finish(t, l)
	name := filepath.Join(dir, fileName)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	lines[99] = "\x00\x00{\n"                                   // record 100
	lines[199] = strings.Repeat("x", 2*maxLine) + lines[199]    // record 200, unreadable
	lines[299] = strings.Replace(lines[299], `\"`, `"`, 1)      // record 300
	lines[399] = strings.TrimSuffix(lines[399], "\"berth\"}\n") // record 400, torn
	if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	l = onDisk(t, Config{Dir: dir})
	fill(l, 401, 1)
	bad := func(n int) bool { return n%100 != 0 }
	if diff := cmp.Diff(which(1, 401, bad), numbers(read(t, l, iot.LogQuery{}))); diff != "" {
		t.Error(diff)
	}
	since := start.Add(198 * time.Second)
	if diff := cmp.Diff(which(198, 401, bad), numbers(read(t, l, iot.LogQuery{Since: since}))); diff != "" {
		t.Error(diff)
	}
}
