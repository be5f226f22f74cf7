package amqpwire

import (
	"bytes"
	"encoding/binary"
)

// fields reads the fields of a composite value in their order. The first error sticks;
// a field that is absent or null reads as its zero.
type fields struct {
	b    []byte // of the whole list
	at   int    // where the next field begins
	left int    // fields that the list still has
	own  bool   // values are cloned
	err  error
}

// enter takes a described list from the front of b and says how long it is. A
// descriptor that is unknown is 0; what is described by it is not looked at.
func (f *fields) enter(b []byte) (c Code, n int, err error) {
	if len(b) > 5 && b[0] == fmtDescribed && b[1] == fmtSmallUlong && b[3] == fmtList8 { // as most write it
		end := 5 + int(b[4])
		if c = known(uint64(b[2])); c != 0 && end <= len(b) && int(b[5]) < int(b[4]) {
			f.b, f.left = b[6:end:end], int(b[5])
			return c, end, nil
		}
	}
	c, n, err = takeCode(b)
	if err != nil || c == 0 {
		return 0, n, err
	}
	m, err := f.enterList(b[n:])
	return c, n + m, err
}

// enterList takes a list from the front of b.
func (f *fields) enterList(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, errTruncated
	}
	width := uint8(1)
	switch b[0] {
	case fmtList0:
		return 1, nil
	case fmtList8:
	case fmtList32:
		width = 4
	default:
		return 0, errNotList
	}
	content, n, err := sized(b[1:], width)
	if err != nil {
		return 0, err
	}
	count, m, err := number(content, width)
	if err != nil {
		return 0, err
	}
	if uint64(count) > uint64(len(content)-m) {
		return 0, errCount
	}
	f.b, f.left = content[m:], int(count)
	return 1 + n, nil
}

// rest is what is not read yet.
func (f *fields) rest() []byte { return f.b[f.at:] }

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
	if f.at >= len(f.b) {
		f.fail(errTruncated)
		return false
	}
	if f.b[f.at] == fmtNull {
		f.at++
		return false
	}
	return true
}

// scalar takes the content of a fixed value of one kind.
func (f *fields) scalar(k Kind) (v uint64, ok bool) {
	if !f.has() {
		return 0, false
	}
	code := f.b[f.at]
	t := &formats[code]
	at := f.at + 1
	end := at + int(t.width)
	switch {
	case t.kind != k || t.shape != shapeFixed:
		f.fail(errFieldType)
		return 0, false
	case end > len(f.b):
		f.fail(errTruncated)
		return 0, false
	}
	f.at = end
	return fixed(code, f.b[at:end]), true
}

func (f *fields) bool() bool { return f.optBool().V }

func (f *fields) optBool() Opt[bool] {
	if f.left > 0 && f.at < len(f.b) {
		if c := f.b[f.at]; c-fmtNull <= fmtFalse-fmtNull { // null, true or false, as most write it
			f.at++
			f.left--
			return Opt[bool]{c == fmtTrue, c != fmtNull}
		}
	}
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
	if f.left > 0 && f.at+5 <= len(f.b) { // long enough for each of the three encodings
		switch b := f.b[f.at:]; b[0] {
		case fmtUint0:
			f.at, f.left = f.at+1, f.left-1
			return Opt[uint32]{0, true}
		case fmtSmallUint:
			f.at, f.left = f.at+2, f.left-1
			return Opt[uint32]{uint32(b[1]), true}
		case fmtUint:
			f.at, f.left = f.at+5, f.left-1
			return Opt[uint32]{binary.BigEndian.Uint32(b[1:]), true}
		}
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
	t := &formats[f.b[f.at]]
	if t.kind != k {
		f.fail(errFieldType)
		return nil
	}
	v, n, err := sized(f.b[f.at+1:], t.width)
	if err == nil {
		err = checkText(k, v)
	}
	if err != nil {
		f.fail(err)
		return nil
	}
	f.at += 1 + n
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
	v, n, err := DecodeValue(f.rest())
	if err != nil {
		f.fail(err)
		return Value{}
	}
	f.at += n
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

// symbols takes a field of many symbols: null, one symbol, or an array (AMQP 1.4); a
// list is let pass, as the Python binding of proton sends it.
func (f *fields) symbols() []string {
	v := f.value()
	switch v.kind {
	case KindNull:
		return nil
	case KindSymbol:
		return []string{string(v.raw)}
	case KindArray, KindList:
	default:
		f.fail(errFieldType)
		return nil
	}
	w := v.walk()
	if w.left == 0 {
		return nil
	}
	vs := make([]string, 0, w.left)
	for w.left > 0 {
		e := w.next()
		if e.kind != KindSymbol {
			f.fail(errFieldType)
			return nil
		}
		vs = append(vs, string(e.raw))
	}
	return vs
}

// composite takes a described list that must be of one type; its fields are read
// before any other of f's.
func (f *fields) composite(c Code) (in fields, ok bool) {
	if !f.has() {
		return fields{}, false
	}
	got, n, err := in.enter(f.rest())
	if err == nil && got != c {
		err = errFieldType
	}
	if err != nil {
		f.fail(err)
		return fields{}, false
	}
	f.at += n
	in.own = f.own
	return in, true
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
		n, err := check(f.rest(), 0)
		if err != nil {
			f.fail(err)
			break
		}
		f.at, f.left = f.at+n, f.left-1
	}
	if f.err == nil && f.at < len(f.b) {
		f.fail(errSize)
	}
	return f.err
}
