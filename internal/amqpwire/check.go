package amqpwire

import (
	"encoding/binary"
	"unicode/utf8"
)

// check demands one well-formed value at the front of b and says how many bytes it is.
// It is the only place that judges bytes: all that reads values afterwards trusts it.
func check(b []byte, depth int) (n int, err error) {
	if len(b) == 0 {
		return 0, errTruncated
	}
	if b[0] != fmtDescribed {
		n, err = checkContent(b[0], b[1:], depth)
		return 1 + n, err
	}
	if depth >= MaxDepth {
		return 0, errDepth
	}
	n, err = check(b[1:], depth+1)
	if err != nil {
		return 0, err
	}
	m, err := check(b[1+n:], depth+1)
	return 1 + n + m, err
}

// checkContent checks what follows a constructor.
func checkContent(code byte, b []byte, depth int) (n int, err error) {
	f := formats[code]
	switch f.shape {
	case shapeFixed:
		n = int(f.width)
		if n > len(b) {
			return 0, errTruncated
		}
		return n, checkFixed(code, b[:n])
	case shapeVariable:
		content, n, err := sized(b, f.width)
		if err != nil {
			return 0, err
		}
		return n, checkText(f.kind, content)
	case shapeCompound, shapeArray:
		if depth >= MaxDepth {
			return 0, errDepth
		}
		content, n, err := sized(b, f.width)
		if err != nil {
			return 0, err
		}
		if f.shape == shapeArray {
			return n, checkArray(content, f.width, depth+1)
		}
		return n, checkCompound(f.kind, content, f.width, depth+1)
	default:
		return 0, errConstructor
	}
}

// sized takes a size and as many bytes.
func sized(b []byte, width uint8) (content []byte, n int, err error) {
	size, n, err := number(b, width)
	if err != nil || uint64(size) > uint64(len(b)-n) {
		return nil, 0, errTruncated
	}
	end := n + int(size)
	return b[n:end:end], end, nil
}

// number takes a size or a count.
func number(b []byte, width uint8) (v uint32, n int, err error) {
	switch {
	case len(b) < int(width):
		return 0, 0, errTruncated
	case width == 1:
		return uint32(b[0]), 1, nil
	default:
		return binary.BigEndian.Uint32(b), 4, nil
	}
}

// checkFixed checks the fixed values that have bytes which mean nothing.
func checkFixed(code byte, b []byte) error {
	switch code {
	case fmtBool:
		if b[0] > 1 {
			return errBool
		}
	case fmtChar:
		if r := binary.BigEndian.Uint32(b); r > utf8.MaxRune || !utf8.ValidRune(rune(r)) {
			return errChar
		}
	}
	return nil
}

func checkText(k Kind, b []byte) error {
	switch k {
	case KindString:
		if !utf8.Valid(b) {
			return errUTF8
		}
	case KindSymbol:
		if !ascii(b) {
			return errASCII
		}
	default: // binary
	}
	return nil
}

func ascii(b []byte) bool {
	const high = 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		if binary.NativeEndian.Uint64(b)&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// checkCompound checks what follows the size of a list or map.
func checkCompound(k Kind, b []byte, width uint8, depth int) error {
	count, n, err := number(b, width)
	if err != nil {
		return err
	}
	b = b[n:]
	if uint64(count) > uint64(len(b)) {
		return errCount // a value has at least its constructor
	}
	if k == KindMap && count%2 != 0 {
		return errOdd
	}
	for range count {
		if n, err = check(b, depth); err != nil {
			return err
		}
		b = b[n:]
	}
	if len(b) > 0 {
		return errSize
	}
	return nil
}

// checkArray checks what follows the size of an array.
func checkArray(b []byte, width uint8, depth int) error {
	count, n, err := number(b, width)
	if err != nil {
		return err
	}
	b = b[n:]
	if count == 0 && len(b) == 0 {
		return nil // against the standard, without a constructor; it says enough
	}
	code, n, err := checkConstructor(b, depth)
	if err != nil {
		return err
	}
	b = b[n:]
	f := formats[code]
	if f.shape == shapeFixed {
		return checkFixedElements(code, f.width, count, b)
	}
	if uint64(count) > uint64(len(b)) {
		return errCount // a value that is not fixed has at least its size
	}
	for range count {
		if n, err = checkContent(code, b, depth); err != nil {
			return err
		}
		b = b[n:]
	}
	if len(b) > 0 {
		return errSize
	}
	return nil
}

// checkConstructor checks the constructor of an array's elements, behind whatever
// descriptors it has.
func checkConstructor(b []byte, depth int) (code byte, n int, err error) {
	for ; ; depth++ {
		switch {
		case n == len(b):
			return 0, 0, errTruncated
		case b[n] != fmtDescribed:
			return b[n], n + 1, nil
		case depth >= MaxDepth:
			return 0, 0, errDepth
		}
		m, err := check(b[n+1:], depth+1)
		if err != nil {
			return 0, 0, err
		}
		n += 1 + m
	}
}

func checkFixedElements(code, width uint8, count uint32, b []byte) error {
	switch {
	case width == 0 && count > MaxEmpty:
		return errCount
	case uint64(count)*uint64(width) > uint64(len(b)):
		return errCount
	case uint64(count)*uint64(width) < uint64(len(b)):
		return errSize
	case code != fmtBool && code != fmtChar:
		return nil
	}
	for ; len(b) > 0; b = b[width:] {
		if err := checkFixed(code, b[:width]); err != nil {
			return err
		}
	}
	return nil
}
