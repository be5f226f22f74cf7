package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/store"
)

// Rival is an engine that is compared with Memory, and what can be done to it from outside.
type Rival struct {
	Engine
	// Reopen replaces the engine by one on the same data, as a clean restart does.
	Reopen func() Engine
	// Crash replaces the engine by one on what a loss of power left of the data; nil if that
	// cannot be played.
	Crash func(t *rapid.T) Engine
	// Tidy does now what the engine does behind everybody's back; nil if there is nothing.
	Tidy func(t *rapid.T)
	// Fill lets the disk be full from now on, or have room again, also after a restart or a
	// crash; nil if that cannot be played.
	Fill func(full bool)
	// Done ends it.
	Done func()
}

// Compare plays the same random program against an engine and against Memory, its twin in
// memory, with restarts and crashes, and demands equal answers.
func Compare(t *testing.T, open func(t *rapid.T) Rival) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		rival := open(t)
		defer rival.Done()
		c := &comparison{
			engine: rival.Engine, model: New(), next: map[uint32]uint64{}, trimmed: map[uint32]uint64{}, revs: map[store.Rev]store.Rev{},
		}
		actions := map[string]func(*rapid.T){
			"apply": c.apply, "apply2": c.apply, "get": c.get, "scan": c.scan, "scanindex": c.scanIndex,
			"commit": c.commit, "commit2": c.commit, "read": c.read, "trim": c.trim, "tails": c.tails,
			"claim": c.claim,
		}
		if rival.Reopen != nil {
			actions["reopen"] = func(*rapid.T) {
				c.engine = rival.Reopen()
				c.restart()
			}
		}
		if rival.Crash != nil {
			actions["crash"] = func(t *rapid.T) { c.crash(t, rival.Crash) }
		}
		if rival.Fill != nil {
			actions["fill"] = func(t *rapid.T) {
				c.full = rapid.Bool().Draw(t, "full")
				rival.Fill(c.full)
				c.model.Fail(c.refuse)
			}
		}
		if rival.Tidy != nil {
			actions["tidy"] = rival.Tidy
		}
		t.Repeat(actions)
	})
}

// comparison is one run of the program.
type comparison struct {
	engine  Engine
	model   *Memory
	next    map[uint32]uint64       // first sequence not used, by partition
	trimmed map[uint32]uint64       // where the last trim ended, by partition
	revs    map[store.Rev]store.Rev // the engine's revision by the model's
	granted []grant                 // claims that were granted
	full    bool                    // the disk is
}

// grant is an epoch that was granted for an identity.
type grant struct {
	id    string
	epoch store.Epoch
}

// refuse is what a full disk refuses: writes of records, and commits of the log.
func (c *comparison) refuse(op Op) error {
	if c.full && (op == RecordsApply || op == LogCommit) {
		return store.ErrFull
	}
	return nil
}

// restart makes the model of the engine's next start.
func (c *comparison) restart() {
	c.model = c.model.Restart()
	c.model.Fail(c.refuse)
}

// crash loses nothing that was acknowledged but trims, which are repeated, as retention
// does.
func (c *comparison) crash(t *rapid.T, crash func(*rapid.T) Engine) {
	c.engine = crash(t)
	c.restart()
	for p, before := range c.trimmed {
		c.same(t, "trim again", nil, nil, c.model.Log().Trim(p, before), c.engine.Log().Trim(p, before))
	}
}

// word draws from few keys with awkward bytes, so that programs meet themselves.
func word(t *rapid.T, label string) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", "\x00", "\x01", "\xff"}), 0, 3).Draw(t, label), "")
}

