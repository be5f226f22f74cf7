package amqpwire

import (
	"encoding/binary"
	"math"
)

// Append writes the value behind b: scalars and text in their shortest encoding, what is
// composed as it came.
func (v Value) Append(b []byte) []byte {
	switch v.kind {
	case KindBinary:
		return AppendBinary(b, v.raw)
	case KindString:
		return AppendString(b, v.raw)
	case KindSymbol:
		return AppendSymbol(b, v.raw)
	case KindUUID:
		return append(append(b, fmtUUID), v.raw...)
	case KindDecimal32:
		return append(append(b, fmtDecimal32), v.raw...)
	case KindDecimal64:
		return append(append(b, fmtDecimal64), v.raw...)
	case KindDecimal128:
		return append(append(b, fmtDecimal128), v.raw...)
	case KindList, KindMap, KindArray, KindDescribed:
		return append(append(b, v.code), v.raw...)
	default:
		return v.appendScalar(b)
	}
}

func (v Value) appendScalar(b []byte) []byte {
	switch v.kind {
	case KindBool:
		return AppendBool(b, v.num != 0)
	case KindUbyte:
		return append(b, fmtUbyte, byte(v.num))
	case KindUshort:
		return append(b, fmtUshort, byte(v.num>>8), byte(v.num))
	case KindUint:
		return AppendUint(b, uint32(v.num))
	case KindUlong:
		return AppendUlong(b, v.num)
	case KindByte:
		return append(b, fmtByte, byte(v.num))
	case KindShort:
		return append(b, fmtShort, byte(v.num>>8), byte(v.num))
	case KindInt:
		return AppendInt(b, int32(v.num))
	case KindLong:
		return AppendLong(b, int64(v.num))
	case KindFloat:
		return appendWide4(b, fmtFloat, uint32(v.num))
	case KindDouble:
		return appendWide8(b, fmtDouble, v.num)
	case KindChar:
		return appendWide4(b, fmtChar, uint32(v.num))
	case KindTimestamp:
		return appendWide8(b, fmtTimestamp, v.num)
	default:
		return append(b, fmtNull)
	}
}

func appendWide4(b []byte, code byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, code), v)
}

func appendWide8(b []byte, code byte, v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, code), v)
}

// AppendNull writes null; the others likewise, each in its shortest encoding.
func AppendNull(b []byte) []byte { return append(b, fmtNull) }

// AppendBool writes a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, fmtTrue)
	}
	return append(b, fmtFalse)
}

// AppendUbyte writes a ubyte.
func AppendUbyte(b []byte, v uint8) []byte { return append(b, fmtUbyte, v) }

// AppendUint writes a uint.
func AppendUint(b []byte, v uint32) []byte {
	switch {
	case v == 0:
		return append(b, fmtUint0)
	case v <= math.MaxUint8:
		return append(b, fmtSmallUint, byte(v))
	}
	return appendWide4(b, fmtUint, v)
}

// AppendUlong writes a ulong.
func AppendUlong(b []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(b, fmtUlong0)
	case v <= math.MaxUint8:
		return append(b, fmtSmallUlong, byte(v))
	}
	return appendWide8(b, fmtUlong, v)
}

// AppendInt writes an int.
func AppendInt(b []byte, v int32) []byte {
	if v >= math.MinInt8 && v <= math.MaxInt8 {
		return append(b, fmtSmallInt, byte(v))
	}
	return appendWide4(b, fmtInt, uint32(v))
}

// AppendLong writes a long.
func AppendLong(b []byte, v int64) []byte {
	if v >= math.MinInt8 && v <= math.MaxInt8 {
		return append(b, fmtSmallLong, byte(v))
	}
	return appendWide8(b, fmtLong, uint64(v))
}

// AppendTimestamp writes a timestamp of milliseconds since 1970.
func AppendTimestamp(b []byte, ms int64) []byte { return appendWide8(b, fmtTimestamp, uint64(ms)) }

// AppendUUID writes a uuid.
func AppendUUID(b []byte, v [16]byte) []byte { return append(append(b, fmtUUID), v[:]...) }

// AppendBinary writes a binary.
func AppendBinary(b, v []byte) []byte { return appendVariable(b, fmtBinary8, v) }

// AppendString writes a string, which is UTF-8.
func AppendString[T string | []byte](b []byte, v T) []byte { return appendVariable(b, fmtString8, v) }

// AppendSymbol writes a symbol, which is ASCII.
func AppendSymbol[T string | []byte](b []byte, v T) []byte { return appendVariable(b, fmtSymbol8, v) }

// toWide leads from a constructor with a size of one byte to that with four.
const toWide = 0x10

func appendVariable[T string | []byte](b []byte, code byte, v T) []byte {
	if len(v) <= math.MaxUint8 {
		b = append(b, code, byte(len(v)))
	} else {
		b = appendWide4(b, code+toWide, uint32(len(v)))
	}
	return append(b, v...)
}

// AppendSymbols writes an array of symbols.
func AppendSymbols(b []byte, vs []string) []byte { return appendArray(b, fmtSymbol8, vs) }

// AppendStrings writes an array of strings.
func AppendStrings(b []byte, vs []string) []byte { return appendArray(b, fmtString8, vs) }

// appendArray writes an array of text, whose constructor is as wide as the longest needs.
func appendArray(b []byte, code byte, vs []string) []byte {
	wide, total := false, 0
	for _, v := range vs {
		wide = wide || len(v) > math.MaxUint8
		total += len(v)
	}
	width := 1
	if wide {
		code += toWide
		width = 4
	}
	total += width * len(vs)
	if total+2 <= math.MaxUint8 && len(vs) <= math.MaxUint8 { // count and constructor
		b = append(b, fmtArray8, byte(total+2), byte(len(vs)), code)
	} else {
		b = appendWide4(b, fmtArray32, uint32(total+5))
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(vs))), code)
	}
	for _, v := range vs {
		if wide {
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		} else {
			b = append(b, byte(len(v)))
		}
		b = append(b, v...)
	}
	return b
}

// OpenMap begins a map behind b. The caller appends keys and values, then calls CloseMap
// with where it began.
func OpenMap(b []byte) (out []byte, at int) { return append(b, fmtMap8, 0, 0), len(b) }

// CloseMap ends a map of so many pairs.
func CloseMap(b []byte, at, pairs int) []byte { return closeCompound(b, at, 2*pairs) }

// OpenList begins a list behind b. The caller appends values, then calls CloseList with
// where it began.
func OpenList(b []byte) (out []byte, at int) { return append(b, fmtList8, 0, 0), len(b) }

// CloseList ends a list of so many elements.
func CloseList(b []byte, at, elements int) []byte {
	if elements == 0 {
		b[at] = fmtList0
		return b[:at+1]
	}
	return closeCompound(b, at, elements)
}

// The bytes before the first element of a list or map.
const (
	narrowHead = 3 // constructor, size, count
	wideHead   = 9
)

// closeCompound sets size and count, and makes room for wide ones where it must.
func closeCompound(b []byte, at, count int) []byte {
	n := len(b) - at - narrowHead
	if n+1 <= math.MaxUint8 && count <= math.MaxUint8 {
		b[at+1], b[at+2] = byte(n+1), byte(count)
		return b
	}
	b = append(b, make([]byte, wideHead-narrowHead)...)
	copy(b[at+wideHead:], b[at+narrowHead:at+narrowHead+n])
	b[at] += toWide
	binary.BigEndian.PutUint32(b[at+1:], uint32(n+4))
	binary.BigEndian.PutUint32(b[at+5:], uint32(count))
	return b
}
