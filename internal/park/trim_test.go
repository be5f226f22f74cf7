package park

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"testing"
	"unsafe"
)

// held is how much the input buffers of a parked TLS connection hold; -1 if it has an owner.
func held(lot *Lot, c *tls.Conn) (n int) {
	s := under(c)
	if _, mine := s.word.set(expired); !mine {
		return -1
	}
	defer s.own()
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

// otherConn is a tls.Conn whose buffers are something else.
type otherConn struct {
	rawInput []byte       //nolint:unused // looked up by its name
	hand     bytes.Buffer //nolint:unused // the same
}

// With other names, or other types, nothing is touched.
func TestTrimmerOfAnotherRelease(t *testing.T) {
	buffer := reflect.TypeFor[bytes.Buffer]()
	hand := reflect.StructField{Name: "Hand", Type: buffer}
	for _, conn := range []reflect.Type{
		reflect.StructOf([]reflect.StructField{hand}),
		reflect.TypeFor[otherConn](),
	} {
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
