package mqtt

import (
	"testing"
	"time"

	"github.com/berth-iot/berth/internal/device"
	"github.com/berth-iot/berth/internal/hubtest"
	"github.com/berth-iot/berth/internal/mqttwire"
	"github.com/berth-iot/berth/internal/park"
)

// busy is a machine and a read buffer of n QoS 1 publishes of 256 bytes.
func busy(tb testing.TB, n int) (turn func(now time.Time) int) {
	tb.Helper()
	core := hubtest.NewCore(hubtest.Script{Instant: true, Forget: true})
	server, err := New(Config{Core: core, Lot: park.New(park.Config{})})
	if err != nil {
		tb.Fatal(err)
	}
	a := arrival{server: server, facts: new(device.Conn), wake: func() {}, log: server.log}
	m, err := a.open(tb.Context(), connect("dev1", nil))
	if err != nil {
		tb.Fatal(err)
	}
	var in []byte
	for i := range n {
		in = mqttwire.Publish{
			Topic: []byte("devices/dev1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"), Payload: make([]byte, 256),
			ID: uint16(i + 1), QoS: 1,
		}.Append(in)
	}
	out := make([]byte, 0, 4096)
	var t park.Turn
	return func(now time.Time) int {
		t = park.Turn{Now: now, In: in, Out: out[:0], Woken: true}
		if err := m.Turn(&t); err != nil || t.Used != len(in) {
			tb.Fatalf("used %d of %d, %v", t.Used, len(in), err)
		}
		return len(t.Out)
	}
}

// BenchmarkPublish is the whole path of a message through the conversation: decode,
// topic, bag, append, PUBACK.
func BenchmarkPublish(b *testing.B) {
	const batch = 16
	turn := busy(b, batch)
	now := time.Now()
	turn(now)
	b.ReportAllocs()
	for b.Loop() {
		if out := turn(now); out != 4*batch {
			b.Fatalf("%d bytes of PUBACKs, want %d", out, 4*batch)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/message")
}

func TestPublishPathDoesNotAllocate(t *testing.T) {
	turn := busy(t, 16)
	now := time.Now()
	turn(now)
	if allocs := testing.AllocsPerRun(200, func() { turn(now) }); allocs >= 1 { // a collection may empty the pool
		t.Errorf("%v allocations for 16 messages, want 0", allocs)
	}
}
