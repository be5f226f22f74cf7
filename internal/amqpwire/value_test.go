package amqpwire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// decoded makes a value of its encoding, for the types that have no maker.
func decoded(tb testing.TB, s string) Value {
	tb.Helper()
	b := unhex(tb, s)
	v, n, err := DecodeValue(b)
	if err != nil || n != len(b) {
		tb.Fatalf("%s: %d, %v", s, n, err)
	}
	return v
}

var uuid = [16]byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}

// values has every constructor of the standard (AMQP 1.6). What another encoding of the
// same value is shorter than is not what Append writes.
var values = []struct {
	name    string
	hex     string
	want    Value
	shorter bool
}{
	{"null", "40", Value{}, false},
	{"true", "41", Bool(true), false},
	{"false", "42", Bool(false), false},
	{"boolean_true", "56 01", Bool(true), true},
	{"boolean_false", "56 00", Bool(false), true},
	{"ubyte", "50 ff", Ubyte(255), false},
	{"ushort", "60 fffe", Ushort(65534), false},
	{"uint0", "43", Uint(0), false},
	{"smalluint", "52 ff", Uint(255), false},
	{"uint", "70 fffffffe", Uint(math.MaxUint32 - 1), false},
	{"uint_of_small", "70 000000ff", Uint(255), true},
	{"ulong0", "44", Ulong(0), false},
	{"smallulong", "53 ff", Ulong(255), false},
	{"ulong", "80 fffffffffffffffe", Ulong(math.MaxUint64 - 1), false},
	{"ulong_of_small", "80 0000000000000000", Ulong(0), true},
	{"byte", "51 80", Byte(-128), false},
	{"short", "61 8001", Short(-32767), false},
	{"smallint", "54 ff", Int(-1), false},
	{"int", "71 80000000", Int(math.MinInt32), false},
	{"int_of_small", "71 0000007f", Int(127), true},
	{"smalllong", "55 80", Long(-128), false},
	{"long", "81 8000000000000000", Long(math.MinInt64), false},
	{"long_beyond_small", "81 0000000000000080", Long(128), false},
	{"float", "72 bf800000", Float(-1), false},
	{"double", "82 3ff8000000000000", Double(1.5), false},
	{"double_nan", "82 7ff8000000000001", Double(math.NaN()), false},
	{"decimal32", "74 01020304", Value{kind: KindDecimal32, raw: []byte{1, 2, 3, 4}}, false},
	{"decimal64", "84 0102030405060708", Value{kind: KindDecimal64, raw: []byte{1, 2, 3, 4, 5, 6, 7, 8}}, false},
	{"decimal128", "94 00112233445566778899aabbccddeeff", Value{kind: KindDecimal128, raw: uuid[:]}, false},
	{"char", "73 0001f600", Char('\U0001f600'), false},
	{"timestamp", "83 000001311d24c400", Timestamp(1310453974016), false},
	{"timestamp_before_1970", "83 ffffffffffffffff", Timestamp(-1), false},
	{"uuid", "98 00112233445566778899aabbccddeeff", UUID(uuid), false},
	{"binary8", "a0 02 00ff", Binary([]byte{0, 0xff}), false},
	{"binary8_empty", "a0 00", Binary(nil), false},
	{"binary32", "b0 00000001 ff", Binary([]byte{0xff}), true},
	{"string8", "a1 04 e282ac 61", String("€a"), false},
	{"string8_empty", "a1 00", String(""), false},
	{"string32", "b1 00000003 616263", String("abc"), true},
	{"string32_long", "b1 00000100" + strings.Repeat("61", 256), String(strings.Repeat("a", 256)), false},
	{"symbol8", "a3 03 616263", Symbol("abc"), false},
	{"symbol32", "b3 00000003 616263", Symbol("abc"), true},
	{"list0", "45", List(), false},
	{"list8", "c0 05 02 43 a1 01 61", List(Uint(0), String("a")), false},
	{"list32", "d0 00000008 00000002 43 a1 01 61", List(Uint(0), String("a")), false},
	{"list8_empty", "c0 01 00", List(), false},
	{"list_nested", "c0 09 01 c0 06 01 c0 03 01 54 05", List(List(List(Int(5)))), false},
	{"map8", "c1 06 02 a3 01 6b 54 01", Map(Symbol("k"), Int(1)), false},
	{"map32", "d1 00000009 00000002 a3 01 6b 54 01", Map(Symbol("k"), Int(1)), false},
	{"map8_empty", "c1 01 00", Map(), false},
	{"array8_symbol", "e0 06 02 a3 0161 0162", Symbols("a", "b"), false},
	{"array32_symbol", "f0 00000009 00000002 a3 0161 0162", Symbols("a", "b"), false},
	{"array8_symbol32", "e0 0c 02 b3 0000000161 0000000162", Symbols("a", "b"), false},
	{"array8_string", "e0 04 01 a1 0130", Strings("0"), false},
	{"array8_empty", "e0 02 00 a3", Symbols(), false},
	{"described", "00 53 24 45", Described(Ulong(0x24), List()), false},
	{"described_by_symbol", "00 a3 01 66 a1 01 78", Described(Symbol("f"), String("x")), false},
	{"described_twice", "00 53 01 00 53 02 40", Described(Ulong(1), Described(Ulong(2), Value{})), false},
	{"described_descriptor", "00 00 53 01 53 02 40", Described(Described(Ulong(1), Ulong(2)), Value{}), false},
}

