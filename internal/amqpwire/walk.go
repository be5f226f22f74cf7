package amqpwire

import (
	"encoding/binary"
	"iter"
)

// DecodeValue takes one value of any type from the front of b and says how many bytes
// it was. The value borrows from b; nothing is allocated.
func DecodeValue(b []byte) (v Value, n int, err error) {
	n, err = check(b, 0)
	if err != nil {
		return Value{}, 0, err
	}
	if b[0] == fmtDescribed { // its length is known, parse would look for it again
		return Value{kind: KindDescribed, raw: b[1:n:n]}, n, nil
	}
	v, _ = parseContent(b[0], b[1:])
	return v, n, nil
}

// parse takes the value at the front of b, which was checked.
func parse(b []byte) (v Value, n int) {
	if b[0] == fmtDescribed {
		n = span(b)
		return Value{kind: KindDescribed, raw: b[1:n:n]}, n
	}
	v, n = parseContent(b[0], b[1:])
	return v, 1 + n
}

// span says how long the value at the front of b is, which was checked.
func span(b []byte) int {
	n := 0
	for ; b[n] == fmtDescribed; n++ {
		n += span(b[n+1:])
	}
	f := formats[b[n]]
	if f.shape == shapeFixed {
		return n + 1 + int(f.width)
	}
	_, m, _ := sized(b[n+1:], f.width)
	return n + 1 + m
}

// parseContent takes the value that follows a constructor; both were checked.
func parseContent(code byte, b []byte) (v Value, n int) {
	f := formats[code]
	v.kind = f.kind
	switch f.shape {
	case shapeFixed:
		n = int(f.width)
		switch f.kind {
		case KindUUID, KindDecimal32, KindDecimal64, KindDecimal128:
			v.raw = b[:n:n]
		case KindList:
			v.code = code
		default:
			v.num = fixed(code, b[:n])
		}
	case shapeVariable:
		v.raw, n, _ = sized(b, f.width)
	default:
		_, n, _ = sized(b, f.width)
		v.code, v.raw = code, b[:n:n]
	}
	return v, n
}

// fixed reads a scalar, signs extended.
func fixed(code byte, b []byte) uint64 {
	switch code {
	case fmtTrue:
		return 1
	case fmtByte, fmtSmallInt, fmtSmallLong:
		return uint64(int8(b[0]))
	case fmtShort:
		return uint64(int16(binary.BigEndian.Uint16(b)))
	case fmtInt:
		return uint64(int32(binary.BigEndian.Uint32(b)))
	}
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// walker goes through the elements of a list, map or array.
type walker struct {
	b           []byte
	left        int
	code        byte   // constructor of an array's elements; 0 where each has its own
	descriptors []byte // what stands before code
}

// walk begins at the first element; a value that is not composed has none.
func (v Value) walk() walker {
	f := formats[v.code]
	if v.kind < KindList || f.shape != shapeCompound && f.shape != shapeArray {
		return walker{}
	}
	content, _, _ := sized(v.raw, f.width)
	count, n, _ := number(content, f.width)
	w := walker{b: content[n:], left: int(count)}
	if f.shape == shapeCompound || len(w.b) == 0 {
		return w
	}
	n = 0
	for w.b[n] == fmtDescribed {
		n += 1 + span(w.b[n+1:])
	}
	w.descriptors, w.code, w.b = w.b[:n], w.b[n], w.b[n+1:]
	return w
}

// next takes one element; the caller has seen that one is left.
func (w *walker) next() Value {
	var v Value
	var n int
	if w.code != 0 {
		v, n = parseContent(w.code, w.b)
	} else {
		v, n = parse(w.b)
	}
	w.b = w.b[n:]
	w.left--
	return v
}

// Len is how many elements a list or an array has, or how many pairs a map has.
func (v Value) Len() int {
	n := v.walk().left
	if v.kind == KindMap {
		n /= 2
	}
	return n
}

// Elements gives the elements of a list or array in order, borrowed.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.kind == KindMap {
			return
		}
		for w := v.walk(); w.left > 0; {
			if !yield(w.next()) {
				return
			}
		}
	}
}

// Pairs gives the pairs of a map in order, borrowed.
func (v Value) Pairs() iter.Seq2[Value, Value] {
	return func(yield func(k, v Value) bool) {
		if v.kind != KindMap {
			return
		}
		for w := v.walk(); w.left > 0; {
			key := w.next()
			if !yield(key, w.next()) {
				return
			}
		}
	}
}

// Get gives the value that a map has for a key that is a string or a symbol, the first
// if there are more; null if there is none.
func (v Value) Get(key string) Value {
	if v.kind != KindMap {
		return Value{}
	}
	for w := v.walk(); w.left > 0; {
		k := w.next()
		value := w.next()
		if (k.kind == KindString || k.kind == KindSymbol) && string(k.raw) == key {
			return value
		}
	}
	return Value{}
}

// Descriptor is that of an array whose elements are described, of which Elements gives
// what is described; null if they are not.
func (v Value) Descriptor() Value {
	if v.kind != KindArray {
		return Value{}
	}
	w := v.walk()
	if len(w.descriptors) == 0 {
		return Value{}
	}
	d, _ := parse(w.descriptors[1:])
	return d
}
