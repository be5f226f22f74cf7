package mqttwire

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden is one packet of every type, the bytes written down by hand from the standard.
var golden = []struct {
	name string
	hex  string
	want Packet
}{
	{"connect", "10 19 0004 4d515454 04 c2 00f0 0004 64657631 0003 682f64 0002 7077", Connect{
		Clean: true, KeepAlive: 240, ClientID: "dev1", Username: new("h/d"), Password: []byte("pw"),
	}},
	{"connect_will", "10 17 0004 4d515454 04 2c 0000 0001 64 0003 612f62 0003 627965", Connect{
		ClientID: "d", Will: &Will{Topic: "a/b", Payload: []byte("bye"), QoS: 1, Retain: true},
	}},
	{"connack", "20 02 01 00", Connack{SessionPresent: true}},
	{"connack_refused", "20 02 00 05", Connack{Code: RefusedNotAuthorized}},
	{"publish_qos0", "30 07 0003 612f62 6869", Publish{Topic: []byte("a/b"), Payload: []byte("hi")}},
	{"publish_qos1", "3b 09 0003 612f62 000a 6869", Publish{
		Topic: []byte("a/b"), Payload: []byte("hi"), ID: 10, QoS: 1, Dup: true, Retain: true,
	}},
	{"publish_empty", "32 05 0001 61 0001", Publish{Topic: []byte("a"), Payload: []byte{}, ID: 1, QoS: 1}},
	{"puback", "40 02 0102", Puback{0x0102}},
	{"pubrec", "50 02 0001", Pubrec{1}},
	{"pubrel", "62 02 0001", Pubrel{1}},
	{"pubcomp", "70 02 0001", Pubcomp{1}},
	{"subscribe", "82 0e 000a 0003 612f62 01 0003 632f23 02", Subscribe{
		ID: 10, Filters: []Filter{{[]byte("a/b"), 1}, {[]byte("c/#"), 2}},
	}},
	{"suback", "90 05 000a 01 00 80", Suback{ID: 10, Codes: []byte{1, 0, SubackFailure}}},
	{"unsubscribe", "a2 0c 000a 0003 612f62 0003 632f64", Unsubscribe{ID: 10, Topics: [][]byte{[]byte("a/b"), []byte("c/d")}}},
	{"unsuback", "b0 02 000a", Unsuback{10}},
	{"pingreq", "c0 00", Pingreq{}},
	{"pingresp", "d0 00", Pingresp{}},
	{"disconnect", "e0 00", Disconnect{}},
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestGoldenPackets(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			b := unhex(t, g.hex)
			got, n, err := Decode(b, len(b))
			if err != nil || n != len(b) {
				t.Fatalf("Decode = %d, %v; want %d, nil", n, err, len(b))
			}
			if diff := cmp.Diff(g.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(b, g.want.Append(nil)); diff != "" {
				t.Errorf("Append: %s", diff)
			}
			for i := range b {
				if _, _, err := Decode(b[:i], len(b)); !errors.Is(err, ErrShort) {
					t.Errorf("first %d bytes: %v, want ErrShort", i, err)
				}
			}
		})
	}
}

