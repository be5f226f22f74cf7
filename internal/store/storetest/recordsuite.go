package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/store"
)

func apply(t *testing.T, r store.Records, ws ...store.Write) []store.Rev {
	t.Helper()
	revs, err := r.Apply(t.Context(), store.Batch{Writes: ws})
	return must(t, revs, err)
}

func put(key, value string, condition store.Rev, index ...string) store.Write {
	return store.Write{Key: key, Value: []byte(value), If: condition, Index: index}
}

func keys(t *testing.T, r store.Records, prefix, after string, limit int) []string {
	t.Helper()
	var out []string
	err := r.Scan(t.Context(), prefix, after, func(rec store.Record) bool {
		out = append(out, rec.Key+"="+string(rec.Value))
		return len(out) < limit
	})
	return must(t, out, err)
}

func entries(t *testing.T, r store.Records, prefix, after string) []string {
	t.Helper()
	var out []string
	err := r.ScanIndex(t.Context(), prefix, after, func(index, key string) bool {
		out = append(out, fmt.Sprintf("%q>%q", index, key))
		return true
	})
	return must(t, out, err)
}

func recordsGetGivesWhatApplyWrote(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	if _, err := r.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("get of nothing: got %v, want ErrNotFound", err)
	}
	value := []byte("one")
	revs := apply(t, r, store.Write{Key: "a", Value: value, If: store.Absent})
	value[0] = 'X' // the engine has its own copy
	got := must2(t)(r.Get(t.Context(), "a"))
	if diff := cmp.Diff(store.Record{Key: "a", Value: []byte("one"), Rev: revs[0]}, got); diff != "" {
		t.Error(diff)
	}
	got.Value[0] = 'Y' // and gives copies
	if again := must2(t)(r.Get(t.Context(), "a")); string(again.Value) != "one" {
		t.Errorf("a reader's change reached the engine: %q", again.Value)
	}
	if revs := apply(t, r, store.Write{Key: "a", Delete: true, If: revs[0]}); revs[0] != 0 {
		t.Errorf("revision of a delete: got %d, want 0", revs[0])
	}
	if _, err := r.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get of a deleted record: got %v, want ErrNotFound", err)
	}
	apply(t, r, put("", "empty key", store.Any), put("\x00\xff", "", store.Absent))
	if got := must2(t)(r.Get(t.Context(), "\x00\xff")); len(got.Value) != 0 {
		t.Errorf("got %q, want an empty value", got.Value)
	}
}

// must2 is must for calls whose results are passed on whole.
func must2(t *testing.T) func(store.Record, error) store.Record {
	t.Helper()
	return func(r store.Record, err error) store.Record {
		t.Helper()
		return must(t, r, err)
	}
}

func recordsDemands(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	have := apply(t, r, put("here", "1", store.Absent))[0]
	cases := []struct {
		name  string
		write store.Write
		want  error
	}{
		{"absent but here", put("here", "2", store.Absent), store.ErrConflict},
		{"exists but not", put("gone", "2", store.Exists), store.ErrConflict},
		{"another revision", put("here", "2", have+1), store.ErrConflict},
		{"a revision of nothing", put("gone", "2", have), store.ErrConflict},
		{"delete of another revision", store.Write{Key: "here", Delete: true, If: have + 7}, store.ErrConflict},
		{"delete demands existence", store.Write{Key: "gone", Delete: true, If: store.Exists}, store.ErrConflict},
		{"delete of nothing", store.Write{Key: "gone", Delete: true, If: store.Any}, nil},
		{"absent delete", store.Write{Key: "gone", Delete: true, If: store.Absent}, nil},
	}
	for _, c := range cases {
		batch := store.Batch{
			Writes: []store.Write{put("beside", "x", store.Any, "beside-index"), c.write},
			Deltas: []store.Delta{{Key: "n", N: 1}},
		}
		before, err := r.Counter(t.Context(), "n")
		must(t, before, err)
		_, err = r.Apply(t.Context(), batch)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		after, err := r.Counter(t.Context(), "n")
		must(t, after, err)
		_, beside := r.Get(t.Context(), "beside")
		if written := after != before; written != (c.want == nil) || (beside == nil) != (c.want == nil) {
			t.Errorf("%s: counter from %d to %d, record beside %v: the batch must be whole or nothing", c.name, before, after, beside)
		}
		apply(t, r, store.Write{Key: "beside", Delete: true, If: store.Any})
	}
	if got := must2(t)(r.Get(t.Context(), "here")); string(got.Value) != "1" || got.Rev != have {
		t.Errorf("refused writes changed the record: %+v", got)
	}
	apply(t, r, put("here", "2", have))
	apply(t, r, put("here", "3", store.Exists))
	if got := entries(t, r, "beside", ""); len(got) != 0 {
		t.Errorf("index entries of a deleted record: %v", got)
	}
	if _, err := r.Apply(t.Context(), store.Batch{Writes: []store.Write{put("twice", "1", store.Any), put("twice", "2", store.Any)}}); err == nil {
		t.Error("a batch that writes one key twice was taken")
	}
}

