package presence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/store"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// farewell is a Sink that stops in Ended.
type farewell struct {
	Sink
	told, on chan struct{}
}

// Ended implements Sink.
func (w farewell) Ended(e device.Ending) {
	w.told <- struct{}{}
	<-w.on
	w.Sink.Ended(e)
}

// TestCloseWaitsForAGoodbyeUnderWay: a session that leaves while the hub stops has
// been announced when Close returns, and Close can be given up.
func TestCloseWaitsForAGoodbyeUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := farewell{told: make(chan struct{}), on: make(chan struct{})}
		r := newRig(t, func(c *Config) {
			w.Sink = c.Sink
			c.Sink = w
		})
		f := r.connect(t, dev("d"), device.MQTT)
		go f.goodbye()
		<-w.told
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Close that may wait a second: %v", err)
		}
		closed := make(chan error, 1)
		go func() { closed <- r.Close(context.Background()) }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("Close returned (%v) before the sink was told of the last end", err)
			closed <- nil
		default:
		}
		close(w.on)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		r.ear.check(t, 0)
		late := newFake(dev("d"), device.MQTT)
		if _, err := r.Claim(t.Context(), &late.party, late, device.MQTT); fault.Of(err) != fault.ServiceUnavailable {
			t.Errorf("claim after Close: %v, want %v", err, fault.ServiceUnavailable)
		}
		if late.fences.Load() != 0 || r.places() != 0 {
			t.Errorf("a refused claim left %d places and was fenced %d times", r.places(), late.fences.Load())
		}
	})
}

// TestCloseSaysWhatItCouldNotWrite: and tries again when it is called again.
func TestCloseSaysWhatItCouldNotWrite(t *testing.T) {
	r := newRig(t)
	r.connect(t, dev("d"), device.MQTT)
	r.engine.Fail(func(op storetest.Op) error {
		if op == storetest.RecordsApply {
			return store.ErrFull
		}
		return nil
	})
	if err := r.Close(t.Context()); !errors.Is(err, store.ErrFull) {
		t.Errorf("close on a full disk: %v", err)
	}
	r.ear.check(t, 0)
	r.engine.Fail(nil)
	if err := r.Close(t.Context()); err != nil {
		t.Errorf("close with room: %v", err)
	}
	if _, err := r.engine.Records().Get(t.Context(), stateKey(dev("d"))); err != nil {
		t.Errorf("the state was not written: %v", err)
	}
}

// measured is Records that note the size of each batch.
type measured struct {
	store.Records
	sizes []int // owned by whoever writes states
}

// Apply implements store.Records.
func (m *measured) Apply(ctx context.Context, b store.Batch) ([]store.Rev, error) {
	m.sizes = append(m.sizes, len(b.Writes))
	return m.Records.Apply(ctx, b)
}

// TestBatchesAreBoundedAndWhole: however many states wait, in however many shards, a
// batch holds maxBatch of them at most, and all but the last of a round are full.
func TestBatchesAreBoundedAndWhole(t *testing.T) {
	const devices = 2*maxBatch + 300
	var m *measured
	r := newRig(t, func(c *Config) {
		m = &measured{Records: c.Records}
		c.Records = m
	})
	for i := range devices {
		id := dev(fmt.Sprint("d", i))
		sh := r.shard(id.Device)
		sh.mu.Lock()
		sh.note(id, &state{since: 1, active: 1})
		sh.mu.Unlock()
	}
	if err := r.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	written := 0
	for i, n := range m.sizes {
		written += n
		if n > maxBatch || i < devices/maxBatch && n != maxBatch && len(m.sizes) > devices/maxBatch+1 {
			t.Errorf("batches of %v, want at most %d, and full ones", m.sizes, maxBatch)
			break
		}
	}
	if written < devices {
		t.Errorf("%d states were written, want %d", written, devices)
	}
}

// TestWhatCannotBeDoneIsLogged: a write behind and a release that the store refuses
// reach nobody but the log.
func TestWhatCannotBeDoneIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newRig(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		f := r.connect(t, dev("d"), device.MQTT)
		r.engine.Fail(func(op storetest.Op) error {
			if op == storetest.RecordsApply || op == storetest.ClaimsRelease {
				return fmt.Errorf("%s: %w", op, store.ErrFull)
			}
			return nil
		})
		f.goodbye()
		time.Sleep(flushEvery * sweepEvery)
		synctest.Wait()
		r.stopForTest()
		for _, want := range []string{"device=d", "epoch=" + f.party.Epoch, "claims.release: store: disk full", "op=presence.flush", "records.apply: store: disk full"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, &log)
			}
		}
		r.ear.check(t, 0)
	})
}

func TestNewRefusesToGoWithoutAStore(t *testing.T) {
	engine := storetest.New()
	for _, cfg := range []Config{{}, {Claims: engine.Claims()}, {Records: engine.Records()}} {
		if p, err := New(cfg); err == nil || p != nil {
			t.Errorf("made without a store: %v", err)
		}
	}
}
