package mqtt

import (
	"testing"

	"github.com/berth-iot/berth/internal/mqttwire"
)

// A DISCONNECT is found at a packet's border only, however the stream is cut.
func TestDisconnectIsFoundAtAPacketBorder(t *testing.T) {
	long := mqttwire.Publish{Topic: []byte("t"), Payload: make([]byte, 300)}.Append(nil)
	looksLike := mqttwire.Publish{Topic: []byte("t"), Payload: []byte{0xe0, 0, 0xe0, 0}}.Append(nil)
	bye := mqttwire.Disconnect{}.Append(nil)
	join := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	cases := []struct {
		name string
		b    []byte
		want bool
	}{
		{"alone", bye, true},
		{"behind messages", join(long, looksLike, mqttwire.Pingreq{}.Append(nil), bye), true},
		{"begun only", bye[:1], false},
		{"inside a message", looksLike, false},
		{"inside the rest of a message", looksLike[:len(looksLike)-1], false},
		{"with a body", []byte{0xe0, 1, 0}, false},
		{"behind what is not MQTT", join([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, bye), false},
		{"nothing", nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for size := 1; size <= len(c.b)+1; size++ {
				var h headers
				for rest := c.b; len(rest) > 0; {
					n := min(size, len(rest))
					h.feed(rest[:n])
					rest = rest[n:]
				}
				if h.goodbye != c.want {
					t.Fatalf("in pieces of %d: %t, want %t", size, h.goodbye, c.want)
				}
			}
		})
	}
}

// What a dead connection says never panics nor stalls, and every cut reads the same.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte{0xe0, 0}, uint8(1))
	f.Add([]byte{0x30, 0x80, 0x80, 0x80, 0x80, 0xe0, 0}, uint8(3))
	f.Add([]byte{0xc0, 0, 0x32, 2, 0xe0, 0, 0xe0, 0}, uint8(4))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		var whole, parts headers
		whole.feed(b)
		at := min(int(cut), len(b))
		parts.feed(b[:at])
		parts.feed(b[at:])
		if whole != parts {
			t.Errorf("%+v whole, %+v cut at %d", whole, parts, at)
		}
	})
}
