package pki

import (
	"crypto/tls"
	"net"
	"reflect"
	"testing"
	"unsafe"
)

// If this fails, a release of Go has moved the configuration of a tls.Conn: connections go
// on working, and cost half a kilobyte more each.
func TestSlimKnowsThisReleaseOfGo(t *testing.T) {
	if _, ok := knownConfigField(); !ok {
		t.Error("tls.Conn has no *tls.Config config")
	}
	type moved struct{ conf *tls.Config }    //nolint:unused // looked up by its name
	type retyped struct{ config tls.Config } //nolint:unused // the same
	for _, conn := range []reflect.Type{reflect.TypeFor[moved](), reflect.TypeFor[retyped]()} {
		if _, ok := configField(conn); ok {
			t.Errorf("%v was taken for a tls.Conn", conn)
		}
	}
}

func TestSlim(t *testing.T) {
	own, listener := &tls.Config{}, &tls.Config{}
	here, _ := net.Pipe()
	c := tls.Server(here, own)
	slim(c, listener)
	offset, _ := knownConfigField()
	if got := *(**tls.Config)(unsafe.Add(unsafe.Pointer(c), offset)); got != listener {
		t.Error("the connection keeps its own configuration")
	}
}
