package event

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-iot/berth/internal/amqpwire"
	"github.com/berth-iot/berth/internal/iot"
)

// arrived makes an event of dev1 that came in an encoding.
func arrived(source iot.Source, flags iot.RawFlags, props, body []byte) iot.Event {
	return iot.Event{
		Partition: 1, Sequence: 7, Offset: 640, Enqueued: time.UnixMilli(1_795_000_000_123).UTC(),
		Stamp: iot.Stamp{Identity: iot.Identity{Device: "dev1"}, Generation: 638_000_000_000_000_000},
		Raw:   iot.Raw{Source: source, Flags: flags, Props: props, Body: body},
	}
}

// sections encodes what stands before a body.
func sections(annotations, application amqpwire.Value, p amqpwire.Properties) []byte {
	var b []byte
	if !annotations.IsNull() {
		b = annotations.Append(amqpwire.AppendSection(b, amqpwire.CodeMessageAnnotations))
	}
	b = p.Append(b)
	if !application.IsNull() {
		b = application.Append(amqpwire.AppendSection(b, amqpwire.CodeApplicationProperties))
	}
	return b
}

var someUUID = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// full is a message with a bit of everything.
func full() []byte {
	return sections(
		amqpwire.Map(
			amqpwire.Symbol(iot.InterfaceID), amqpwire.String("urn:if"),
			amqpwire.Symbol(iot.ComponentName), amqpwire.String("thermostat"),
			amqpwire.Symbol(iot.ConnectionDeviceID), amqpwire.String("forged"),
			amqpwire.Symbol(SequenceNumber), amqpwire.Long(99),
		),
		amqpwire.Map(
			amqpwire.String("k"), amqpwire.String("v"),
			amqpwire.String("n"), amqpwire.Int(-5),
			amqpwire.String("null"), amqpwire.Value{},
			amqpwire.String(iot.CreationTime), amqpwire.String("2026-11-27T00:00:00Z"),
			amqpwire.String("k"), amqpwire.String("w"),
		),
		amqpwire.Properties{
			MessageID: amqpwire.UUID(someUUID), CorrelationID: amqpwire.Ulong(5), UserID: []byte("me"),
			To: []byte("/devices/dev1/messages/events"), ContentType: []byte("application/json"), ContentEncoding: []byte("utf-8"),
			AbsoluteExpiryTime: amqpwire.Some(int64(1_795_000_000_000)),
		},
	)
}

