package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/mqttwire"
)

func TestPublishCountsWhatWasAcknowledged(t *testing.T) {
	b := &broker{}
	target := b.start(t)
	r, err := Publish{Devices: 3, Inflight: 8, Size: 100, Messages: 1000, Workers: 2}.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 3000 || r.Latency.Count != 3000 || r.Failed != 0 {
		t.Errorf("got %d done, %d measured, failures %v; want 3000", r.Done, r.Latency.Count, r.Failures)
	}
	if diff := cmp.Diff(map[string]int{"t/a": 1000, "t/b": 1000, "t/c": 1000}, b.topics); diff != "" {
		t.Error(diff)
	}
	if r.PerSecond <= 0 || r.Latency.P50 <= 0 || r.Latency.P50 > r.Latency.P99 || r.Latency.P99 > r.Latency.Max {
		t.Errorf("implausible: %+v", r)
	}
}

func TestPublishEndsWithItsTime(t *testing.T) {
	b := &broker{}
	r, err := Publish{Devices: 2, Inflight: 4, Size: 10, Warmup: 10 * time.Millisecond, Duration: 50 * time.Millisecond, Workers: 2}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	received := uint64(b.received)
	b.mu.Unlock()
	if r.Failed != 0 || r.Done == 0 || r.Done > received || r.Seconds < 0.05 {
		t.Errorf("got %d of %d in %.3f s, failures %v", r.Done, received, r.Seconds, r.Failures)
	}
}

func TestPublishInBatchesOfBoundedSize(t *testing.T) {
	p := newPackets("t", 1000, 500)
	if len(p.buf) > batchBytes || p.batch < 2 {
		t.Errorf("got %d packets in %d bytes", p.batch, len(p.buf))
	}
	if p = newPackets("t", MaxSize, 500); p.batch != 1 {
		t.Errorf("large packets: got %d in one batch", p.batch)
	}
	ids := []uint16{3, 1, 2}
	var got []uint16
	for b := newPackets("t", 5, 3).number(ids); len(b) > 0; {
		packet, n, err := mqttwire.Decode(b, 100)
		if err != nil {
			t.Fatal(err)
		}
		got, b = append(got, packet.(mqttwire.Publish).ID), b[n:]
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Error(diff)
	}
}

func TestPublishSaysWhenAcknowledgementsStop(t *testing.T) {
	b := &broker{silentAt: 10}
	plan := Publish{Devices: 1, Inflight: 4, Size: 10, Duration: 20 * time.Millisecond, Workers: 1, Drain: 20 * time.Millisecond}
	r, err := plan.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 1 || r.Done != 10 || !strings.Contains(r.Failures[0], "did not acknowledge") {
		t.Errorf("got %d done, failures %v", r.Done, r.Failures)
	}
}

func TestPublishRefusesAcknowledgementsOutOfTurn(t *testing.T) {
	b := &broker{twice: true}
	r, err := Publish{Devices: 1, Inflight: 1, Size: 10, Messages: 100, Workers: 1}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 1 || !strings.Contains(r.Failures[0], "not in flight") {
		t.Errorf("got failures %v", r.Failures)
	}
}

func TestRefusedConnectIsNamed(t *testing.T) {
	b := &broker{refuse: mqttwire.RefusedNotAuthorized}
	target := b.start(t)
	if _, err := (Publish{Devices: 2, Inflight: 1, Messages: 1, Workers: 2}).Run(t.Context(), target); err == nil || !strings.Contains(err.Error(), "return code 5") {
		t.Errorf("publish: got %v", err)
	}
	r, err := Connect{Devices: 3, Workers: 2}.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 0 || r.Failed != 3 || *r.Alive != 0 || len(r.Failures) != 3 {
		t.Errorf("connect: got %+v", r)
	}
}

func TestConnectHoldsAndPings(t *testing.T) {
	b := &broker{}
	r, err := Connect{Devices: 20, Workers: 4, Hold: time.Millisecond}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 20 || *r.Alive != 20 || r.Failed != 0 || r.Latency.Count != 20 {
		t.Errorf("got %+v", r)
	}
}

func TestConnectChurns(t *testing.T) {
	b := &broker{}
	r, err := Connect{Devices: 5, Workers: 2, Duration: 50 * time.Millisecond}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Done < 2 || r.Failed != 0 || r.Alive != nil {
		t.Errorf("got %+v", r)
	}
}

func TestTakeoverMeasuresTheOldConnectionsEnd(t *testing.T) {
	b := &broker{}
	r, err := Takeover{Devices: 3, Workers: 2, Rounds: 50}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 50 || *r.LeftOpen != 0 || r.Failed != 0 || r.Latency.Count != 50 || r.Connect.Count != 50 {
		t.Errorf("got %+v", r)
	}
}

