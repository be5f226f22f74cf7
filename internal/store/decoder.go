package store

import "encoding/binary"

// Decoder takes the fields of a record's value off its front: bytes, varints of
// encoding/binary in their shortest form, and texts as AppendText writes them. After
// something wrong it gives zeros, and Ok is false from then on.
type Decoder struct {
	b   []byte
	bad bool
}

// NewDecoder reads b, which must not change meanwhile.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Fail says that what was read makes no sense.
func (d *Decoder) Fail() { d.bad, d.b = true, nil }

// Ok reports whether nothing was wrong so far.
func (d *Decoder) Ok() bool { return !d.bad }

// Done reports whether nothing was wrong and nothing is left.
func (d *Decoder) Done() bool { return !d.bad && len(d.b) == 0 }

// Len is how many bytes are left.
func (d *Decoder) Len() int { return len(d.b) }

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if len(d.b) == 0 {
		d.Fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

// Uvarint reads a number.
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if !d.skip(n) {
		return 0
	}
	return v
}

// Varint reads a number with a sign.
func (d *Decoder) Varint() int64 {
	v, n := binary.Varint(d.b)
	if !d.skip(n) {
		return 0
	}
	return v
}

// skip passes over a varint of n bytes. It fails where there was none, or a shorter form
// would have said the same.
func (d *Decoder) skip(n int) bool {
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.Fail()
		return false
	}
	d.b = d.b[n:]
	return true
}

// AtMost reads a number that has a bound; one beyond it is wrong.
func (d *Decoder) AtMost(most uint64) uint64 {
	v := d.Uvarint()
	if v > most {
		d.Fail()
		return 0
	}
	return v
}

// Bytes reads a length and as many bytes, which are a part of the value; nil if none.
func (d *Decoder) Bytes() []byte {
	n := d.Uvarint()
	if n > uint64(len(d.b)) {
		d.Fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	s := d.b[:n:n]
	d.b = d.b[n:]
	return s
}

// Text is Bytes as a string.
func (d *Decoder) Text() string { return string(d.Bytes()) }

// Rest gives all that is left, a part of the value; nil if nothing is.
func (d *Decoder) Rest() []byte {
	s := d.b
	d.b = nil
	if len(s) == 0 {
		return nil
	}
	return s
}

// AppendText writes a length, as a uvarint, and as many bytes.
func AppendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