func TestParseAMQP(t *testing.T) {
	got, err := Parse(arrived(iot.SourceAMQP, 0, full(), []byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	want := iot.Message{
		System: iot.Properties{
			{Name: iot.MessageID, Value: "00010203-0405-0607-0809-0a0b0c0d0e0f"},
			{Name: iot.UserID, Value: "me"},
			{Name: iot.To, Value: "/devices/dev1/messages/events"},
			{Name: iot.CorrelationID, Value: "5"},
			{Name: iot.ContentType, Value: "application/json"},
			{Name: iot.ContentEncoding, Value: "utf-8"},
			{Name: iot.ExpiryTime, Value: "2026-11-18T11:06:40Z"},
			{Name: iot.InterfaceID, Value: "urn:if"},
			{Name: iot.ComponentName, Value: "thermostat"},
			{Name: iot.CreationTime, Value: "2026-11-27T00:00:00Z"},
			{Name: iot.ConnectionDeviceID, Value: "dev1"},
			{Name: iot.ConnectionAuthMethod, Value: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`},
			{Name: iot.ConnectionGenerationID, Value: "638000000000000000"},
			{Name: iot.EnqueuedTime, Value: "2026-11-18T11:06:40.123Z"},
			{Name: iot.MessageSource, Value: "Telemetry"},
		},
		Application: iot.Properties{
			{Name: "k", Value: "w"}, {Name: "n", Value: "-5"}, {Name: "null", Null: true},
		},
		Body: []byte("{}"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseBag(t *testing.T) {
	got, err := Parse(arrived(iot.SourceBag, iot.RawRetain, []byte("$.mid=1&k=v"), []byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := got.System.Get(iot.MessageID); id != "1" || len(got.Application) != 2 || string(got.Body) != "x" {
		t.Errorf("got %+v", got)
	}
}

func TestParseOfDamagedSectionsKeepsTheHubsWord(t *testing.T) {
	got, err := Parse(arrived(iot.SourceAMQP, 0, full()[3:], []byte("x")))
	if err == nil {
		t.Fatal("damaged sections are no error")
	}
	if id, _ := got.System.Get(iot.ConnectionDeviceID); id != "dev1" || string(got.Body) != "x" {
		t.Errorf("got %+v", got)
	}
}

func TestBodiesOfOtherKinds(t *testing.T) {
	value := func(v amqpwire.Value) []byte { return v.Append(amqpwire.AppendSection(nil, amqpwire.CodeValue)) }
	list := value(amqpwire.List(amqpwire.Int(1)))
	for name, c := range map[string]struct{ sections, want []byte }{
		"two data sections": {amqpwire.AppendData(amqpwire.AppendData(nil, []byte("a")), []byte("b")), []byte("ab")},
		"string":            {value(amqpwire.String("text")), []byte("text")},
		"binary":            {value(amqpwire.Binary([]byte{1, 2})), []byte{1, 2}},
		"null":              {value(amqpwire.Value{}), nil},
		"list":              {list, list},
		"nothing":           {[]byte{}, []byte{}},
		"damaged":           {[]byte{0x00, 0x53}, []byte{0x00, 0x53}},
	} {
		m, err := Parse(arrived(iot.SourceAMQP, iot.RawSections, nil, c.sections))
		if err != nil || string(m.Body) != string(c.want) {
			t.Errorf("%s: got %q, %v, want %q", name, m.Body, err, c.want)
		}
	}
}

func TestText(t *testing.T) {
	for want, v := range map[string]amqpwire.Value{
		"":                                     amqpwire.List(),
		"true":                                 amqpwire.Bool(true),
		"7":                                    amqpwire.Ubyte(7),
		"18446744073709551615":                 amqpwire.Ulong(1<<64 - 1),
		"-9":                                   amqpwire.Byte(-9),
		"0.1":                                  amqpwire.Float(0.1),
		"0.30000000000000004":                  amqpwire.Double(0.30000000000000004),
		"é":                                    amqpwire.Char('é'),
		"1970-01-01T00:00:00.001Z":             amqpwire.Timestamp(1),
		"9223372036854775807":                  amqpwire.Timestamp(1<<63 - 1),
		"00010203-0405-0607-0809-0a0b0c0d0e0f": amqpwire.UUID(someUUID),
		"plain":                                amqpwire.Binary([]byte("plain")),
		"/w==":                                 amqpwire.Binary([]byte{0xff}),
		"s":                                    amqpwire.Symbol("s"),
	} {
		if got := Text(v); got != want {
			t.Errorf("%v: got %q, want %q", v.Kind(), got, want)
		}
	}
}

// FuzzParse: whatever the log holds, a reader gets valid text and the hub's own word,
// and no sender's in its place.
func FuzzParse(f *testing.F) {
	f.Add(uint8(iot.SourceAMQP), uint8(0), full(), []byte("{}"))
	f.Add(uint8(iot.SourceAMQP), uint8(iot.RawSections), full(), amqpwire.AppendData(nil, []byte("x")))
	f.Add(uint8(iot.SourceBag), uint8(iot.RawWill), []byte("$.mid=1&k=v&%zz"), []byte("x"))
	f.Add(uint8(9), uint8(255), []byte("?"), []byte{})
	f.Fuzz(func(t *testing.T, source, flags uint8, props, body []byte) {
		e := arrived(iot.Source(source), iot.RawFlags(flags), props, body)
		m, _ := Parse(e)
		for _, p := range append(m.System, m.Application...) {
			if strings.ToValidUTF8(p.Value, "") != p.Value {
				t.Fatalf("%q is %q, which is no text", p.Name, p.Value)
			}
		}
		if id, _ := m.System.Get(iot.ConnectionDeviceID); id != "dev1" {
			t.Fatalf("an event of dev1 says it is of %q", id)
		}
		var x Encoder
		b := x.Append(nil, &e)
		if flags := iot.RawFlags(flags); flags&iot.RawSections != 0 && iot.Source(source) == iot.SourceAMQP {
			return // the shell has checked what stands there
		}
		sent, err := amqpwire.ScanMessage(b)
		if err != nil {
			t.Fatalf("a reader gets what is no message: %v", err)
		}
		annotations, err := amqpwire.DecodeAnnotations(sent.MessageAnnotations)
		if err != nil {
			t.Fatal(err)
		}
		if id, _ := annotations.Get(iot.ConnectionDeviceID).AsText(); id != "dev1" {
			t.Fatalf("an event of dev1 says it is of %q", id)
		}
		seen := make(map[string]bool)
		for k := range annotations.Pairs() {
			name, _ := k.AsText()
			if seen[name] {
				t.Fatalf("the annotation %q stands twice", name)
			}
			seen[name] = true
		}
	})
}
