package amqpwire

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldenMessages has every section, likewise.
var goldenMessages = []struct{ name, hex string }{
	{"message_all", "005370c00c0541500970000003e8415202005371c10602a3016b5401005372c11104a307782d6f70742d61a1016253075401005373c0450da1026964a00175a102746fa103737562a10272655307a30a746578742f706c61696ea3057574662d388300000000000007d08300000000000003e8a101675203a1027267005374c10b04a10170a10176a1016e40005375a0036f6e65005375a00374776f005378c10602a3016b5401"},
	{"message_data", "005375a0036f6e65"},
	{"message_data_properties", "005373c00501a1026964005375a0036f6e65"},
	{"message_sequence", "005376c006025401a1016100537645"},
	{"message_value", "005374c10b04a10170a10176a1016e40005377c10902a1016bc003024041"},
	{"message_value_null", "00537740"},
	{"message_empty", ""},
	{"message_bodyless", "005372c11104a307782d6f70742d61a1016253075401005374c10b04a10170a10176a1016e40005378c10602a3016b5401"},
	{"message_named", "00a310616d71703a6865616465723a6c697374c002014100800000000000000075a00178"},
}

func message(tb testing.TB, name string) []byte {
	tb.Helper()
	for _, g := range goldenMessages {
		if g.name == name {
			return unhex(tb, g.hex)
		}
	}
	tb.Fatal(name)
	return nil
}