func TestTakeoverCountsWhatIsLeftOpen(t *testing.T) {
	b := &broker{tolerant: true}
	r, err := Takeover{Devices: 1, Workers: 1, Rounds: 2, Patience: 5 * time.Millisecond}.Run(t.Context(), b.start(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 2 || *r.LeftOpen != 2 || r.Latency.Count != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestRegisterHandsOutEveryDeviceOnce(t *testing.T) {
	var sum, calls atomic.Int64
	r, err := Register{Target: "x", Devices: 250, Batch: 100, Workers: 3, Create: func(_ context.Context, first, count int) error {
		calls.Add(1)
		if first == 100 {
			return errors.New("refused")
		}
		for n := first; n < first+count; n++ {
			sum.Add(int64(n))
		}
		return nil
	}}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := int64(99*100/2 + (200+249)*50/2)
	if r.Done != 150 || r.Failed != 1 || sum.Load() != want || calls.Load() != 3 {
		t.Errorf("got %+v, sum %d, want %d", r, sum.Load(), want)
	}
}

func TestInterruptedRunIsAnError(t *testing.T) {
	b := &broker{}
	target := b.start(t)
	stop := errors.New("interrupted")
	for name, run := range map[string]func(context.Context) (*Report, error){
		"publish": func(ctx context.Context) (*Report, error) {
			return Publish{Devices: 2, Inflight: 2, Duration: time.Hour, Workers: 2}.Run(ctx, target)
		},
		"churn": func(ctx context.Context) (*Report, error) {
			return Connect{Devices: 2, Duration: time.Hour, Workers: 2}.Run(ctx, target)
		},
		"hold": func(ctx context.Context) (*Report, error) {
			return Connect{Devices: 2, Hold: time.Minute, Workers: 2}.Run(ctx, target)
		},
		"takeover": func(ctx context.Context) (*Report, error) {
			return Takeover{Devices: 2, Duration: time.Hour, Workers: 2}.Run(ctx, target)
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(stop) })
		if _, err := run(ctx); !errors.Is(err, stop) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestPlansAreChecked(t *testing.T) {
	target := &Target{Address: "127.0.0.1:1", Account: func(int) (Account, error) { return Account{}, errors.New("no account") }}
	for name, run := range map[string]func() (*Report, error){
		"no end":     func() (*Report, error) { return Publish{Devices: 1, Inflight: 1, Workers: 1}.Run(t.Context(), target) },
		"no devices": func() (*Report, error) { return Connect{Workers: 1}.Run(t.Context(), target) },
		"too many":   func() (*Report, error) { return Connect{Devices: MaxDevices + 1, Workers: 1}.Run(t.Context(), target) },
		"too large": func() (*Report, error) {
			return Publish{Devices: 1, Inflight: 1, Size: MaxSize + 1, Messages: 1, Workers: 1}.Run(t.Context(), target)
		},
		"long hold": func() (*Report, error) {
			return Connect{Devices: 1, Workers: 1, Hold: time.Hour}.Run(t.Context(), target)
		},
		"no rounds":  func() (*Report, error) { return Takeover{Devices: 1, Workers: 1}.Run(t.Context(), target) },
		"no creator": func() (*Report, error) { return Register{Devices: 1, Batch: 1, Workers: 1}.Run(t.Context()) },
		"no port": func() (*Report, error) {
			return Connect{Devices: 1, Workers: 1}.Run(t.Context(), &Target{Address: "x", Account: target.Account})
		},
		"no process": func() (*Report, error) {
			return Connect{Devices: 1, Workers: 1}.Run(t.Context(), &Target{Address: "x:1", Account: target.Account, PID: 1 << 30})
		},
		"no accounts": func() (*Report, error) {
			return Connect{Devices: 1, Workers: 1}.Run(t.Context(), &Target{Address: "x:1"})
		},
		"bad accounts": func() (*Report, error) { return Takeover{Devices: 1, Workers: 1, Rounds: 1}.Run(t.Context(), target) },
	} {
		if r, err := run(); err == nil {
			t.Errorf("%s: no error, %+v", name, r)
		}
	}
}

func TestHandshakeIsChecked(t *testing.T) {
	b := &broker{}
	target := b.start(t)
	target.TLS = &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS12}
	r, err := Connect{Devices: 1, Workers: 1}.Run(t.Context(), target)
	if err != nil || r.Failed != 1 || !strings.Contains(r.Failures[0], "TLS handshake") {
		t.Errorf("got %+v %v", r, err)
	}
}

func TestReportIsReadable(t *testing.T) {
	b := &broker{}
	target := b.start(t)
	target.PID = os.Getpid()
	r, err := Connect{Devices: 2, Workers: 1}.Run(t.Context(), target)
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	var text strings.Builder
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"dial to CONNACK", "alive at the end  2 of 2", "server", "kB a device", "p99.9"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	out, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(out, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*r, back); diff != "" {
		t.Error(diff)
	}
}

func TestPublishAllocatesNothingPerMessage(t *testing.T) {
	w := newWindow(Publish{Inflight: 64, Size: 100}, "t")
	var acks []byte
	for id := uint16(1); id <= 64; id++ {
		acks = mqttwire.Puback{ID: id}.Append(acks)
	}
	c := &conn{Conn: discard{}}
	h := new(histogram)
	if n := testing.AllocsPerRun(100, func() {
		if err := w.send(c, 0, w.size); err != nil {
			t.Fatal(err)
		}
		if used, n, err := w.acked(acks, time.Millisecond, h, true); used != len(acks) || n != 64 || err != nil {
			t.Fatal(used, n, err)
		}
	}); n != 0 {
		t.Errorf("got %.1f allocations for 64 messages", n)
	}
}