// Every packet that must be refused, with the clause that demands it.
func TestRefusals(t *testing.T) {
	connect := func(flags, rest string) string {
		return "10 10 0004 4d515454 04 " + flags + " 0000 0001 64 " + rest
	}
	cases := []struct {
		name, hex, clause string
	}{
		{"type 0", "00 00", "MQTT-2.2.1"},
		{"type 15", "f0 00", "MQTT-2.2.1"},
		{"publish qos 3", "36 05 0001 61 0001", "MQTT-3.3.1-4"},
		{"publish dup qos 0", "38 03 0001 61", "MQTT-3.3.1-2"},
		{"publish id 0", "32 05 0001 61 0000", "MQTT-2.3.1-1"},
		{"publish empty topic", "30 03 0000 61", "MQTT-4.7.3-1"},
		{"publish wildcard #", "30 03 0001 23", "MQTT-3.3.2-2"},
		{"publish wildcard +", "30 04 0002 2b2f", "MQTT-3.3.2-2"},
		{"publish NUL", "30 05 0003 610062", "MQTT-1.5.3-2"},
		{"publish overlong", "30 04 0002 c0af", "MQTT-1.5.3-1"},
		{"publish overlong NUL", "30 04 0002 c080", "MQTT-1.5.3-1"},
		{"publish surrogate", "30 05 0003 eda080", "MQTT-1.5.3-1"},
		{"publish beyond unicode", "30 06 0004 f4908080", "MQTT-1.5.3-1"},
		{"publish topic past end", "30 03 0005 61", "MQTT-2.2.3"},
		{"publish topic fills qos 1", "32 05 0003 616263", "MQTT-2.2.3"},
		{"publish too short", "30 02 0000", "MQTT-2.2.3"},
		{"puback flags", "41 02 0001", "MQTT-2.2.2-2"},
		{"puback length", "40 03 000100", "MQTT-2.2.3"},
		{"puback id 0", "40 02 0000", "MQTT-2.3.1-1"},
		{"pubrel flags", "60 02 0001", "MQTT-2.2.2-2"},
		{"subscribe flags", "80 06 0001 0001 61 00", "MQTT-2.2.2-2"},
		{"subscribe empty", "82 02 0001", "MQTT-3.8.3-3"},
		{"subscribe id 0", "82 06 0000 0001 61 00", "MQTT-2.3.1-1"},
		{"subscribe qos 3", "82 06 0001 0001 61 03", "MQTT-3-8.3-4"},
		{"subscribe qos reserved", "82 06 0001 0001 61 41", "MQTT-3-8.3-4"},
		{"subscribe empty filter", "82 05 0001 0000 00", "MQTT-4.7.3-1"},
		{"subscribe a#", "82 07 0001 0002 6123 00", "MQTT-4.7.1-2"},
		{"subscribe #/a", "82 08 0001 0003 232f61 00", "MQTT-4.7.1-2"},
		{"subscribe a+", "82 07 0001 0002 612b 00", "MQTT-4.7.1-3"},
		{"subscribe +a", "82 07 0001 0002 2b61 00", "MQTT-4.7.1-3"},
		{"subscribe NUL", "82 06 0001 0001 00 00", "MQTT-1.5.3-2"},
		{"subscribe qos missing", "82 05 0001 0001 61", "MQTT-2.2.3"},
		{"unsubscribe empty", "a2 02 0001", "MQTT-3.10.3-2"},
		{"unsubscribe flags", "a0 05 0001 0001 61", "MQTT-2.2.2-2"},
		{"pingreq with body", "c0 01 00", "MQTT-2.2.3"},
		{"disconnect with body", "e0 02 0000", "MQTT-2.2.3"},
		{"disconnect flags", "e1 00", "MQTT-2.2.2-2"},
		{"length of five bytes", "30 80808080 01", "MQTT-2.2.3"},
		{"connect name", "10 0c 0004 4d515455 04 00 0000 0000", "MQTT-3.1.2-1"},
		{"connect reserved flag", connect("01", "616161"), "MQTT-3.1.2-3"},
		{"connect will qos without will", connect("08", "616161"), "MQTT-3.1.2-13"},
		{"connect will retain without will", connect("20", "616161"), "MQTT-3.1.2-13"},
		{"connect will qos 3", connect("1c", "616161"), "MQTT-3.1.2-14"},
		{"connect password alone", connect("40", "616161"), "MQTT-3.1.2-22"},
		{"connect trailing", connect("00", "616161"), "MQTT-2.2.3"},
		{"connect user name missing", connect("80", "ffff61"), "MQTT-2.2.3"},
		{"connect user name NUL", connect("80", "000100"), "MQTT-1.5.3-2"},
		{"connect will topic empty", "10 11 0004 4d515454 04 04 0000 0001 64 0000 0000", "MQTT-4.7.3-1"},
		{"connect will topic wildcard", "10 12 0004 4d515454 04 04 0000 0001 64 0001 23 0000", "MQTT-3.3.2-2"},
		{"connack flags", "20 02 02 00", "MQTT-3.2.2-1"},
		{"connack present with refusal", "20 02 01 05", "MQTT-3.2.2-4"},
		{"connack code", "20 02 00 06", "MQTT-3.2.2-6"},
		{"suback code", "90 03 0001 03", "MQTT-3.9.3-2"},
		{"suback empty", "90 02 0001", "MQTT-3.8.4-5"},
		{"subscribe too many", "82 8a08 0001" + strings.Repeat("000161 00", 258), ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Decode(unhex(t, c.hex), 1<<20)
			refused, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("Decode = %v, want an *Error", err)
			}
			if refused.Clause != c.clause {
				t.Errorf("clause %q (%v), want %q", refused.Clause, err, c.clause)
			}
		})
	}
}

