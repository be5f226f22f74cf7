package pki

import (
	"crypto/tls"
	"reflect"
	"sync"
	"unsafe"
)

// configField finds where a tls.Conn keeps its configuration; ok is false if this release of
// Go keeps it elsewhere.
func configField(conn reflect.Type) (offset uintptr, ok bool) {
	f, ok := conn.FieldByName("config")
	return f.Offset, ok && f.Type == reflect.TypeFor[*tls.Config]()
}

// knownConfigField is configField of this release.
var knownConfigField = sync.OnceValues(func() (uintptr, bool) { return configField(reflect.TypeFor[tls.Conn]()) }) //nolint:gochecknoglobals // a table, of one row

// slim lets an established connection have the listener's configuration, which does for the
// rest of its life what its own (see observe) did. Its own takes half a kilobyte.
func slim(c *tls.Conn, listener *tls.Config) {
	if offset, ok := knownConfigField(); ok {
		*(**tls.Config)(unsafe.Add(unsafe.Pointer(c), offset)) = listener //nolint:gosec // the type of the field was checked
	}
}
