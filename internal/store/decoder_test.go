package store_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/berth-iot/berth/internal/store"
	"pgregory.net/rapid"
)

// What was written is read again, and a byte less is not.
func TestDecoderReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, number := rapid.Byte().Draw(t, "byte"), rapid.Uint64().Draw(t, "number")
		signed, text := rapid.Int64().Draw(t, "signed"), rapid.String().Draw(t, "text")
		rest := rapid.SliceOf(rapid.Byte()).Draw(t, "rest")
		b := binary.AppendVarint(binary.AppendUvarint([]byte{first}, number), signed)
		b = store.AppendText(b, text)
		fixed := len(b)
		b = append(b, rest...)

		d := store.NewDecoder(b)
		if d.Byte() != first || d.Uvarint() != number || d.Varint() != signed || d.Text() != text {
			t.Fatal("read something else")
		}
		if d.Len() != len(rest) || !bytes.Equal(d.Rest(), rest) || !d.Done() {
			t.Fatal("the rest is not what was left")
		}

		d = store.NewDecoder(b[:rapid.IntRange(0, fixed-1).Draw(t, "cut")])
		d.Byte()
		d.Uvarint()
		d.Varint()
		d.Text()
		if d.Ok() || d.Done() {
			t.Fatal("did not miss what was cut off")
		}
	})
}

func TestDecoderRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		read func(d *store.Decoder) bool // reports whether zero came
	}{
		{"no byte", nil, func(d *store.Decoder) bool { return d.Byte() == 0 }},
		{"no number", nil, func(d *store.Decoder) bool { return d.Uvarint() == 0 }},
		{"a number that does not end", []byte{0x80}, func(d *store.Decoder) bool { return d.Uvarint() == 0 }},
		{"a number not in its shortest form", []byte{0x81, 0}, func(d *store.Decoder) bool { return d.Uvarint() == 0 }},
		{"a number beyond 64 bits", bytes.Repeat([]byte{0xff}, 11), func(d *store.Decoder) bool { return d.Uvarint() == 0 }},
		{"a signed number not in its shortest form", []byte{0x82, 0}, func(d *store.Decoder) bool { return d.Varint() == 0 }},
		{"beyond its bound", []byte{8}, func(d *store.Decoder) bool { return d.AtMost(7) == 0 }},
		{"a text beyond the end", []byte{3, 'a', 'b'}, func(d *store.Decoder) bool { return d.Text() == "" }},
		{"a text of all there could be", binary.AppendUvarint(nil, math.MaxUint64), func(d *store.Decoder) bool { return d.Bytes() == nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := store.NewDecoder(c.b)
			if !c.read(&d) || d.Ok() || d.Done() || d.Rest() != nil {
				t.Errorf("taken: ok %t, done %t", d.Ok(), d.Done())
			}
		})
	}
	d := store.NewDecoder([]byte{7, 0})
	if d.AtMost(7) != 7 || d.Bytes() != nil || !d.Done() {
		t.Error("a number at its bound, or an empty text, was refused")
	}
}