// kind gives the error's sentinel, for comparison.
func kind(err error) error {
	for _, known := range []error{store.ErrNotFound, store.ErrConflict, store.ErrFull, store.ErrCorrupt, store.ErrClosed} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

func (c *comparison) same(t *rapid.T, what string, want, got any, wantErr, gotErr error) {
	if !errors.Is(kind(gotErr), kind(wantErr)) || (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%s: the engine says %v, the model %v", what, gotErr, wantErr)
	}
	if reflect.DeepEqual(want, got) {
		return // cmp is slow on bytes
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s: %s", what, diff)
	}
}

func (c *comparison) apply(t *rapid.T) {
	var forModel, forEngine store.Batch
	seen := map[string]bool{}
	for range rapid.IntRange(0, 3).Draw(t, "writes") {
		w := store.Write{Key: word(t, "key"), Delete: rapid.Bool().Draw(t, "delete")}
		if seen[w.Key] {
			continue
		}
		seen[w.Key] = true
		if !w.Delete {
			w.Value = rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "value")
			for range rapid.IntRange(0, 2).Draw(t, "indexes") {
				w.Index = append(w.Index, word(t, "index"))
			}
		}
		w.If = rapid.SampledFrom([]store.Rev{store.Any, store.Any, store.Absent, store.Exists, 1}).Draw(t, "if")
		e := w
		if w.If == 1 { // the revision there is, or one there never was
			rec, err := c.model.Records().Get(context.Background(), w.Key)
			w.If, e.If = store.Exists-1, store.Exists-1
			if err == nil {
				w.If, e.If = rec.Rev, c.revs[rec.Rev]
			}
		}
		forModel.Writes, forEngine.Writes = append(forModel.Writes, w), append(forEngine.Writes, e)
	}
	for range rapid.IntRange(0, 2).Draw(t, "deltas") {
		d := store.Delta{Key: word(t, "counter"), N: rapid.Int64().Draw(t, "n")}
		forModel.Deltas, forEngine.Deltas = append(forModel.Deltas, d), append(forEngine.Deltas, d)
	}
	want, wantErr := c.model.Records().Apply(context.Background(), forModel)
	got, gotErr := c.engine.Records().Apply(context.Background(), forEngine)
	c.same(t, "apply", len(want), len(got), wantErr, gotErr)
	for i, rev := range want {
		if (rev == 0) != (got[i] == 0) {
			t.Fatalf("apply: revision %d, want %d", got[i], rev)
		}
		c.revs[rev] = got[i]
	}
}

func (c *comparison) get(t *rapid.T) {
	key := word(t, "key")
	want, wantErr := c.model.Records().Get(context.Background(), key)
	got, gotErr := c.engine.Records().Get(context.Background(), key)
	want.Rev = c.revs[want.Rev]
	c.same(t, "get", fmt.Sprintf("%+q %d", want.Value, want.Rev), fmt.Sprintf("%+q %d", got.Value, got.Rev), wantErr, gotErr)
	counter, wantErr := c.model.Records().Counter(context.Background(), key)
	counted, gotErr := c.engine.Records().Counter(context.Background(), key)
	c.same(t, "counter", counter, counted, wantErr, gotErr)
}

func (c *comparison) scan(t *rapid.T) {
	prefix, after, limit := word(t, "prefix"), word(t, "after"), rapid.IntRange(1, 9).Draw(t, "limit")
	run := func(r store.Records, rev func(store.Rev) store.Rev) ([]string, error) {
		var out []string
		err := r.Scan(context.Background(), prefix, after, func(rec store.Record) bool {
			out = append(out, fmt.Sprintf("%q=%q@%d", rec.Key, rec.Value, rev(rec.Rev)))
			return len(out) < limit
		})
		return out, err
	}
	want, wantErr := run(c.model.Records(), func(r store.Rev) store.Rev { return c.revs[r] })
	got, gotErr := run(c.engine.Records(), func(r store.Rev) store.Rev { return r })
	c.same(t, "scan", want, got, wantErr, gotErr)
}

func (c *comparison) scanIndex(t *rapid.T) {
	prefix, after := word(t, "prefix"), word(t, "after")
	run := func(r store.Records) ([]string, error) {
		var out []string
		err := r.ScanIndex(context.Background(), prefix, after, func(index, key string) bool {
			out = append(out, fmt.Sprintf("%q>%q", index, key))
			return true
		})
		return out, err
	}
	want, wantErr := run(c.model.Records())
	got, gotErr := run(c.engine.Records())
	c.same(t, "scan index", want, got, wantErr, gotErr)
}

