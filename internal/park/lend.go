package park

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"unsafe"
)

// lender gives the input buffers of TLS connections to those that are being read, and
// takes them away while they are idle. Those of crypto/tls grow with the greatest record,
// from the ClientHello on, and never shrink; it has no way to ask for that, so they are
// found by their names. With names that this release of Go does not have nothing is lent
// nor taken, and an idle connection costs some 4 kB more.
type lender struct {
	rawInput, hand uintptr // offsets in tls.Conn
	known          bool
}

func newLender() lender { return lenderTo(reflect.TypeFor[tls.Conn]()) }

func lenderTo(conn reflect.Type) (l lender) {
	rawInput, ok1 := conn.FieldByName("rawInput")
	hand, ok2 := conn.FieldByName("hand")
	buffer := reflect.TypeFor[bytes.Buffer]()
	if ok1 && ok2 && rawInput.Type == buffer && hand.Type == buffer {
		l = lender{rawInput.Offset, hand.Offset, true}
	}
	return l
}

// buffer gives a field of a connection, which lenderTo has found to be one.
func buffer(c *tls.Conn, offset uintptr) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), offset)) //nolint:gosec // the type of the field was checked
}

// lend lets nc, if it is a TLS connection that has nothing in its own buffer, read into b,
// and reports whether b is now its.
func (l lender) lend(nc net.Conn, b []byte) bool {
	c, ok := nc.(*tls.Conn)
	if !ok || !l.known {
		return false
	}
	raw := buffer(c, l.rawInput)
	if raw.Cap() > 0 {
		return false
	}
	*raw = *bytes.NewBuffer(b[:0])
	return true
}

// reclaim takes the buffers of nc, if it is a TLS connection, and gives the one for
// records, nil if there is none. What is in them stays, in buffers of its size. It is for the
// owner, after a read that failed, if only for want of input: then nothing that was decrypted
// waits in them.
func (l lender) reclaim(nc net.Conn) []byte {
	c, ok := nc.(*tls.Conn)
	if !ok || !l.known {
		return nil
	}
	if hand := buffer(c, l.hand); hand.Cap() > 0 && hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
	raw := buffer(c, l.rawInput)
	if raw.Cap() == 0 {
		return nil
	}
	var left bytes.Buffer
	if raw.Len() > 0 { // a record has begun
		left = *bytes.NewBuffer(append([]byte(nil), raw.Bytes()...))
	}
	raw.Reset()
	taken := raw.AvailableBuffer()
	*raw = left
	return taken
}
