package amqpwire

import (
	"bytes"
)

// fields reads the fields of a composite value in their order. The first error sticks;
// a field that is absent or null reads as its zero.
type fields struct {
	b    []byte
	left int  // fields that the list still has
	own  bool // values are cloned
	err  error
}

// enter takes a described list from the front of b and says how long it is. A
// descriptor that is unknown is 0; what is described by it is not looked at.
func enter(b []byte) (c Code, f fields, n int, err error) {
	c, n, err = takeCode(b)
	if err != nil || c == 0 {
		return 0, fields{}, n, err
	}
	f, m, err := takeList(b[n:])
	return c, f, n + m, err
}

// takeList takes a list from the front of b.
func takeList(b []byte) (f fields, n int, err error) {
	if len(b) == 0 {
		return fields{}, 0, errTruncated
	}
	width := uint8(1)
	switch b[0] {
	case fmtList0:
		return fields{}, 1, nil
	case fmtList8:
	case fmtList32:
		width = 4
	default:
		return fields{}, 0, errNotList
	}
	content, n, err := sized(b[1:], width)
	if err != nil {
		return fields{}, 0, err
	}
	count, m, err := number(content, width)
	if err != nil {
		return fields{}, 0, err
	}
	if uint64(count) > uint64(len(content)-m) {
		return fields{}, 0, errCount
	}
	return fields{b: content[m:], left: int(count)}, 1 + n, nil
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
	f.left = 0
}

// has says whether the next field is there; if not, it is passed over.
func (f *fields) has() bool {
	if f.left == 0 {
		return false
	}
	f.left--
	if len(f.b) == 0 {
		f.fail(errTruncated)
		return false
	}
	if f.b[0] == fmtNull {
		f.b = f.b[1:]
		return false
	}
	return true
}

// scalar takes the content of a fixed value of one kind.
func (f *fields) scalar(k Kind) (v uint64, ok bool) {
	if !f.has() {
		return 0, false
	}
	t := formats[f.b[0]]
	end := 1 + int(t.width)
	switch {
	case t.kind != k || t.shape != shapeFixed:
		f.fail(errFieldType)
		return 0, false
	case end > len(f.b):
		f.fail(errTruncated)
		return 0, false
	}
	v = fixed(f.b[0], f.b[1:end])
	f.b = f.b[end:]
	return v, true
}

func (f *fields) bool() bool { return f.optBool().V }

func (f *fields) optBool() Opt[bool] {
	v, ok := f.scalar(KindBool)
	if v > 1 {
		f.fail(errBool)
	}
	return Opt[bool]{v == 1, ok}
}

// ubyte takes a ubyte of at most limit.
func (f *fields) ubyte(limit uint8) Opt[uint8] {
	v, ok := f.scalar(KindUbyte)
	if v > uint64(limit) {
		f.fail(errFieldValue)
	}
	return Opt[uint8]{uint8(v), ok}
}

func (f *fields) ushort() Opt[uint16] {
	v, ok := f.scalar(KindUshort)
	return Opt[uint16]{uint16(v), ok}
}

func (f *fields) uint() Opt[uint32] {
	if f.left > 0 && len(f.b) > 1 && f.b[0] == fmtSmallUint { // by far the most
		v := f.b[1]
		f.b, f.left = f.b[2:], f.left-1
		return Opt[uint32]{uint32(v), true}
	}
	v, ok := f.scalar(KindUint)
	return Opt[uint32]{uint32(v), ok}
}

// mustUint takes a uint that the standard demands.
func (f *fields) mustUint() uint32 {
	v := f.uint()
	if !v.Set {
		f.fail(errMandatory)
	}
	return v.V
}

// mustBool takes a boolean that the standard demands.
func (f *fields) mustBool() bool {
	v := f.optBool()
	if !v.Set {
		f.fail(errMandatory)
	}
	return v.V
}

func (f *fields) ulong() uint64 {
	v, _ := f.scalar(KindUlong)
	return v
}

// mustUlong takes a ulong that the standard demands.
func (f *fields) mustUlong() uint64 {
	v, ok := f.scalar(KindUlong)
	if !ok {
		f.fail(errMandatory)
	}
	return v
}