func recordsRevisions(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	var last store.Rev
	for i := range 50 {
		rev := apply(t, r, put("a", "v", store.Any))[0]
		if rev <= last || rev >= store.Exists {
			t.Fatalf("write %d: revision %d after %d", i, rev, last)
		}
		last = rev
		if i%3 == 0 {
			apply(t, r, store.Write{Key: "a", Delete: true, If: rev})
		}
	}
}

func recordsIndex(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	apply(t, r, put("dev1", "", store.Absent, "state/on", "tag/a"), put("dev2", "", store.Absent, "state/on"))
	want := []string{`"state/on">"dev1"`, `"state/on">"dev2"`}
	if diff := cmp.Diff(want, entries(t, r, "state/", "")); diff != "" {
		t.Error(diff)
	}
	apply(t, r, put("dev1", "", store.Exists, "state/off", "tag/a"))
	want = []string{`"state/off">"dev1"`, `"state/on">"dev2"`, `"tag/a">"dev1"`}
	if diff := cmp.Diff(want, entries(t, r, "", "")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[1:], entries(t, r, "", "state/off")); diff != "" {
		t.Errorf("after an index key, all its records are passed: %s", diff)
	}
	apply(t, r, store.Write{Key: "dev2", Delete: true, If: store.Any, Index: []string{"ignored"}}, put("dev1", "", store.Any))
	if got := entries(t, r, "", ""); len(got) != 0 {
		t.Errorf("entries left behind: %v", got)
	}
	if got := keys(t, r, "", "", 9); !slices.Equal(got, []string{"dev1="}) {
		t.Errorf("index entries and records share a key space: %v", got)
	}
}

func recordsIndexOrder(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	indexes := []string{"\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "ab", "\xff", "\xff\xff"}
	apply(t, r, put("k\x00\x01", "", store.Absent, indexes...), put("\x00k", "", store.Absent, "a\x00"))
	var want []string
	for _, index := range indexes {
		if index == "a\x00" {
			want = append(want, fmt.Sprintf("%q>%q", index, "\x00k"))
		}
		want = append(want, fmt.Sprintf("%q>%q", index, "k\x00\x01"))
	}
	if diff := cmp.Diff(want, entries(t, r, "", "")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`"a\x00">"\x00k"`, `"a\x00">"k\x00\x01"`, `"a\x00b">"k\x00\x01"`}, entries(t, r, "a\x00", "a")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`"\xff">"k\x00\x01"`, `"\xff\xff">"k\x00\x01"`}, entries(t, r, "\xff", "\x00")); diff != "" {
		t.Error(diff)
	}
}

func recordsScan(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	for _, k := range []string{"b/2", "a/1", "b/1", "b", "c", "b/\xff", "b0"} {
		apply(t, r, put(k, k[:1], store.Absent))
	}
	cases := []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 9, []string{"a/1=a", "b=b", "b/1=b", "b/2=b", "b/\xff=b", "b0=b", "c=c"}},
		{"b/", "", 9, []string{"b/1=b", "b/2=b", "b/\xff=b"}},
		{"b/", "b/1", 9, []string{"b/2=b", "b/\xff=b"}},
		{"b/", "a", 1, []string{"b/1=b"}},
		{"b/", "c", 9, nil},
		{"d", "", 9, nil},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, keys(t, r, c.prefix, c.after, c.limit)); diff != "" {
			t.Errorf("scan %q after %q: %s", c.prefix, c.after, diff)
		}
	}
	err := r.Scan(t.Context(), "", "", func(rec store.Record) bool {
		_, err := r.Get(t.Context(), rec.Key) // a scan holds nothing that a read needs
		return err == nil
	})
	must(t, 0, err)
}