func TestEveryConstructor(t *testing.T) {
	for _, c := range values {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			got, n, err := DecodeValue(append(slices.Clip(b), 0xff)) // what follows is another's
			if err != nil || n != len(b) {
				t.Fatalf("DecodeValue = %d, %v; want %d, nil", n, err, len(b))
			}
			if !got.Equal(c.want) && c.name != "double_nan" {
				t.Errorf("DecodeValue = %v, want %v", got, c.want)
			}
			if again := got.Append(nil); !c.shorter && cmp.Diff(b, again) != "" || len(again) > len(b) {
				t.Errorf("Append = %x, want %x", again, b)
			}
			if again, _, err := DecodeValue(got.Clone().Append(nil)); err != nil || !again.Equal(got) {
				t.Errorf("clone decodes to %v, %v", again, err)
			}
			for i := range b {
				if _, _, err := DecodeValue(b[:i]); err == nil {
					t.Errorf("the first %d bytes decode", i)
				}
			}
		})
	}
}

func TestTypesAreNeverConfused(t *testing.T) {
	for i, a := range values {
		for _, b := range values[i+1:] {
			same := decoded(t, a.hex).Equal(decoded(t, b.hex))
			if want := a.want.Equal(b.want); same != want {
				t.Errorf("%s and %s: equal = %v, want %v", a.name, b.name, same, want)
			}
			if a.want.Kind() != b.want.Kind() && same {
				t.Errorf("%s equals %s", a.name, b.name)
			}
		}
	}
	for _, pair := range [][2]Value{
		{Int(1), Long(1)},
		{Uint(1), Ulong(1)},
		{Ubyte(1), Byte(1)},
		{String("a"), Symbol("a")},
		{String("a"), Binary([]byte("a"))},
		{Binary(uuid[:]), UUID(uuid)},
		{Value{}, List()},
		{List(), Map()},
		{Symbols(), Strings()},
		{Symbols("a"), List(Symbol("a"))},
		{Map(String("a"), Int(1), String("b"), Int(2)), Map(String("b"), Int(2), String("a"), Int(1))},
		{List(Int(1)), List(Int(1), Int(1))},
		{Described(Ulong(1), Int(1)), Described(Ulong(2), Int(1))},
		{decoded(t, "e0 06 01 00 53 01 a1 00"), decoded(t, "e0 06 01 00 53 02 a1 00")},
	} {
		if pair[0].Equal(pair[1]) {
			t.Errorf("%v equals %v", pair[0], pair[1])
		}
	}
}

