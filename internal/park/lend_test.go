package park

import (
	"bytes"
	"crypto/tls"
	"net"
	"reflect"
	"testing"
)

// held is how much the input buffers of a parked TLS connection hold; -1 if it has an owner.
func held(lot *Lot, c *tls.Conn) (n int) {
	s := under(c)
	if _, mine := s.word.set(expired); !mine {
		return -1
	}
	defer s.own()
	for _, offset := range [...]uintptr{lot.lender.rawInput, lot.lender.hand} {
		n += buffer(c, offset).Cap()
	}
	return n
}

// If this fails, a release of Go has renamed what lender looks for: idle connections go on
// working, and cost some 4 kB more each.
func TestLenderKnowsThisReleaseOfGo(t *testing.T) {
	if !newLender().known {
		t.Error("tls.Conn has no bytes.Buffer rawInput and hand")
	}
}

// otherConn is a tls.Conn whose buffers are something else.
type otherConn struct {
	rawInput []byte       //nolint:unused // looked up by its name
	hand     bytes.Buffer //nolint:unused // the same
}

// With other names, or other types, nothing is touched.
func TestLenderToAnotherRelease(t *testing.T) {
	hand := reflect.StructField{Name: "Hand", Type: reflect.TypeFor[bytes.Buffer]()}
	for _, conn := range []reflect.Type{
		reflect.StructOf([]reflect.StructField{hand}),
		reflect.TypeFor[otherConn](),
	} {
		l := lenderTo(conn)
		if l.known {
			t.Errorf("%v was taken for a tls.Conn", conn)
		}
		here, _ := net.Pipe()
		server := tls.Server(here, &tls.Config{})
		if l.lend(server, make([]byte, 10)) || l.reclaim(server) != nil {
			t.Error("something was lent to it")
		}
	}
	here, _ := net.Pipe()
	if l := newLender(); l.lend(here, make([]byte, 10)) || l.reclaim(here) != nil {
		t.Error("something was lent to what is no TLS connection")
	}
}

// A record that has begun survives being taken its buffer.
func TestReclaimLeavesWhatIsInIt(t *testing.T) {
	here, _ := net.Pipe()
	l, c := newLender(), tls.Server(here, &tls.Config{})
	lent := make([]byte, lentInput)
	if !l.lend(c, lent) {
		t.Fatal("nothing was lent")
	}
	if l.lend(c, make([]byte, lentInput)) {
		t.Error("lent twice")
	}
	raw := buffer(c, l.rawInput)
	raw.WriteString("record begun")
	raw.Next(7)
	if taken := l.reclaim(c); cap(taken) != lentInput || &taken[:1][0] != &lent[0] {
		t.Errorf("%d bytes were given back, want what was lent", cap(taken))
	}
	lent[7] = 'x' // somebody else has it
	if got := raw.String(); got != "begun" || raw.Cap() > 16 {
		t.Errorf("%q is left, in %d bytes", got, raw.Cap())
	}
	if l.lend(c, lent) {
		t.Error("lent over what was left")
	}
}