func scanned(tb testing.TB, b []byte) Message {
	tb.Helper()
	m, err := ScanMessage(b)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestScanMessage(t *testing.T) {
	b := message(t, "message_all")
	m := scanned(t, b)
	whole := bytes.Join([][]byte{m.Header, m.DeliveryAnnotations, m.MessageAnnotations, m.Properties, m.ApplicationProperties, m.Body, m.Footer}, nil)
	if !bytes.Equal(whole, b) {
		t.Errorf("the sections are %x, want %x", whole, b)
	}
	if bare := bytes.Join([][]byte{m.Properties, m.ApplicationProperties, m.Body}, nil); !bytes.Equal(bare, m.Bare) {
		t.Errorf("the bare message is %x, want %x", m.Bare, bare)
	}
	if m.BodyCode != CodeData || m.BodySections != 2 {
		t.Errorf("body: %d of %v", m.BodySections, m.BodyCode)
	}
	var data []string
	for d := range m.Data() {
		data = append(data, string(d))
	}
	if diff := cmp.Diff([]string{"one", "two"}, data); diff != "" {
		t.Error(diff)
	}
	if !m.Value().IsNull() || len(slices.Collect(m.Sequences())) != 0 {
		t.Error("data is a value or a sequence too")
	}
}

func TestScanBodies(t *testing.T) {
	m := scanned(t, message(t, "message_sequence"))
	if diff := cmp.Diff([]Value{List(Int(1), String("a")), List()}, slices.Collect(m.Sequences())); diff != "" || m.BodySections != 2 {
		t.Errorf("%d sequences: %s", m.BodySections, diff)
	}
	m = scanned(t, message(t, "message_value"))
	if diff := cmp.Diff(Map(String("k"), List(Value{}, Bool(true))), m.Value()); diff != "" || m.BodySections != 1 || m.BodyCode != CodeValue {
		t.Error(diff)
	}
	for range m.Data() {
		t.Error("a value has data")
	}
	for _, name := range []string{"message_empty", "message_bodyless"} {
		if m = scanned(t, message(t, name)); m.BodyCode != 0 || m.BodySections != 0 || m.Body != nil {
			t.Errorf("%s: body %x", name, m.Body)
		}
	}
	m = scanned(t, message(t, "message_named")) // descriptors as symbol and as wide ulong
	if h, err := DecodeHeader(m.Header); err != nil || !h.Durable {
		t.Errorf("header = %v, %v", h, err)
	}
	for d := range m.Data() {
		if string(d) != "x" {
			t.Errorf("data = %q", d)
		}
	}
}

func TestDecodeSections(t *testing.T) {
	m := scanned(t, message(t, "message_all"))
	h, err := DecodeHeader(m.Header)
	wantHeader := Header{Durable: true, Priority: Some[uint8](9), TTL: Some[uint32](1000), FirstAcquirer: true, DeliveryCount: 2}
	if diff := cmp.Diff(wantHeader, h); err != nil || diff != "" {
		t.Error(err, diff)
	}
	p, err := DecodeProperties(m.Properties)
	wantProperties := Properties{
		MessageID: String("id"), UserID: []byte("u"), To: []byte("to"), Subject: []byte("sub"), ReplyTo: []byte("re"),
		CorrelationID: Ulong(7), ContentType: []byte("text/plain"), ContentEncoding: []byte("utf-8"),
		AbsoluteExpiryTime: Some[int64](2000), CreationTime: Some[int64](1000), GroupID: []byte("g"), GroupSequence: Some[uint32](3), ReplyToGroupID: []byte("rg"),
	}
	if diff := cmp.Diff(wantProperties, p); err != nil || diff != "" {
		t.Error(err, diff)
	}
	a, err := DecodeAnnotations(m.MessageAnnotations)
	if diff := cmp.Diff(Map(Symbol("x-opt-a"), String("b"), Ulong(7), Int(1)), a); err != nil || diff != "" {
		t.Error(err, diff)
	}
	ap, err := DecodeApplicationProperties(m.ApplicationProperties)
	if diff := cmp.Diff(Map(String("p"), String("v"), String("n"), Value{}), ap); err != nil || diff != "" {
		t.Error(err, diff)
	}

	again := h.Append(nil)
	again = Map(Symbol("k"), Int(1)).Append(AppendSection(again, CodeDeliveryAnnotations))
	again, at := OpenMap(AppendSection(again, CodeMessageAnnotations))
	again = AppendString(AppendSymbol(again, "x-opt-a"), "b")
	again = AppendInt(AppendUlong(again, 7), 1)
	again = CloseMap(again, at, 2)
	again = p.Append(again)
	again = ap.Append(AppendSection(again, CodeApplicationProperties))
	again = AppendData(AppendData(again, []byte("one")), []byte("two"))
	again = Map(Symbol("k"), Int(1)).Append(AppendSection(again, CodeFooter))
	if want := message(t, "message_all"); !bytes.Equal(again, want) {
		t.Errorf("appended: %x, want %x", again, want)
	}
}

func TestAbsentSections(t *testing.T) {
	if h, err := DecodeHeader(nil); err != nil || h != (Header{}) {
		t.Errorf("header = %v, %v", h, err)
	}
	if p, err := DecodeProperties(nil); err != nil || !cmp.Equal(p, Properties{}) {
		t.Errorf("properties = %v, %v", p, err)
	}
	for _, f := range []func([]byte) (Value, error){DecodeAnnotations, DecodeApplicationProperties} {
		if v, err := f(nil); err != nil || !v.IsNull() {
			t.Errorf("map = %v, %v", v, err)
		}
	}
	p := Properties{}
	if b := p.Append(Header{}.Append(nil)); len(b) != 0 {
		t.Errorf("nothing is written as %x", b)
	}
}

// The four types of an identifier stay what they are (AMQP 3.2.11 to 3.2.14).
func TestIdentifiersKeepTheirType(t *testing.T) {
	for _, id := range []Value{{}, Ulong(0), Ulong(7), Ulong(1 << 40), UUID(uuid), Binary([]byte{1, 2}), Binary(nil), String("id"), String("")} {
		in := Properties{MessageID: id, CorrelationID: id, GroupSequence: Some[uint32](1)}
		p, err := DecodeProperties(in.Append(nil))
		if err != nil || !p.MessageID.Equal(id) || !p.CorrelationID.Equal(id) {
			t.Errorf("%v became %v and %v, %v", id, p.MessageID, p.CorrelationID, err)
		}
	}
	for _, id := range []Value{Uint(1), Long(1), Symbol("a"), List(), Bool(true)} {
		in := Properties{CorrelationID: id}
		if _, err := DecodeProperties(in.Append(nil)); !errors.Is(err, errFieldType) {
			t.Errorf("%v: %v, want %v", id, err, errFieldType)
		}
	}
}

func TestMessagesRefused(t *testing.T) {
	const data, value, sequence = "005375a00178", "00537740", "00537645"
	cases := []struct {
		name, hex string
		want      error
	}{
		{"no section", "40", errNotDescribed},
		{"a performative", "005318 45", errSection},
		{"unknown section", "005379 45", errSection},
		{"descriptor alone", "005375", errTruncated},
		{"truncated", "005375a0027a", errTruncated},
		{"bytes behind", data + "00", errTruncated},
		{"data is a string", "005375a10178", errSectionType},
		{"data is null", "00537540", errSectionType},
		{"header is a map", "005370c10100", errSectionType},
		{"properties are a map", "005373c10100", errSectionType},
		{"annotations are a list", "00537245", errSectionType},
		{"sequence is a map", "005376c10100", errSectionType},
		{"two headers", "00537045" + "00537045" + data, errSectionOrder},
		{"header behind properties", "00537345" + "00537045" + data, errSectionOrder},
		{"properties behind body", data + "00537345", errSectionOrder},
		{"data and value", data + value, errSectionOrder},
		{"data and sequence", data + sequence, errSectionOrder},
		{"two values", value + value, errSectionOrder},
		{"two footers", data + "005378c10100" + "005378c10100", errSectionOrder},
		{"body behind footer", "005378c10100" + data, errSectionOrder},
		{"annotation key is an int", "005372c104 02 5400 40" + data, errKeyType},
		{"property key is a symbol", "005374c104 02 a300 40" + data, errKeyType},
		{"map key is missing", "005374c102 02 40" + data, errCount},
		{"map value is missing", "005374c10402a10161" + data, errTruncated},
		{"map is odd", "005374c104 01 a10161" + data, errOdd},
		{"map is longer", "005374c105 02 a1004040" + data, errSize},
		{"map claims 4 billion", "005374d1 00000005 fffffffe 40" + data, errCount},
		{"map without count", "005374c100" + data, errTruncated},
		{"value is malformed", "0053775602", errBool},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m, err := ScanMessage(unhex(t, c.hex))
			if !errors.Is(err, c.want) {
				t.Errorf("ScanMessage = %v, %v; want %v", m, err, c.want)
			}
		})
	}
}