func TestArrays(t *testing.T) {
	cases := []struct {
		name, hex  string
		descriptor Value
		want       []Value
	}{
		{"int", "e0 0a 02 71 00000001 ffffffff", Value{}, []Value{Int(1), Int(-1)}},
		{"smallint", "e0 04 02 54 01 ff", Value{}, []Value{Int(1), Int(-1)}},
		{"boolean", "e0 04 02 56 01 00", Value{}, []Value{Bool(true), Bool(false)}},
		{"true", "e0 02 02 41", Value{}, []Value{Bool(true), Bool(true)}},
		{"null", "e0 02 03 40", Value{}, []Value{{}, {}, {}}},
		{"ulong0", "f0 00000005 00000001 44", Value{}, []Value{Ulong(0)}},
		{"list0", "e0 02 02 45", Value{}, []Value{List(), List()}},
		{"list8", "e0 07 02 c0 03 01 54 05", Value{}, nil}, // the second is missing
		{"lists", "e0 08 02 c0 03 01 54 05 01 00", Value{}, []Value{List(Int(5)), List()}},
		{"maps", "e0 08 01 c1 05 02 54 01 54 02", Value{}, []Value{Map(Int(1), Int(2))}},
		{"arrays", "e0 08 01 e0 05 02 60 0001 0002", Value{}, nil}, // the inner is a byte longer than it says
		{"arrays of arrays", "e0 09 01 e0 06 02 60 0001 0002", Value{}, []Value{decoded(t, "e0 06 02 60 0001 0002")}},
		{"described", "e0 08 03 00 a3 01 64 a1 00 00", Value{}, nil}, // the third is missing
		{"described strings", "e0 09 02 00 a3 01 64 a1 0161 00", Symbol("d"), []Value{String("a"), String("")}},
		{"twice described", "e0 09 01 00 53 01 00 53 02 50 07", Ulong(1), []Value{Ubyte(7)}},
		{"no constructor", "e0 01 00", Value{}, []Value{}},
		{"uuid", "e0 12 01 98 00112233445566778899aabbccddeeff", Value{}, []Value{UUID(uuid)}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v, _, err := DecodeValue(unhex(t, c.hex))
			if c.want == nil {
				if err == nil {
					t.Errorf("decodes to %v", v)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := slices.Collect(v.Elements())
			if diff := cmp.Diff(append([]Value{}, c.want...), append([]Value{}, got...)); diff != "" || v.Len() != len(c.want) {
				t.Errorf("%d elements: %s", v.Len(), diff)
			}
			if !v.Descriptor().Equal(c.descriptor) || !v.Equal(v.Clone()) {
				t.Errorf("descriptor %v, want %v", v.Descriptor(), c.descriptor)
			}
		})
	}
}

// What no value can be is refused, and by what was wrong with it.
func TestValuesRefused(t *testing.T) {
	cases := []struct {
		name, hex string
		want      error
	}{
		{"nothing", "", errTruncated},
		{"unknown constructor", "5f 00", errConstructor},
		{"unknown fixed", "46", errConstructor},
		{"boolean 2", "56 02", errBool},
		{"char surrogate", "73 0000d800", errChar},
		{"char beyond unicode", "73 00110000", errChar},
		{"char negative", "73 ffffffff", errChar},
		{"string overlong", "a1 02 c0af", errUTF8},
		{"string surrogate", "a1 03 eda080", errUTF8},
		{"symbol not ascii", "a3 0a 616161616161616161 80", errASCII},
		{"symbol not ascii early", "a3 0a ff 616161616161616161", errASCII},
		{"string past end", "a1 05 61", errTruncated},
		{"string claims 4 GiB", "b1 ffffffff 61", errTruncated},
		{"list claims 4 GiB", "d0 ffffffff 00000001 40", errTruncated},
		{"list claims 4 billion", "d0 00000005 ffffffff 40", errCount},
		{"list without count", "c0 00", errTruncated},
		{"list32 with half a count", "d0 00000002 0000", errTruncated},
		{"list too long", "c0 03 01 40 40", errSize},
		{"list too short", "c0 02 02 40", errCount},
		{"map odd", "c1 04 03 40 40 40", errOdd},
		{"array claims 4 billion nulls", "f0 00000005 ffffffff 40", errCount},
		{"array claims 4 billion trues", "f0 00000005 ffffffff 41", errCount},
		{"array claims 4 billion zeros", "f0 00000005 ffffffff 43", errCount},
		{"array claims 4 billion empty lists", "f0 00000005 ffffffff 45", errCount},
		{"array claims 4 billion described nulls", "f0 00000008 ffffffff 00 53 01 40", errCount},
		{"array claims 4 billion bytes", "f0 00000005 ffffffff 50", errCount},
		{"array claims 4 billion longs", "f0 00000005 ffffffff 81", errCount},
		{"array claims 4 billion strings", "f0 00000006 ffffffff a1 00", errCount},
		{"array of fixed too long", "e0 04 01 50 01 02", errSize},
		{"array of text too long", "e0 04 01 a1 00 00", errSize},
		{"array of boolean 2", "e0 03 01 56 02", errBool},
		{"array of unknown", "e0 03 01 5f 02", errConstructor},
		{"array without constructor", "e0 01 01", errTruncated},
		{"array of described nothing", "e0 03 01 00 00", errTruncated},
		{"described nothing", "00", errTruncated},
		{"described without value", "00 53 24", errTruncated},
		{"nested lists", nested(MaxDepth + 1), errDepth},
		{"nested descriptors", strings.Repeat("00", MaxDepth+1) + "40", errDepth},
		{"nested described", strings.Repeat("00 40", MaxDepth+1) + "40", errDepth},
		{"nested array constructors", "e0 f0 01" + strings.Repeat("00 40", 119) + "40", errDepth},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v, n, err := DecodeValue(unhex(t, c.hex))
			if !errors.Is(err, c.want) || n != 0 || !v.IsNull() {
				t.Errorf("DecodeValue = %v, %d, %v; want %v", v, n, err, c.want)
			}
			if refused, ok := errors.AsType[*DecodeError](err); !ok || refused.Condition != CondDecodeError {
				t.Errorf("%v does not say %s", err, CondDecodeError)
			}
		})
	}
	if _, _, err := DecodeValue(unhex(t, nested(MaxDepth))); err != nil {
		t.Errorf("%d lists in each other: %v", MaxDepth, err)
	}
}

