package telemetry

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store/storetest"
)

// TestChunksAreWrittenAgain: without readers, however much passes through a partition, two
// chunks take turns, and what the store has is what was sent.
func TestChunksAreWrittenAgain(t *testing.T) {
	l := still(t, Config{Log: storetest.New().Log(), Partitions: 1})
	p, w := l.partitions[0], l.Writer(stampOf("dev"), nil)
	seen := map[*chunk]bool{}
	pad := make([]byte, 200<<10)
	const rounds = 100
	for i := range rounds {
		if n, err := w.Append([]iot.Raw{text("%d %s", i, pad)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		seen[p.open.chunk] = true
		l.gather() // the next one is appended while this one is committed
		if n, err := w.Append([]iot.Raw{text("%d+ %s", i, pad)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		seen[p.open.chunk] = true
		l.commit()
	}
	l.settle()
	if len(seen) > maxIdleChunks+1 || p.ring.bytes != 0 {
		t.Errorf("%d chunks, %d bytes in the ring", len(seen), p.ring.bytes)
	}
	for i, e := range take(t, l, 0, device.Start{}, 2*rounds) {
		if want := text("%d%s %s", i/2, []string{"", "+"}[i%2], pad).Body; !bytes.Equal(e.Raw.Body, want) {
			t.Fatalf("event %d is not what was sent", i)
		}
	}
}

// TestWhatAReaderHoldsStays, whatever is written later, also when the reader is gone.
func TestWhatAReaderHoldsStays(t *testing.T) {
	l := still(t, Config{Log: storetest.New().Log(), Partitions: 1})
	w := l.Writer(stampOf("dev"), nil)
	put := func(what string) {
		if n, err := w.Append([]iot.Raw{text("%s", what)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		l.step()
	}
	put("before")
	r, err := l.Reader(0, device.Start{At: device.StartEnd})
	if err != nil {
		t.Fatal(err)
	}
	put("seen")
	if l.partitions[0].ring.bytes == 0 {
		t.Error("nothing is kept for the reader")
	}
	held := drain(t, r, 1)
	r.Close()
	r.Close() // counts once
	if l.partitions[0].readers != 0 || l.partitions[0].ring.bytes != 0 {
		t.Errorf("%d readers, %d bytes in the ring", l.partitions[0].readers, l.partitions[0].ring.bytes)
	}
	for i := range 100 {
		put(fmt.Sprint(i, string(make([]byte, 100<<10))))
	}
	if got := string(held[0].Raw.Body); got != "seen" {
		t.Errorf("what the reader held has become %.20q", got)
	}
}

// TestARefusedBlockGivesItsChunkBack.
func TestARefusedBlockGivesItsChunkBack(t *testing.T) {
	m := storetest.New()
	l := still(t, Config{Log: m.Log(), Partitions: 1})
	seen := map[*chunk]bool{}
	pad := make([]byte, 200<<10)
	for i := range 50 {
		failing(m, map[bool]error{true: fmt.Errorf("refused")}[i%2 == 0])
		w := l.Writer(stampOf("dev"), nil)
		for range 3 {
			if n, err := w.Append([]iot.Raw{text("%s", pad)}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		seen[l.partitions[0].open.chunk] = true
		l.step()
	}
	if len(seen) > maxIdleChunks+1 {
		t.Errorf("%d chunks", len(seen))
	}
	if n := l.partitions[0].open.chunk.live; n != 0 {
		t.Errorf("%d blocks live", n)
	}
}