func TestOtherVersions(t *testing.T) {
	cases := []struct {
		name, hex string
		want      VersionError
	}{
		{"v5", "10 10 0004 4d515454 05 02 003c 00 0003 616263", VersionError{"MQTT", 5}},
		{"v3.1", "10 0f 0006 4d5149736470 03 02 003c 0001 61", VersionError{"MQIsdp", 3}},
		{"level 0", "10 0d 0004 4d515454 00 02 003c 0001 61", VersionError{"MQTT", 0}},
		{"bridge bit", "10 0d 0004 4d515454 84 02 003c 0001 61", VersionError{"MQTT", 0x84}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Decode(unhex(t, c.hex), 100)
			got, ok := errors.AsType[*VersionError](err)
			if !ok || *got != c.want {
				t.Errorf("Decode = %v, want %v", err, &c.want)
			}
		})
	}
	want := []byte{0x20, 3, 0, 0x84, 0}
	if diff := cmp.Diff(want, AppendConnack5(nil, ReasonUnsupportedVersion)); diff != "" {
		t.Error(diff)
	}
}

// A length is refused as soon as it is known, before a byte of the body.
func TestLengthCheckedBeforeBody(t *testing.T) {
	cases := []struct {
		hex   string
		limit int
		want  error
	}{
		{"10 ffffff7f", 32 * 1024, errTooLarge}, // a CONNECT claiming 256 MB
		{"30 05", 6, errTooLarge},
		{"30 05", 7, ErrShort},
		{"30 ffff", 1 << 20, ErrShort},
		{"c0 7f", 1 << 20, errBodyLength},
		{"40 03", 1 << 20, errBodyLength},
		{"10 ffffffff", 1 << 30, errLength},
	}
	for _, c := range cases {
		if _, _, err := Split(unhex(t, c.hex), c.limit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.hex, err, c.want)
		}
	}
}

func TestPublishDoesNotAllocate(t *testing.T) {
	b := Publish{Topic: []byte("devices/dev1/messages/events/a=b"), Payload: make([]byte, 256), ID: 7, QoS: 1}.Append(nil)
	allocs := testing.AllocsPerRun(100, func() {
		f, _, err := Split(b, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := f.Publish(); err != nil || p.ID != 7 {
			t.Fatal(p, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestLongFieldsAreCutNotCorrupted(t *testing.T) {
	long := strings.Repeat("a", 70_000)
	for _, p := range []Packet{
		Connect{ClientID: long, Username: &long, Password: []byte(long), Will: &Will{Topic: long, Payload: []byte(long)}},
		Publish{Topic: []byte(long), ID: 1, QoS: 1},
		Subscribe{ID: 1, Filters: []Filter{{[]byte(long), 0}}},
		Unsubscribe{ID: 1, Topics: [][]byte{[]byte(long)}},
	} {
		b := p.Append(nil)
		if _, n, err := Decode(b, len(b)); err != nil || n != len(b) {
			t.Errorf("%T: %d of %d, %v", p, n, len(b), err)
		}
	}
}

// The golden packets are also the committed seeds of both fuzz targets.
func TestSeedsAreCommitted(t *testing.T) {
	for _, target := range []string{"FuzzDecode", "FuzzRoundTrip"} {
		for _, g := range golden {
			name := filepath.Join("testdata", "fuzz", target, g.name)
			want := "go test fuzz v1\n[]byte(" + quote(unhex(t, g.hex)) + ")\n"
			if os.Getenv("UPDATE_SEEDS") != "" {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(name); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v; want %q (UPDATE_SEEDS=1 writes it)", name, got, err, want)
			}
		}
	}
}
