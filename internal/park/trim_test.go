package park

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"testing"
	"unsafe"
)

// held is how much the input buffers of a TLS connection hold; only while nobody owns it.
func held(lot *Lot, c *tls.Conn) (n int) {
	for _, offset := range [...]uintptr{lot.trim.rawInput, lot.trim.hand} {
		n += (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), offset)).Cap()
	}
	return n
}

// If this fails, a release of Go has renamed what trimmer looks for: idle connections go on
// working, and cost some 4 kB more each.
func TestTrimmerKnowsThisReleaseOfGo(t *testing.T) {
	if !newTrimmer().known {
		t.Error("tls.Conn has no bytes.Buffer rawInput and hand")
	}
}

// With other names, or other types, nothing is touched.
func TestTrimmerOfAnotherRelease(t *testing.T) {
	type renamed struct{ input, hand bytes.Buffer }
	type retyped struct {
		rawInput []byte
		hand     bytes.Buffer
	}
	for _, conn := range []reflect.Type{reflect.TypeFor[renamed](), reflect.TypeFor[retyped]()} {
		trim := trimmerOf(conn)
		if trim.known {
			t.Errorf("%v was taken for a tls.Conn", conn)
		}
		here, _ := net.Pipe()
		trim.trim(tls.Server(here, &tls.Config{})) // would crash
	}
	here, _ := net.Pipe()
	newTrimmer().trim(here) // no TLS, nothing to do
}
