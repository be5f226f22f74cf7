package amqpwire

import (
	"bytes"
	"math"
	"strconv"
)

// Value is one value of any type, its type kept exactly. The zero Value is null.
//
// Numbers lie in the struct. Text, binary and what is composed lies in bytes that are
// borrowed from the input and were checked when the Value was decoded or made, so that
// reading from a Value cannot fail. Values are compared with Equal.
type Value struct {
	kind Kind
	code byte   // constructor of a list, map, array or described value
	num  uint64 // scalars, bit by bit
	raw  []byte // content of text, binary, uuid and decimals; what follows the constructor of the composed
}

// Bool makes a boolean.
func Bool(v bool) Value {
	if v {
		return Value{kind: KindBool, num: 1}
	}
	return Value{kind: KindBool}
}

// Ubyte makes a ubyte.
func Ubyte(v uint8) Value { return Value{kind: KindUbyte, num: uint64(v)} }

// Ushort makes a ushort.
func Ushort(v uint16) Value { return Value{kind: KindUshort, num: uint64(v)} }

// Uint makes a uint.
func Uint(v uint32) Value { return Value{kind: KindUint, num: uint64(v)} }

// Ulong makes a ulong.
func Ulong(v uint64) Value { return Value{kind: KindUlong, num: v} }

// Byte makes a byte, which is signed.
func Byte(v int8) Value { return Value{kind: KindByte, num: uint64(v)} }

// Short makes a short.
func Short(v int16) Value { return Value{kind: KindShort, num: uint64(v)} }

// Int makes an int.
func Int(v int32) Value { return Value{kind: KindInt, num: uint64(v)} }

// Long makes a long.
func Long(v int64) Value { return Value{kind: KindLong, num: uint64(v)} }

// Float makes a float.
func Float(v float32) Value { return Value{kind: KindFloat, num: uint64(math.Float32bits(v))} }

// Double makes a double.
func Double(v float64) Value { return Value{kind: KindDouble, num: math.Float64bits(v)} }

// Char makes a char.
func Char(v rune) Value { return Value{kind: KindChar, num: uint64(v)} }

// Timestamp makes a timestamp of milliseconds since 1970.
func Timestamp(ms int64) Value { return Value{kind: KindTimestamp, num: uint64(ms)} }

// UUID makes a uuid.
func UUID(v [16]byte) Value { return Value{kind: KindUUID, raw: v[:]} }

// Binary makes a binary that borrows v.
func Binary(v []byte) Value { return Value{kind: KindBinary, raw: v} }

// String makes a string of v, which is UTF-8.
func String(v string) Value { return Value{kind: KindString, raw: []byte(v)} }

// Symbol makes a symbol of v, which is ASCII.
func Symbol(v string) Value { return Value{kind: KindSymbol, raw: []byte(v)} }

// Symbols makes an array of symbols.
func Symbols(vs ...string) Value { return composed(KindArray, AppendSymbols(nil, vs)) }

// Strings makes an array of strings.
func Strings(vs ...string) Value { return composed(KindArray, AppendStrings(nil, vs)) }

// List makes a list.
func List(vs ...Value) Value {
	b, at := OpenList(nil)
	for _, v := range vs {
		b = v.Append(b)
	}
	return composed(KindList, CloseList(b, at, len(vs)))
}

// Map makes a map of key, value, key, value and so on; the order is kept, and a last
// key without a value has null.
func Map(kv ...Value) Value {
	b, at := OpenMap(nil)
	for _, v := range kv {
		b = v.Append(b)
	}
	if len(kv)%2 != 0 {
		b = append(b, fmtNull)
	}
	return composed(KindMap, CloseMap(b, at, (len(kv)+1)/2))
}

// Described makes a described value.
func Described(descriptor, v Value) Value {
	return composed(KindDescribed, v.Append(descriptor.Append([]byte{fmtDescribed})))
}

// composed makes a value of its whole encoding.
func composed(k Kind, b []byte) Value { return Value{kind: k, code: b[0], raw: b[1:]} }

// Kind is the type.
func (v Value) Kind() Kind { return v.kind }

// IsNull says whether the value is null.
func (v Value) IsNull() bool { return v.kind == KindNull }

// AsBool gives a boolean.
func (v Value) AsBool() (x, ok bool) { return v.num != 0, v.kind == KindBool }

// AsInt gives an integer of any width, signed or not, if it fits.
func (v Value) AsInt() (x int64, ok bool) {
	switch {
	case v.kind >= KindByte && v.kind <= KindLong:
		return int64(v.num), true
	case v.kind >= KindUbyte && v.kind <= KindUlong && v.num <= math.MaxInt64:
		return int64(v.num), true
	}
	return 0, false
}