// nested is so many lists in each other.
func nested(depth int) string {
	v := List()
	for range depth {
		v = List(v)
	}
	return hex.EncodeToString(v.Append(nil))
}

func TestReadingValues(t *testing.T) {
	m := Map(Symbol("a"), Int(-5), String("b"), Ulong(math.MaxUint64), Int(3), Bool(true), Symbol("a"), Int(6))
	if n := m.Len(); n != 4 {
		t.Errorf("Len = %d", n)
	}
	if x, ok := m.Get("a").AsInt(); !ok || x != -5 {
		t.Errorf("a = %d, %v", x, ok)
	}
	if _, ok := m.Get("a").AsUint(); ok {
		t.Error("-5 is unsigned")
	}
	if _, ok := m.Get("b").AsInt(); ok {
		t.Error("2^64-1 is signed")
	}
	if x, ok := m.Get("b").AsUint(); !ok || x != math.MaxUint64 {
		t.Errorf("b = %d, %v", x, ok)
	}
	if v := m.Get("c"); !v.IsNull() {
		t.Errorf("c = %v", v)
	}
	var keys []Value
	for k := range m.Pairs() {
		keys = append(keys, k)
	}
	if diff := cmp.Diff([]Value{Symbol("a"), String("b"), Int(3), Symbol("a")}, keys); diff != "" {
		t.Error(diff)
	}
	for range m.Elements() {
		t.Error("a map has elements")
	}
	for range List(Int(1), Int(2)).Pairs() {
		t.Error("a list has pairs")
	}
	if x, ok := UUID(uuid).AsUUID(); !ok || x != uuid {
		t.Errorf("uuid = %x, %v", x, ok)
	}
	if x, ok := Symbol("s").AsText(); !ok || x != "s" {
		t.Errorf("symbol = %q, %v", x, ok)
	}
	if _, ok := Binary([]byte("s")).AsText(); ok {
		t.Error("a binary is text")
	}
	if x, ok := Float(1.5).AsFloat(); !ok || x != 1.5 {
		t.Errorf("float = %v, %v", x, ok)
	}
	if x, ok := Double(-2).AsFloat(); !ok || x != -2 {
		t.Errorf("double = %v, %v", x, ok)
	}
	if x, ok := Timestamp(-9).AsTimestamp(); !ok || x != -9 {
		t.Errorf("timestamp = %v, %v", x, ok)
	}
	if x, ok := Char('€').AsChar(); !ok || x != '€' {
		t.Errorf("char = %q, %v", x, ok)
	}
	if x, ok := Bool(true).AsBool(); !ok || !x {
		t.Errorf("bool = %v, %v", x, ok)
	}
	if _, ok := Uint(1).AsBool(); ok {
		t.Error("a uint is a boolean")
	}
	d, inner, ok := Described(Symbol("d"), List(Int(1))).AsDescribed()
	if !ok || !d.Equal(Symbol("d")) || !inner.Equal(List(Int(1))) {
		t.Errorf("described = %v, %v, %v", d, inner, ok)
	}
	for _, c := range []struct {
		v    Value
		want Code
	}{
		{Described(Ulong(0x33), List()), CodeDeclared},
		{Described(Symbol("amqp:declared:list"), List()), CodeDeclared},
		{Described(Ulong(0x32), List()), CodeDischarge},
		{Described(Ulong(0x468C00000004), List()), 0},
		{Described(Uint(0x33), List()), 0},
		{List(), 0},
	} {
		if got, ok := c.v.Code(); got != c.want || ok != (c.want != 0) {
			t.Errorf("Code of %v = %v, %v; want %v", c.v, got, ok, c.want)
		}
	}
}

