package mqttwire

import (
	"errors"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func quote(b []byte) string { return strconv.Quote(string(b)) }

const fuzzLimit = 64 * 1024

// FuzzDecode: whatever comes, no panic, no more used than given, no allocation beyond a
// small multiple of the input.
func FuzzDecode(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.hex))
	}
	f.Add([]byte("\x10\xff\xff\xff\x7f"))
	f.Add([]byte("\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, n, err := Decode(b, fuzzLimit)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(64*len(b)+16*1024) {
			t.Errorf("%d bytes of input allocated %d", len(b), grown)
		}
		switch {
		case err == nil && (p == nil || n < 2 || n > len(b) || n > fuzzLimit):
			t.Errorf("Decode = %v, %d of %d", p, n, len(b))
		case err != nil && (p != nil || n != 0):
			t.Errorf("Decode = %v, %d with %v", p, n, err)
		case errors.Is(err, ErrShort) && len(b) >= fuzzLimit:
			t.Errorf("%d bytes are not enough for a packet of at most %d", len(b), fuzzLimit)
		}
	})
}

// FuzzRoundTrip: what decodes to a value, encodes to bytes that decode to an equal one.
func FuzzRoundTrip(f *testing.F) {
	for _, g := range golden {
		f.Add(unhex(f, g.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := Decode(b, fuzzLimit)
		if err != nil {
			return
		}
		again := p.Append(nil)
		q, n, err := Decode(again, len(again))
		if err != nil || n != len(again) {
			t.Fatalf("%#v encodes to %x: %d, %v", p, again, n, err)
		}
		if diff := cmp.Diff(p, q); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzPublishTo: whoever remembers a topic that he has had reads the next packet as if he
// did not.
func FuzzPublishTo(f *testing.F) {
	one := Publish{Topic: []byte("devices/d/messages/events/a=b"), ID: 1, QoS: 1, Payload: []byte("x")}.Append(nil)
	wild := Publish{Topic: []byte("devices/+/messages/events/"), ID: 2, QoS: 1}.Append(nil)
	other := Publish{Topic: []byte("devices/d/messages/events/"), QoS: 0}.Append(nil)
	for _, pair := range [][2][]byte{{one, one}, {one, other}, {one, wild}, {wild, wild}, {other, one[:len(one)-2]}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		read := func(b []byte) (Frame, bool) {
			frame, _, err := Split(b, fuzzLimit)
			return frame, err == nil && frame.Type == TypePublish
		}
		a, ok := read(first)
		b, also := read(second)
		if !ok || !also {
			return
		}
		known, err := a.Publish()
		if err != nil {
			return
		}
		want, wantErr := b.Publish()
		got, again, err := b.PublishTo(known.Topic)
		if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, wantErr) {
			t.Errorf("%v, want %v: %s", err, wantErr, diff)
		}
		if err == nil && again != (string(known.Topic) == string(want.Topic)) {
			t.Errorf("%q behind %q: again is %v", want.Topic, known.Topic, again)
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	in := Publish{Topic: []byte("devices/dev1/messages/events/%24.ct=application%2Fjson"), Payload: make([]byte, 256), ID: 7, QoS: 1}.Append(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		f, _, err := Split(in, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Publish(); err != nil {
			b.Fatal(err)
		}
	}
}