func recordsCounters(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := r.Apply(context.Background(), store.Batch{Deltas: []store.Delta{{Key: "n", N: 3}, {Key: "m", N: -1}}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for key, want := range map[string]int64{"n": 480, "m": -160, "never": 0} {
		got, err := r.Counter(t.Context(), key)
		if must(t, got, err) != want {
			t.Errorf("counter %s: got %d, want %d", key, got, want)
		}
	}
	if _, err := r.Get(t.Context(), "n"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("counters and records share a key space: %v", err)
	}
}

// recordsOneWinner: of writers that demand the same revision exactly one wins, and
// batches over several keys neither deadlock nor interleave.
func recordsOneWinner(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	apply(t, r, put("x", "0", store.Absent), put("y", "0", store.Absent))
	const workers, rounds = 8, 25
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for w := range workers {
		wg.Go(func() {
			for n := range rounds {
				x, errX := r.Get(context.Background(), "x")
				y, errY := r.Get(context.Background(), "y")
				if errX != nil || errY != nil {
					t.Error(errX, errY)
					return
				}
				text := fmt.Sprintf("%d/%d", w, n)
				ws := []store.Write{put("x", text, x.Rev), put("y", text, y.Rev)}
				if w%2 == 0 {
					slices.Reverse(ws)
				}
				_, err := r.Apply(context.Background(), store.Batch{Writes: ws, Deltas: []store.Delta{{Key: "won", N: 1}}})
				if err == nil {
					mu.Lock()
					won++
					mu.Unlock()
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	x, y := must2(t)(r.Get(t.Context(), "x")), must2(t)(r.Get(t.Context(), "y"))
	if string(x.Value) != string(y.Value) {
		t.Errorf("one batch wrote x=%s, another y=%s", x.Value, y.Value)
	}
	count, err := r.Counter(t.Context(), "won")
	if must(t, count, err) != int64(won) || won == 0 {
		t.Errorf("%d writers were told that they won, %d did", won, count)
	}
}

func recordsContext(t *testing.T, s Subject) {
	t.Helper()
	r := s.Records()
	apply(t, r, put("a", "1", store.Absent))
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := r.Apply(ctx, store.Batch{Writes: []store.Write{put("a", "2", store.Any)}}); !errors.Is(err, cause) {
		t.Errorf("apply: got %v, want the context's cause", err)
	}
	if _, err := r.Get(ctx, "a"); !errors.Is(err, cause) {
		t.Errorf("get: got %v, want the context's cause", err)
	}
	if err := r.Scan(ctx, "", "", func(store.Record) bool { return true }); !errors.Is(err, cause) {
		t.Errorf("scan: got %v, want the context's cause", err)
	}
	if got := must2(t)(r.Get(t.Context(), "a")); string(got.Value) != "1" {
		t.Errorf("a write in an ended context had effect: %q", got.Value)
	}
}

func recordsReopen(t *testing.T, s Subject) {
	t.Helper()
	if s.Reopen == nil {
		t.Skip("the engine cannot be reopened")
	}
	r := s.Records()
	rev := apply(t, r, put("a", "1", store.Absent, "i"), put("b", "2", store.Absent))[0]
	gone := apply(t, r, put("gone", "", store.Absent))[0]
	apply(t, r, store.Write{Key: "gone", Delete: true, If: gone})
	if _, err := r.Apply(t.Context(), store.Batch{Deltas: []store.Delta{{Key: "n", N: 5}}}); err != nil {
		t.Fatal(err)
	}
	r = s.Reopen(t).Records()
	if diff := cmp.Diff([]string{"a=1", "b=2"}, keys(t, r, "", "", 9)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`"i">"a"`}, entries(t, r, "", "")); diff != "" {
		t.Error(diff)
	}
	if got := must2(t)(r.Get(t.Context(), "a")); got.Rev != rev {
		t.Errorf("revision %d became %d", rev, got.Rev)
	}
	again := apply(t, r, put("gone", "", store.Absent), put("a", "2", rev))
	if again[0] <= gone || again[1] <= rev {
		t.Errorf("revisions %v are not above %d and %d", again, gone, rev)
	}
	if n, err := r.Counter(t.Context(), "n"); err != nil || n != 5 {
		t.Errorf("counter: %d %v, want 5", n, err)
	}
}
