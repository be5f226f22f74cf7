package telemetry

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// reseal makes a block's checksum good again after a test changed it.
func reseal(b []byte) {
	binary.LittleEndian.PutUint32(b[36:], 0)
	binary.LittleEndian.PutUint32(b[36:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// sample is a block of the two messages that docs/format.md shows.
func sample() []byte {
	device := iot.Stamp{Identity: iot.Identity{Device: "dev1"}, Generation: 0x0102030405060708}
	module := iot.Stamp{
		Identity:   iot.Identity{Device: "dev1", Module: "m"},
		Generation: 9, Scope: iot.ScopeHub, Auth: iot.AuthX509Certificate, ModelID: "dtmi:a;1",
	}
	b := make([]byte, headerSize)
	b = appendMessage(b, stampBytes(device), &iot.Raw{Source: iot.SourceBag, Flags: iot.RawRetain, Props: []byte("a=b"), Body: []byte("hi")})
	b = appendMessage(b, stampBytes(module), &iot.Raw{Source: iot.SourceAMQP})
	seal(b, header{count: 2, first: 5, time: 1_700_000_000_000, offset: 640, length: uint32(len(b) - headerSize)})
	return b
}

// TestBlockGolden: the bytes on disk never change (docs/format.md).
func TestBlockGolden(t *testing.T) {
	want := strings.Join([]string{
		"01000000", "02000000", "0500000000000000", "0068e5cf8b010000", "8002000000000000", "3e000000", "c7d9f1dc",
		"19000000", "01", "01", "0464657631", "00", "0807060504030201", "00", "00", "0300", "613d62", "6869",
		"1d000000", "00", "03", "0464657631", "016d", "0900000000000000", "22", "0864746d693a613b31", "0000",
	}, "")
	if got := hex.EncodeToString(sample()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecodeBlockRefusesDamage(t *testing.T) {
	for i := range sample() {
		for bit := range 8 {
			b := sample()
			b[i] ^= 1 << bit
			if _, err := decodeBlock(b); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("byte %d bit %d: got %v, want ErrCorrupt", i, bit, err)
			}
		}
	}
	for n := range sample() {
		if _, err := decodeBlock(sample()[:n]); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("first %d bytes: got %v, want ErrCorrupt", n, err)
		}
	}
	cases := map[string]struct {
		change func(b []byte)
		want   error
	}{
		"newer version":       {func(b []byte) { b[0] = 2 }, store.ErrFormat},
		"compressed":          {func(b []byte) { b[1] = 1 }, store.ErrFormat},
		"no message":          {func(b []byte) { b[4] = 0 }, store.ErrCorrupt},
		"more than fit":       {func(b []byte) { b[4] = 99 }, store.ErrCorrupt},
		"sequences overflow":  {func(b []byte) { copy(b[8:], bytes.Repeat([]byte{0xff}, 8)) }, store.ErrCorrupt},
		"length of another":   {func(b []byte) { b[32]++ }, store.ErrCorrupt},
		"unchanged is no hit": {func([]byte) {}, nil},
	}
	for name, c := range cases {
		b := sample()
		c.change(b)
		reseal(b)
		if _, err := decodeBlock(b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestMessageRoundTrip: what goes in comes out.
func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stamp := iot.Stamp{
			Identity: iot.Identity{
				Device: rapid.StringN(0, 60, 128).Draw(t, "device"),
				Module: rapid.StringN(0, 60, 128).Draw(t, "module"),
			},
			Generation: rapid.Uint64().Draw(t, "generation"),
			Scope:      iot.Scope(rapid.IntRange(0, 2).Draw(t, "scope")),
			Auth:       iot.AuthType(rapid.IntRange(0, 2).Draw(t, "auth")),
			ModelID:    rapid.StringN(0, 100, 255).Draw(t, "model"),
		}
		raw := iot.Raw{
			Source: iot.Source(rapid.IntRange(1, 3).Draw(t, "source")),
			Flags:  iot.RawFlags(rapid.IntRange(0, 3).Draw(t, "flags")),
			Props:  rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "props"),
			Body:   rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"),
		}
		prefix := stampBytes(stamp)
		b := appendMessage([]byte("x"), prefix, &raw)[1:]
		if len(b) != messageSize(prefix, &raw) {
			t.Fatalf("%d bytes, want %d", len(b), messageSize(prefix, &raw))
		}
		m, err := decodeMessage(append(b, "next"...))
		if err != nil || m.size != len(b) {
			t.Fatal(m.size, err)
		}
		if diff := cmp.Diff(stamp, decodeStamp(m.stamp)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(raw, m.raw); diff != "" {
			t.Error(diff)
		}
	})
}

func TestModelIDIsCut(t *testing.T) {
	b := stampBytes(iot.Stamp{ModelID: strings.Repeat("m", 300)})
	if got := decodeStamp(b).ModelID; len(got) != maxModel {
		t.Errorf("%d bytes of model id, want %d", len(got), maxModel)
	}
}

// FuzzBlock decodes anything: with the checksum as it came, and made good so that the
// fuzzer reaches what is behind it. Nothing is read beyond the input, and what decodes
// is consumed exactly.
func FuzzBlock(f *testing.F) {
	f.Add(sample())
	f.Add(sample()[:headerSize])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4<<10 { // larger ones teach nothing more
			return
		}
		_, _ = decodeBlock(in)
		if len(in) < headerSize {
			return
		}
		in = bytes.Clone(in)
		in[0], in[1] = blockVersion, codecPlain
		binary.LittleEndian.PutUint32(in[32:], uint32(len(in)-headerSize))
		reseal(in)
		b, err := decodeBlock(in)
		if err != nil {
			return
		}
		for at, n := 0, uint32(0); at < len(b.body) && n < b.count; n++ {
			m, err := decodeMessage(b.body[at:])
			if err != nil {
				return
			}
			if m.size < minMessage || at+m.size > len(b.body) {
				t.Fatalf("a message of %d bytes at %d of %d", m.size, at, len(b.body))
			}
			stamp := decodeStamp(m.stamp)
			if !bytes.Equal(stampBytes(stamp), m.stamp) {
				t.Fatalf("stamp %+v does not encode to itself", stamp)
			}
			again := appendMessage(nil, m.stamp, &m.raw)
			if !bytes.Equal(again, b.body[at:at+m.size]) {
				t.Fatal("a message does not encode to itself")
			}
			at += m.size
		}
	})
}
