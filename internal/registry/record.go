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
	b = store.AppendText(b, r.keys[0])
	b = store.AppendText(b, r.keys[1])
	for _, s := range []string{r.thumbs[0], r.thumbs[1], r.reason, r.scope} {
		b = store.AppendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(r.parents)))
	for _, p := range r.parents {
		b = store.AppendText(b, p)
	}
	return store.AppendText(b, r.managedBy)
}

// decodeRecord reads a record; nothing of b is kept. A newer version is
// store.ErrFormat, anything else that is wrong store.ErrCorrupt.
func decodeRecord(b []byte) (*record, error) {
	d := store.NewDecoder(b)
	if v := d.Byte(); d.Ok() && v != recordVersion {
		return nil, fmt.Errorf("%w: identity record of version %d", store.ErrFormat, v)
	}
	flags := d.Byte()
	r := &record{
		disabled: flags&flagDisabled != 0, edge: flags&flagEdge != 0,
		method:     method(d.Byte()),
		generation: d.Uvarint(), etag: d.Uvarint(), statusSet: d.Uvarint(),
	}
	modules := d.AtMost(iot.MaxModules)
	r.keys[0], r.keys[1] = slices.Clone(d.Bytes()), slices.Clone(d.Bytes())
	r.thumbs[0], r.thumbs[1] = d.Text(), d.Text()
	r.reason, r.scope = d.Text(), d.Text()
	parents := d.AtMost(maxParents)
	if flags > flagDisabled|flagEdge ||
		r.method < methodSAS || r.method > methodNone {
		d.Fail()
	}
	for d.Ok() && uint64(len(r.parents)) < parents {
		r.parents = append(r.parents, d.Text())
	}
	r.managedBy = d.Text()
	if !d.Done() {
		return nil, fmt.Errorf("%w: identity record of %d bytes", store.ErrCorrupt, len(b))
	}
	r.modules = int(modules)
	return r, nil
}
