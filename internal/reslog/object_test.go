package reslog

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// reflected is what encoding/json makes of a value, without its newline.
func reflected(t *rapid.T, v any) string {
	text, err := encode(new(bytes.Buffer), v)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(text, []byte("\n")))
}

// words are texts with everything in them that JSON must not take as it is.
func words() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "empty") {
			return ""
		}
		return string(rapid.SliceOfN(rapid.SampledFrom([]byte("ab\"\\/<&>\n\r\t\b\f\x00\x1f\x7f\xe2\x80\xa8\xa9\xc3\xbc\xff\xf0\x9f\x98\x80")), 0, 12).Draw(t, "bytes"))
	})
}

// given draws a pointer that may be nil.
func given[T any](g *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(g, true) }

func sides() *rapid.Generator[side] {
	word, count := words(), rapid.Uint64()
	return rapid.Custom(func(t *rapid.T) side {
		return side{
			Epoch: word.Draw(t, "epoch"), Conn: count.Draw(t, "conn"), Transport: word.Draw(t, "transport"), Listener: word.Draw(t, "listener"),
			RemotePort: rapid.Uint16().Draw(t, "port"), ClientID: word.Draw(t, "id"), SDKVersion: word.Draw(t, "sdk"), APIVersion: word.Draw(t, "api"),
			ModelID: word.Draw(t, "model"), KeepAlive: float64(rapid.Uint16().Draw(t, "keepAlive")), CleanSession: rapid.Bool().Draw(t, "clean"),
			AcceptedTime: word.Draw(t, "accepted"), ConnectTime: word.Draw(t, "connect"), LastInTime: word.Draw(t, "in"), LastOutTime: word.Draw(t, "out"),
			BytesIn: count.Draw(t, "bytesIn"), BytesOut: count.Draw(t, "bytesOut"), PacketsIn: count.Draw(t, "packetsIn"), PacketsOut: count.Draw(t, "packetsOut"),
			Credential: given(rapid.Custom(func(t *rapid.T) credential {
				return credential{word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c"), word.Draw(t, "d"), word.Draw(t, "e"), word.Draw(t, "f")}
			})).Draw(t, "credential"),
			TLS: given(rapid.Custom(func(t *rapid.T) tlsFacts {
				return tlsFacts{word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c"), word.Draw(t, "d"), word.Draw(t, "e"), rapid.Bool().Draw(t, "f"), word.Draw(t, "g")}
			})).Draw(t, "tls"),
			TCP: given(rapid.Custom(func(t *rapid.T) tcpFacts {
				return tcpFacts{
					State: word.Draw(t, "a"), RTTMS: float64(rapid.Int64Range(0, 1<<40).Draw(t, "b")) / 1000, Unacknowledged: rapid.Uint32().Draw(t, "c"),
					Retransmits: rapid.Uint8().Draw(t, "d"), LastDataReceivedMS: rapid.Int64().Draw(t, "e"), LastAckReceivedMS: rapid.Int64().Draw(t, "f"),
				}
			})).Draw(t, "tcp"),
			SilentForMS: given(rapid.Int64()).Draw(t, "silent"), HandshakeMicro: rapid.Int64().Draw(t, "handshake"),
		}
	})
}

// TestConnectionsAreWrittenAsJSONWouldBe: the records of connections are written by hand,
// and read like those that encoding/json writes.
func TestConnectionsAreWrittenAsJSONWouldBe(t *testing.T) {
	word := words()
	rapid.Check(t, func(t *rapid.T) {
		c := connection{
			DeviceID: word.Draw(t, "device"), ModuleID: word.Draw(t, "module"), SDKVersion: given(word).Draw(t, "sdk"), Protocol: word.Draw(t, "protocol"),
			AuthType: given(word).Draw(t, "auth"), MaskedIPAddress: word.Draw(t, "address"), StatusCode: given(word).Draw(t, "status"), ErrorMessage: word.Draw(t, "message"),
			Berth: given(rapid.Custom(func(t *rapid.T) facts {
				return facts{
					side: sides().Draw(t, "side"), Reason: word.Draw(t, "reason"), DurationMS: given(rapid.Int64()).Draw(t, "duration"),
					Unacked: rapid.Uint64().Draw(t, "unacked"), Released: rapid.Uint64().Draw(t, "released"), Will: rapid.Bool().Draw(t, "will"),
					By: given(rapid.Custom(func(t *rapid.T) rival {
						return rival{word.Draw(t, "address"), word.Draw(t, "auth"), sides().Draw(t, "side")}
					})).Draw(t, "by"),
				}
			})).Draw(t, "berth"),
		}
		inner := c.appendJSON(nil)
		if want := reflected(t, c); string(inner) != want {
			t.Fatalf("got  %s\nwant %s", inner, want)
		}
		env := envelope{
			Time: word.Draw(t, "time"), ResourceID: word.Draw(t, "resource"), OperationName: word.Draw(t, "operation"), Category: word.Draw(t, "category"),
			Level: word.Draw(t, "level"), ResultType: word.Draw(t, "result"), ResultDescription: word.Draw(t, "description"),
			Properties: string(inner), Location: word.Draw(t, "location"),
		}
		outer := env.appendJSON(nil, inner)
		if want := reflected(t, env); string(outer) != want {
			t.Fatalf("got  %s\nwant %s", outer, want)
		}
	})
}

// FuzzText: whatever a peer calls himself, the line stays one line of JSON.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\x00", "\u2028\u2029", "\xff\xfe", "\xe2\x80", "ü😀", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendText(nil, s)
		want, err := encode(new(bytes.Buffer), s)
		if err != nil {
			t.Fatal(err)
		}
		if want = bytes.TrimSuffix(want, []byte("\n")); !bytes.Equal(got, want) || !json.Valid(got) {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
		if again := appendText(nil, []byte(s)); !bytes.Equal(got, again) {
			t.Errorf("%q as bytes: got %s, want %s", s, again, got)
		}
	})
}
