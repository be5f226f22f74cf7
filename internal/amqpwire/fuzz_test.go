package amqpwire

import (
	"errors"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const fuzzLimit = 64 * 1024

// allocated says how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzDecode: whatever comes, as a protocol header, a frame, a body, a value or a
// message: no panic, no more used than given, no allocation beyond a small multiple of
// the input, and none at all where none is promised.
func FuzzDecode(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, n, err := SplitProto(b); (err == nil) != (n == ProtoLen) || n > len(b) {
			t.Errorf("SplitProto = %d of %d, %v", n, len(b), err)
		}
		var frame Frame
		var n int
		var err error
		if grown := allocated(func() {
			frame, n, err = Split(b, fuzzLimit)
			decodeAll(t, frame)
			decodeAll(t, Frame{Body: b})
			decodeAll(t, Frame{Type: FrameSASL, Body: b})
		}); grown > uint64(3*64*len(b)+16*1024) {
			t.Errorf("%d bytes of input allocated %d", len(b), grown)
		}
		switch {
		case err == nil && (n < FrameHeaderLen || n > len(b) || n > fuzzLimit || len(frame.Body) > n-FrameHeaderLen):
			t.Errorf("Split = %d of %d", n, len(b))
		case err != nil && (n != 0 || frame.Body != nil):
			t.Errorf("Split = %v, %d with %v", frame, n, err)
		case errors.Is(err, ErrShort) && len(b) >= fuzzLimit:
			t.Errorf("%d bytes are not enough for a frame of at most %d", len(b), fuzzLimit)
		}
		if grown := allocated(func() {
			_, _, _ = DecodeValue(b)
			m, _ := ScanMessage(b)
			_, _ = DecodeProperties(m.Properties)
			_, _ = DecodeAnnotations(m.MessageAnnotations)
			_, _ = DecodeApplicationProperties(m.ApplicationProperties)
		}); grown > 16*1024 { // nothing, but the fuzzer's own
			t.Errorf("values and sections of %d bytes allocated %d", len(b), grown)
		}
		walkValue(t, b)
		walkMessage(t, b)
	})
}

// decodeAll reads a body as everything it can be.
func decodeAll(t *testing.T, f Frame) {
	t.Helper()
	p, err := f.Decode()
	if (p == nil) != (err != nil) {
		t.Errorf("Decode = %v, %v", p, err)
	}
	s, err := f.DecodeSASL()
	if (s == nil) != (err != nil) {
		t.Errorf("DecodeSASL = %v, %v", s, err)
	}
}

// walkValue reads all of a value that decodes.
func walkValue(t *testing.T, b []byte) {
	t.Helper()
	v, n, err := DecodeValue(b)
	if (err == nil) != (n > 0) || n > len(b) {
		t.Errorf("DecodeValue = %d of %d, %v", n, len(b), err)
	}
	if err != nil {
		return
	}
	if seen := countValues(v); seen > (1+MaxEmpty)*len(b) {
		t.Errorf("%d bytes hold %d values", len(b), seen)
	}
	if !v.Equal(v.Clone()) || v.String() == "" || !v.Descriptor().Equal(v.Clone().Descriptor()) {
		t.Errorf("%v is not itself", v)
	}
}

// countValues visits every value in v.
func countValues(v Value) int {
	n := 1
	if d, inner, ok := v.AsDescribed(); ok {
		n += countValues(d) + countValues(inner)
	}
	for e := range v.Elements() {
		n += countValues(e)
	}
	for k, e := range v.Pairs() {
		n += countValues(k) + countValues(e)
	}
	return n
}

// walkMessage reads all of a message that scans.
func walkMessage(t *testing.T, b []byte) {
	t.Helper()
	m, err := ScanMessage(b)
	if err != nil {
		return
	}
	if n := len(m.Header) + len(m.DeliveryAnnotations) + len(m.MessageAnnotations) + len(m.Bare) + len(m.Footer); n != len(b) {
		t.Errorf("sections of %d bytes in %d", n, len(b))
	}
	if n := len(m.Properties) + len(m.ApplicationProperties) + len(m.Body); n != len(m.Bare) {
		t.Errorf("sections of %d bytes in a bare message of %d", n, len(m.Bare))
	}
	n := 0
	for d := range m.Data() {
		n++
		walkMessage(t, d)
	}
	for v := range m.Sequences() {
		n++
		countValues(v)
	}
	if m.BodyCode == CodeValue {
		n++
		countValues(m.Value())
	}
	if n != m.BodySections {
		t.Errorf("%d sections of a body, %d counted", n, m.BodySections)
	}
	for _, section := range [][]byte{m.DeliveryAnnotations, m.MessageAnnotations, m.Footer} {
		if _, err := DecodeAnnotations(section); err != nil {
			t.Errorf("%x: %v", section, err)
		}
	}
	if _, err := DecodeApplicationProperties(m.ApplicationProperties); err != nil {
		t.Errorf("%x: %v", m.ApplicationProperties, err)
	}
	if h, err := DecodeHeader(m.Header); err == nil {
		if again, err := DecodeHeader(h.Append(nil)); err != nil || again != h {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	}
	if p, err := DecodeProperties(m.Properties); err == nil {
		if again, err := DecodeProperties(p.Append(nil)); err != nil || !cmp.Equal(again, p) {
			t.Errorf("%+v became %+v, %v", p, again, err)
		}
	}
}

// FuzzRoundTrip: what decodes to a value, encodes to bytes that decode to an equal one.
func FuzzRoundTrip(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { roundTrip(t, b) })
}

func roundTrip(t *testing.T, b []byte) {
	t.Helper()
	if v, _, err := DecodeValue(b); err == nil {
		again := v.Append(nil)
		if w, n, err := DecodeValue(again); err != nil || n != len(again) || !w.Equal(v) {
			t.Fatalf("%v encodes to %x: %v, %d, %v", v, again, w, n, err)
		}
	}
	f, _, err := Split(b, fuzzLimit)
	if err != nil {
		return
	}
	if p, err := f.Decode(); err == nil {
		again := AppendFrame(nil, f.Channel, p)
		q, err := splitLong(t, again).Decode()
		if diff := cmp.Diff(p, q); err != nil || diff != "" {
			t.Fatalf("%+v encodes to %x: %v %s", p, again, err, diff)
		}
		if hot := appendHot(nil, f.Channel, p); hot != nil && !cmp.Equal(hot, again) {
			t.Fatalf("two encodings: %x and %x", hot, again)
		}
	}
	if s, err := f.DecodeSASL(); err == nil {
		again := AppendSASL(nil, s)
		q, err := splitLong(t, again).DecodeSASL()
		if diff := cmp.Diff(s, q); err != nil || diff != "" {
			t.Fatalf("%+v encodes to %x: %v %s", s, again, err, diff)
		}
	}
}
