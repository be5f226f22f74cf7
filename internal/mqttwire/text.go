package mqttwire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// cursor reads fields from a packet's body. The first error sticks.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *cursor) take(n int) []byte {
	if c.err != nil || n > len(c.b) {
		c.fail(errTruncated)
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) byte() byte {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if v := c.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

// id reads a packet identifier.
func (c *cursor) id() uint16 {
	v := c.uint16()
	if v == 0 {
		c.fail(errID) // MQTT-2.3.1-1
	}
	return v
}

// data reads length-prefixed bytes.
func (c *cursor) data() []byte { return c.take(int(c.uint16())) }

// text reads length-prefixed text and checks it.
func (c *cursor) text() []byte {
	v := c.data()
	if c.err == nil {
		c.err = checkText(v)
	}
	return v
}

// end checks that nothing is left.
func (c *cursor) end() error {
	if c.err == nil && len(c.b) > 0 {
		c.err = errTrailing
	}
	return c.err
}

// checkText demands UTF-8 without surrogates, overlong forms (MQTT-1.5.3-1) and U+0000
// (MQTT-1.5.3-2). U+FEFF is a character like any other (MQTT-1.5.3-3).
func checkText(b []byte) error {
	if !utf8.Valid(b) {
		return errUTF8
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return errNUL
	}
	return nil
}

// checkFilter demands a topic filter as MQTT 4.7 has it.
func checkFilter(b []byte) error {
	if len(b) == 0 {
		return errTopicEmpty // MQTT-4.7.3-1
	}
	for i, c := range b {
		switch c {
		case '#': // MQTT-4.7.1-2
			if i != len(b)-1 || (i > 0 && b[i-1] != '/') {
				return errFilterHash
			}
		case '+': // MQTT-4.7.1-3
			if (i > 0 && b[i-1] != '/') || (i < len(b)-1 && b[i+1] != '/') {
				return errFilterPlus
			}
		}
	}
	return nil
}

func hasWildcard(b []byte) bool {
	return bytes.IndexByte(b, '#') >= 0 || bytes.IndexByte(b, '+') >= 0
}

// appendData writes length-prefixed bytes; what does not fit 16 bits of length is cut,
// because an encoder's caller has checked it.
func appendData[T string | []byte](b []byte, v T) []byte {
	n := min(len(v), 0xffff)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return append(b, v[:n]...)
}