func (c *comparison) commit(t *rapid.T) {
	var blocks []store.Block
	for range rapid.IntRange(1, 3).Draw(t, "blocks") {
		p := rapid.Uint32Range(0, 2).Draw(t, "partition")
		first := c.next[p]
		c.next[p] += rapid.Uint64Range(1, 9).Draw(t, "messages")
		var m *store.Mark
		if rapid.Bool().Draw(t, "mark") {
			m = &store.Mark{Sequence: first, Offset: first * 7, Time: time.UnixMilli(int64(first)).UTC()}
		}
		blocks = append(blocks, Block(p, first, value(p, first, rapid.SampledFrom([]int{1, 100, 4000}).Draw(t, "size")), m))
	}
	c.same(t, "commit", nil, nil, c.model.Log().Commit(blocks), c.engine.Log().Commit(blocks))
}

func (c *comparison) read(t *rapid.T) {
	p := rapid.Uint32Range(0, 2).Draw(t, "partition")
	from := rapid.Uint64Range(0, c.next[p]+2).Draw(t, "from")
	size := rapid.SampledFrom([]int{1, 150, 5000, 1 << 20}).Draw(t, "bytes")
	want, wantErr := c.model.Log().Read(p, from, size)
	got, gotErr := c.engine.Log().Read(p, from, size)
	c.same(t, "read", want, got, wantErr, gotErr)
	first, ok, wantErr := c.model.Log().Next(p, from)
	begins, there, gotErr := c.engine.Log().Next(p, from)
	c.same(t, "next", fmt.Sprint(first, ok), fmt.Sprint(begins, there), wantErr, gotErr)
}

// trim never takes a partition's last block, as the telemetry log never does.
func (c *comparison) trim(t *rapid.T) {
	p := rapid.Uint32Range(0, 2).Draw(t, "partition")
	tails, err := c.model.Log().Tails(3)
	if err != nil {
		t.Fatal(err)
	}
	before := rapid.Uint64Range(0, tails[p].First).Draw(t, "before")
	c.trimmed[p] = max(c.trimmed[p], before)
	c.same(t, "trim", nil, nil, c.model.Log().Trim(p, before), c.engine.Log().Trim(p, before))
}

func (c *comparison) tails(t *rapid.T) {
	want, wantErr := c.model.Log().Tails(3)
	got, gotErr := c.engine.Log().Tails(3)
	c.same(t, "tails", want, got, wantErr, gotErr)
	for p := range uint32(3) {
		want, wantErr := c.model.Log().Marks(p)
		got, gotErr := c.engine.Log().Marks(p)
		c.same(t, "marks", want, got, wantErr, gotErr)
	}
}

// claim grants, and gives back epochs that hold or no longer do, of this start or of an
// earlier one.
func (c *comparison) claim(t *rapid.T) {
	id := word(t, "identity")
	want, wantErr := c.model.Claims().Claim(context.Background(), id)
	got, gotErr := c.engine.Claims().Claim(context.Background(), id)
	c.same(t, "claim", want, got, wantErr, gotErr)
	c.same(t, "generation", c.model.Claims().Generation(), c.engine.Claims().Generation(), nil, nil)
	c.granted = append(c.granted, grant{id, want})
	if rapid.Bool().Draw(t, "release") {
		g := rapid.SampledFrom(c.granted).Draw(t, "of")
		c.same(t, "release", nil, nil, c.model.Claims().Release(context.Background(), g.id, g.epoch), c.engine.Claims().Release(context.Background(), g.id, g.epoch))
		id = g.id
	}
	holder, wantErr := c.model.Claims().Holder(context.Background(), id)
	held, gotErr := c.engine.Claims().Holder(context.Background(), id)
	c.same(t, "holder", holder, held, wantErr, gotErr)
}
