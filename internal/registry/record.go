package registry

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/berth-iot/berth/internal/iot"
	"github.com/berth-iot/berth/internal/store"
)

// recordVersion is the first byte of a record.
const recordVersion = 1

// method is how an identity proves itself, as stored.
type method byte

// The stored methods.
const (
	methodSAS method = iota + 1
	methodSelfSigned
	methodCA
	methodNone
)

// kind is the method as the service API names it.
func (m method) kind() iot.AuthenticationType {
	switch m {
	case methodSelfSigned:
		return iot.AuthenticationSelfSigned
	case methodCA:
		return iot.AuthenticationCA
	case methodNone:
		return iot.AuthenticationNone
	case methodSAS:
	}
	return iot.AuthenticationSAS
}

// methodOf is the inverse of kind.
func methodOf(t iot.AuthenticationType) method {
	switch t {
	case iot.AuthenticationSelfSigned:
		return methodSelfSigned
	case iot.AuthenticationCA:
		return methodCA
	case iot.AuthenticationNone:
		return methodNone
	case iot.AuthenticationSAS:
	}
	return methodSAS
}

// The flag bits of a record.
const (
	flagDisabled = 1 << iota
	flagEdge
)

// record is what is stored of one identity. Slots 0 and 1 are primary and secondary.
type record struct {
	disabled   bool
	edge       bool
	method     method
	generation uint64 // 100 ns ticks of the creation
	etag       uint64
	statusSet  uint64    // ticks of the last change of status, 0 for never
	modules    int       // devices: how many modules it has
	keys       [2][]byte // decoded; both or neither
	thumbs     [2]string // hex as registered
	reason     string
	scope      string
	parents    []string
	managedBy  string // modules
}

// encode writes the record.
func (r *record) encode() []byte {
	flags := byte(0)
	if r.disabled {
		flags |= flagDisabled
	}
	if r.edge {
		flags |= flagEdge
	}
	b := append(make([]byte, 0, 192), recordVersion, flags, byte(r.method))
	b = binary.AppendUvarint(b, r.generation)
	b = binary.AppendUvarint(b, r.etag)
	b = binary.AppendUvarint(b, r.statusSet)
	b = binary.AppendUvarint(b, uint64(r.modules))
	b = appendText(b, r.keys[0])
	b = appendText(b, r.keys[1])
	for _, s := range []string{r.thumbs[0], r.thumbs[1], r.reason, r.scope} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(r.parents)))
	for _, p := range r.parents {
		b = appendText(b, p)
	}
	return appendText(b, r.managedBy)
}

func appendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeRecord reads a record; nothing of b is kept. A newer version is
// store.ErrFormat, anything else that is wrong store.ErrCorrupt.
func decodeRecord(b []byte) (*record, error) {
	d := decoder{b: b}
	if v := d.byte(); !d.bad && v != recordVersion {
		return nil, fmt.Errorf("%w: identity record of version %d", store.ErrFormat, v)
	}
	flags := d.byte()
	r := &record{
		disabled: flags&flagDisabled != 0, edge: flags&flagEdge != 0,
		method:     method(d.byte()),
		generation: d.number(), etag: d.number(), statusSet: d.number(),
	}
	modules := d.number()
	r.keys[0], r.keys[1] = slices.Clone(d.text()), slices.Clone(d.text())
	r.thumbs[0], r.thumbs[1] = string(d.text()), string(d.text())
	r.reason, r.scope = string(d.text()), string(d.text())
	parents := d.number()
	if parents > maxParents || modules > iot.MaxModules || flags > flagDisabled|flagEdge ||
		r.method < methodSAS || r.method > methodNone {
		d.bad = true
	}
	for !d.bad && uint64(len(r.parents)) < parents {
		r.parents = append(r.parents, string(d.text()))
	}
	r.managedBy = string(d.text())
	if d.bad || len(d.b) != 0 {
		return nil, fmt.Errorf("%w: identity record of %d bytes", store.ErrCorrupt, len(b))
	}
	r.modules = int(modules)
	return r, nil
}

// decoder takes values off the front of b until something is wrong.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

// text gives a slice of b, nil if empty.
func (d *decoder) text() []byte {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}