func TestSectionsRefused(t *testing.T) {
	cases := []struct {
		name, hex string
		want      error
	}{
		{"wrong section", "00537245", errSection},
		{"bytes behind", "0053734540", errSize},
		{"not a list", "005373c10100", errNotList},
		{"address is a symbol", "005373c006 03 4040 a30161", errFieldType},
		{"user is a string", "005373c004 02 40 a100", errFieldType},
		{"content type is a string", "005373c009 07 404040404040 a100", errFieldType},
		{"time is a long", "005373c00b 09 4040404040404040 5500", errFieldType},
		{"address is not UTF-8", "005373c006 03 4040 a101ff", errUTF8},
		{"fields are missing", "005373c002 02 40", errCount},
		{"field runs out", "005373c003 02 5301", errTruncated},
		{"more than its fields", "005373c003 01 4040", errSize},
		{"a later field is malformed", "005373c010 0e 40404040404040404040404040 5602", errBool},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if p, err := DecodeProperties(unhex(t, c.hex)); !errors.Is(err, c.want) {
				t.Errorf("DecodeProperties = %v, %v; want %v", p, err, c.want)
			}
		})
	}
	for _, f := range []func([]byte) (Value, error){DecodeAnnotations, DecodeApplicationProperties} {
		if v, err := f(unhex(t, "005375a000")); !errors.Is(err, errSection) {
			t.Errorf("data decodes to %v, %v", v, err)
		}
	}
	if v, err := DecodeAnnotations(unhex(t, "005372c1010000")); !errors.Is(err, errSize) {
		t.Errorf("a byte behind: %v, %v", v, err)
	}
	// A field that a later standard adds is passed over.
	if p, err := DecodeProperties(unhex(t, "005373c011 0e a1 01 69 404040404040404040404040 41")); err != nil || !p.MessageID.Equal(String("i")) {
		t.Errorf("properties = %v, %v", p, err)
	}
}