// AsUint gives an integer of any width, signed or not, if it fits.
func (v Value) AsUint() (x uint64, ok bool) {
	switch {
	case v.kind >= KindUbyte && v.kind <= KindUlong:
		return v.num, true
	case v.kind >= KindByte && v.kind <= KindLong && int64(v.num) >= 0:
		return v.num, true
	}
	return 0, false
}

// AsFloat gives a float or double.
func (v Value) AsFloat() (x float64, ok bool) {
	switch v.kind {
	case KindFloat:
		return float64(math.Float32frombits(uint32(v.num))), true
	case KindDouble:
		return math.Float64frombits(v.num), true
	default:
		return 0, false
	}
}

// AsTimestamp gives a timestamp in milliseconds since 1970.
func (v Value) AsTimestamp() (ms int64, ok bool) { return int64(v.num), v.kind == KindTimestamp }

// AsChar gives a char.
func (v Value) AsChar() (x rune, ok bool) { return rune(v.num), v.kind == KindChar }

// AsUUID gives a uuid.
func (v Value) AsUUID() (x [16]byte, ok bool) {
	if v.kind != KindUUID {
		return x, false
	}
	copy(x[:], v.raw)
	return x, true
}

// AsBinary gives a binary, borrowed.
func (v Value) AsBinary() (x []byte, ok bool) {
	if v.kind != KindBinary {
		return nil, false
	}
	return v.raw, true
}

// AsText gives a string or a symbol, copied.
func (v Value) AsText() (x string, ok bool) {
	if v.kind != KindString && v.kind != KindSymbol {
		return "", false
	}
	return string(v.raw), true
}

// Raw gives the content of a string, symbol, binary, uuid or decimal, borrowed; nil of
// any other.
func (v Value) Raw() []byte {
	if v.kind >= KindList {
		return nil
	}
	return v.raw
}

// AsDescribed gives the parts of a described value.
func (v Value) AsDescribed() (descriptor, inner Value, ok bool) {
	if v.kind != KindDescribed {
		return Value{}, Value{}, false
	}
	descriptor, n := parse(v.raw)
	inner, _ = parse(v.raw[n:])
	return descriptor, inner, true
}

// String gives a word for the value. Content of text and binary is left out, because it
// may be a token.
func (v Value) String() string {
	switch v.kind {
	case KindNull, KindDescribed, KindUUID, KindDecimal32, KindDecimal64, KindDecimal128:
		return v.kind.String()
	case KindBinary, KindString, KindSymbol:
		return v.kind.String() + " of " + strconv.Itoa(len(v.raw)) + " bytes"
	case KindList, KindMap, KindArray:
		return v.kind.String() + " of " + strconv.Itoa(v.Len())
	case KindFloat, KindDouble:
		x, _ := v.AsFloat()
		return v.kind.String() + " " + strconv.FormatFloat(x, 'g', -1, 64)
	case KindUlong:
		return "ulong " + strconv.FormatUint(v.num, 10)
	default:
		return v.kind.String() + " " + strconv.FormatInt(int64(v.num), 10)
	}
}

// Clone gives a value that borrows from nobody.
func (v Value) Clone() Value {
	v.raw = bytes.Clone(v.raw)
	return v
}

// Equal says whether two values have the same type and content, whatever their
// encoding. The order of a map is part of it (AMQP 1.6.23).
func (v Value) Equal(w Value) bool {
	switch {
	case v.kind != w.kind:
		return false
	case v.kind < KindList:
		return v.num == w.num && bytes.Equal(v.raw, w.raw)
	case v.kind == KindDescribed:
		vd, vi, _ := v.AsDescribed()
		wd, wi, _ := w.AsDescribed()
		return vd.Equal(wd) && vi.Equal(wi)
	}
	vs, ws := v.walk(), w.walk()
	if vs.left != ws.left || formats[vs.code].kind != formats[ws.code].kind || !sameDescriptors(vs.descriptors, ws.descriptors) {
		return false
	}
	for vs.left > 0 {
		if !vs.next().Equal(ws.next()) {
			return false
		}
	}
	return true
}

// sameDescriptors compares what stands before the constructor of two arrays.
func sameDescriptors(a, b []byte) bool {
	for len(a) > 0 && len(b) > 0 {
		va, na := parse(a[1:])
		vb, nb := parse(b[1:])
		if !va.Equal(vb) {
			return false
		}
		a, b = a[1+na:], b[1+nb:]
	}
	return len(a) == len(b)
}