// Lists and maps become wide when they must, and only then.
func TestCompoundsGrow(t *testing.T) {
	for _, n := range []int{0, 1, 250, 251, 252, 253, 255, 256, 300, 70_000} {
		in := Binary(make([]byte, n))
		for _, v := range []Value{List(in), Map(Symbol("k"), in), List(List(in), Int(1))} {
			b := v.Append(nil)
			got, used, err := DecodeValue(b)
			if err != nil || used != len(b) || !got.Equal(v) {
				t.Fatalf("%d bytes: %v, %d of %d", n, err, used, len(b))
			}
			if wide := b[0] >= fmtList32; wide != (len(b)-2 > math.MaxUint8) && wide != (len(b)-8 > math.MaxUint8) {
				t.Errorf("%d bytes in %d: constructor %x", n, len(b), b[0])
			}
		}
	}
	many := make([]Value, 300)
	if got := decoded(t, hex.EncodeToString(List(many...).Append(nil))); got.Len() != 300 {
		t.Errorf("300 nulls became %d", got.Len())
	}
	names := slices.Repeat([]string{"abcdef"}, 100)
	long := []string{strings.Repeat("x", 256), "", "y"}
	arrays := [][]string{nil, {""}, names, long, make([]string, 255), make([]string, 256)}
	for n := 248; n < 260; n++ { // where size, then count, then elements become wide
		arrays = append(arrays, []string{strings.Repeat("x", n)}, make([]string, n), []string{strings.Repeat("x", n-100), strings.Repeat("y", 98)})
	}
	for _, vs := range arrays {
		v := Symbols(vs...)
		var got []string
		for e := range decoded(t, hex.EncodeToString(v.Append(nil))).Elements() {
			text, _ := e.AsText()
			got = append(got, text)
		}
		if diff := cmp.Diff(vs, got); diff != "" {
			t.Error(diff)
		}
	}
}

// A clone does not change with the bytes that it was decoded from.
func TestCloneBorrowsFromNobody(t *testing.T) {
	b := Map(Symbol("k"), String("value")).Append(nil)
	v, _, err := DecodeValue(b)
	if err != nil {
		t.Fatal(err)
	}
	kept := v.Clone()
	clear(b)
	if text, _ := kept.Get("k").AsText(); text != "value" {
		t.Errorf("the clone reads %q", text)
	}
}

func TestValuesAsWords(t *testing.T) {
	for want, v := range map[string]Value{
		"null": {}, "boolean 1": Bool(true), "int -5": Int(-5), "ulong 18446744073709551615": Ulong(math.MaxUint64), "double 1.5": Double(1.5),
		"string of 5 bytes": String("token"), "symbol of 1 bytes": Symbol("s"), "binary of 0 bytes": Binary(nil), "uuid": UUID(uuid),
		"map of 1": Map(Symbol("k"), Int(1)), "list of 2": List(Int(1), Int(2)), "array of 0": Symbols(), "described": Described(Ulong(1), Int(1)),
	} {
		if got := v.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, s := range []fmt.Stringer{SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("secret")}, SASLResponse{[]byte("secret")}, Kind(99)} {
		if got := fmt.Sprintf("%v %+v", s, s); strings.Contains(got, "secret") || strings.Contains(got, "115") {
			t.Errorf("%T says %q", s, got)
		}
	}
}
