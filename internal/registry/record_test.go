package registry

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

func TestRecordIsOnDiskAsDocumented(t *testing.T) {
	rec := record{
		disabled: true, edge: true, method: methodSAS, generation: 300, etag: 5, statusSet: 1, modules: 2,
		keys:   [2][]byte{[]byte("0123456789abcdef"), []byte("fedcba9876543210")},
		reason: "why", scope: "s", parents: []string{"pp"}, managedBy: "",
	}
	want := "01" + "03" + "01" + // version, flags, authentication
		"ac02" + "05" + "01" + "02" + // generation, etag, status time, modules
		"10" + hex.EncodeToString([]byte("0123456789abcdef")) + "10" + hex.EncodeToString([]byte("fedcba9876543210")) +
		"00" + "00" + "03" + hex.EncodeToString([]byte("why")) + "01" + hex.EncodeToString([]byte("s")) +
		"01" + "02" + hex.EncodeToString([]byte("pp")) + "00"
	if got := hex.EncodeToString(rec.encode()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func drawRecord(t *rapid.T) record {
	text := rapid.StringN(0, 40, 128)
	rec := record{
		disabled: rapid.Bool().Draw(t, "disabled"), edge: rapid.Bool().Draw(t, "edge"),
		method:     method(rapid.ByteRange(byte(methodSAS), byte(methodNone)).Draw(t, "method")),
		generation: rapid.Uint64().Draw(t, "generation"), etag: rapid.Uint64().Draw(t, "etag"),
		statusSet: rapid.Uint64().Draw(t, "statusSet"), modules: rapid.IntRange(0, 50).Draw(t, "modules"),
		reason: text.Draw(t, "reason"), scope: text.Draw(t, "scope"), managedBy: text.Draw(t, "managedBy"),
	}
	if rapid.Bool().Draw(t, "parent") {
		rec.parents = []string{text.Draw(t, "parent scope")}
	}
	for i := range 2 {
		if key := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "key"); len(key) > 0 {
			rec.keys[i] = key
		}
		rec.thumbs[i] = text.Draw(t, "thumb")
	}
	return rec
}

func TestRecordSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawRecord(t)
		b := want.encode()
		got, err := decodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got, cmp.AllowUnexported(record{})); diff != "" {
			t.Fatal(diff)
		}
		// Any shorter value is damaged, and so is a longer one.
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := decodeRecord(b[:cut]); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("cut at %d: got %v, want ErrCorrupt", cut, err)
		}
		if _, err := decodeRecord(append(b, 0)); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("one byte more: got %v, want ErrCorrupt", err)
		}
	})
}

func TestRecordOfANewerVersionIsRefused(t *testing.T) {
	b := (&record{method: methodSAS}).encode()
	b[0] = recordVersion + 1
	if _, err := decodeRecord(b); !errors.Is(err, store.ErrFormat) {
		t.Errorf("got %v, want ErrFormat", err)
	}
}

func TestRecordBeyondItsLimitsIsDamaged(t *testing.T) {
	for name, rec := range map[string]record{
		"modules": {method: methodSAS, modules: iot.MaxModules + 1},
		"parents": {method: methodSAS, parents: make([]string, maxParents+1)},
		"method":  {method: methodNone + 1},
		"none":    {},
	} {
		if _, err := decodeRecord(rec.encode()); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
	b := (&record{method: methodSAS}).encode()
	b[1] = 4 // a flag nobody knows
	if _, err := decodeRecord(b); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("flags: got %v, want ErrCorrupt", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add((&record{method: methodSAS}).encode())
	f.Add((&record{method: methodCA, edge: true, parents: []string{"p"}, scope: "s", modules: 50}).encode())
	f.Add((&record{
		method: methodSelfSigned, thumbs: [2]string{strings.Repeat("A", 40)}, disabled: true, reason: "r", statusSet: 7,
	}).encode())
	f.Add([]byte{1, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}) // a varint without end
	f.Add([]byte{1, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})                      // a key of 4 GiB
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := decodeRecord(b)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFormat) {
				t.Fatalf("unclassified: %v", err)
			}
			return
		}
		again, err := decodeRecord(rec.encode())
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if diff := cmp.Diff(rec, again, cmp.AllowUnexported(record{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkDecodeRecord(b *testing.B) {
	value := (&record{method: methodSAS, generation: 6e17, etag: 2e8, keys: [2][]byte{testKey(1), testKey(2)}}).encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeRecord(value); err != nil {
			b.Fatal(err)
		}
	}
}