// mustUbyte takes a ubyte of at most limit that the standard demands.
func (f *fields) mustUbyte(limit uint8) uint8 {
	v := f.ubyte(limit)
	if !v.Set {
		f.fail(errMandatory)
	}
	return v.V
}

func (f *fields) timestamp() Opt[int64] {
	v, ok := f.scalar(KindTimestamp)
	return Opt[int64]{int64(v), ok}
}

// variable takes the content of a binary, string or symbol, borrowed; nil if it is
// absent.
func (f *fields) variable(k Kind) []byte {
	if !f.has() {
		return nil
	}
	t := formats[f.b[0]]
	if t.kind != k {
		f.fail(errFieldType)
		return nil
	}
	v, n, err := sized(f.b[1:], t.width)
	if err == nil {
		err = checkText(k, v)
	}
	if err != nil {
		f.fail(err)
		return nil
	}
	f.b = f.b[1+n:]
	return v
}

func (f *fields) string() string { return string(f.variable(KindString)) }
func (f *fields) symbol() string { return string(f.variable(KindSymbol)) }

// must takes the content of a binary, string or symbol that the standard demands; it
// may be empty.
func (f *fields) must(k Kind) string {
	v := f.variable(k)
	if v == nil {
		f.fail(errMandatory)
	}
	return string(v)
}

// binary takes a binary, nil if it is absent.
func (f *fields) binary() []byte {
	v := f.variable(KindBinary)
	if f.own {
		return bytes.Clone(v)
	}
	return v
}

// mustBinary takes a binary that the standard demands.
func (f *fields) mustBinary() []byte {
	v := f.binary()
	if v == nil {
		f.fail(errMandatory)
	}
	return v
}

// value takes a value of any type.
func (f *fields) value() Value {
	if !f.has() {
		return Value{}
	}
	v, n, err := DecodeValue(f.b)
	if err != nil {
		f.fail(err)
		return Value{}
	}
	f.b = f.b[n:]
	if f.own {
		return v.Clone()
	}
	return v
}

// mapping takes a map.
func (f *fields) mapping() Value {
	v := f.value()
	if v.kind != KindMap && v.kind != KindNull {
		f.fail(errFieldType)
		return Value{}
	}
	return v
}

// symbols takes a field of many symbols: null, one symbol, or an array (AMQP 1.4).
func (f *fields) symbols() []string {
	if !f.has() {
		return nil
	}
	v, n, err := DecodeValue(f.b)
	if err != nil {
		f.fail(err)
		return nil
	}
	f.b = f.b[n:]
	if v.kind == KindSymbol {
		return []string{string(v.raw)}
	}
	w := v.walk()
	switch {
	case v.kind != KindArray || w.code != 0 && formats[w.code].kind != KindSymbol || len(w.descriptors) > 0:
		f.fail(errFieldType)
		return nil
	case w.left == 0:
		return nil
	}
	vs := make([]string, 0, w.left)
	for w.left > 0 {
		vs = append(vs, string(w.next().raw))
	}
	return vs
}

// composite takes a described list that must be of one type; its fields are read
// before any other of f's.
func (f *fields) composite(c Code) (fields, bool) {
	if !f.has() {
		return fields{}, false
	}
	got, inner, n, err := enter(f.b)
	if err == nil && got != c {
		err = errFieldType
	}
	if err != nil {
		f.fail(err)
		return fields{}, false
	}
	f.b = f.b[n:]
	inner.own = f.own
	return inner, true
}

// leave ends the reading of an inner composite.
func (f *fields) leave(inner *fields) {
	if err := inner.end(); err != nil {
		f.fail(err)
	}
}

// end passes over fields that a later standard may have added, and checks that nothing
// is left.
func (f *fields) end() error {
	for f.left > 0 {
		n, err := check(f.b, 0)
		if err != nil {
			f.fail(err)
			break
		}
		f.b, f.left = f.b[n:], f.left-1
	}
	if f.err == nil && len(f.b) > 0 {
		f.fail(errSize)
	}
	return f.err
}
