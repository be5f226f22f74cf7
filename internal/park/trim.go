package park

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"unsafe"
)

// growth says what a TLS connection may hold that it does not need while idle. Its
// buffers grow with the greatest record, from the ClientHello on, and never shrink.
type growth uint8

const (
	trimmed growth = iota // nothing
	busy                  // what the last reads needed
	arrived               // what the handshake needed, which will not be needed again
)

// trimmer lets go of the input buffers of idle TLS connections. crypto/tls has no way to
// ask for that, so they are found by their names; with names that this release of Go does
// not have it does nothing, and an idle connection costs some 4 kB more.
type trimmer struct {
	rawInput, hand uintptr // offsets in tls.Conn
	known          bool
}

func newTrimmer() trimmer { return trimmerOf(reflect.TypeFor[tls.Conn]()) }

func trimmerOf(conn reflect.Type) (t trimmer) {
	rawInput, ok1 := conn.FieldByName("rawInput")
	hand, ok2 := conn.FieldByName("hand")
	buffer := reflect.TypeFor[bytes.Buffer]()
	if ok1 && ok2 && rawInput.Type == buffer && hand.Type == buffer {
		t = trimmer{rawInput.Offset, hand.Offset, true}
	}
	return t
}

// trim empties the buffers of nc, if it is a TLS connection, that hold nothing. It is for
// the owner, after a read that found nothing: then no input waits in them undelivered.
func (t trimmer) trim(nc net.Conn) {
	c, ok := nc.(*tls.Conn)
	if !ok || !t.known {
		return
	}
	for _, offset := range [...]uintptr{t.rawInput, t.hand} {
		b := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), offset)) //nolint:gosec // the type of the field was checked
		if b.Len() == 0 {
			*b = bytes.Buffer{}
		}
	}
}
