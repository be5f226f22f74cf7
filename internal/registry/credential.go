package registry

import (
	"bytes"
	"slices"
	"strings"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// setCredentials fills a record's credentials from what a client sent: a full
// replacement. Empty keys of a sas identity are made (service-rest B.1), one by one,
// so sending one key empty renews that key alone.
func (r *Registry) setCredentials(op string, rec *record, a *iot.Authentication) error {
	if err := a.Check(); err != nil {
		return fault.New(fault.ArgumentInvalid, op, "%s", err.Error())
	}
	rec.method = methodOf(a.Kind())
	rec.keys, rec.thumbs = [2][]byte{}, [2]string{}
	switch rec.method {
	case methodSAS:
		if p, s := a.Thumbprints(); p != "" || s != "" {
			return fault.New(fault.ArgumentInvalid, op, "authentication type sas takes no thumbprints")
		}
		var text [2]string
		text[0], text[1] = a.Keys()
		for i, t := range text {
			key, err := r.keyOrNew(op, t)
			if err != nil {
				return err
			}
			rec.keys[i] = key
		}
	case methodSelfSigned:
		rec.thumbs[0], rec.thumbs[1] = a.Thumbprints()
	case methodCA, methodNone: // whatever keys came along mean nothing
	}
	return nil
}

// keyOrNew decodes a key, or makes one for the empty text.
func (r *Registry) keyOrNew(op, text string) ([]byte, error) {
	if text == "" {
		return r.newKey(op)
	}
	key, err := iot.ParseKey(text)
	if err != nil {
		return nil, fault.New(fault.ArgumentInvalid, op, "%s", err.Error())
	}
	return key, nil
}

// authentication is what the service API shows of a record's credentials.
func (r *record) authentication() *iot.Authentication {
	a := &iot.Authentication{SymmetricKey: &iot.SymmetricKey{}, X509Thumbprint: r.thumbprint(), Type: r.method.kind()}
	if r.method == methodSAS {
		a.SymmetricKey.PrimaryKey = iot.NullString(iot.FormatKey(r.keys[0]))
		a.SymmetricKey.SecondaryKey = iot.NullString(iot.FormatKey(r.keys[1]))
	}
	return a
}

func (r *record) thumbprint() *iot.X509Thumbprint {
	return &iot.X509Thumbprint{
		PrimaryThumbprint: iot.NullString(r.thumbs[0]), SecondaryThumbprint: iot.NullString(r.thumbs[1]),
	}
}

// outdated reports whether something that proved the identity under old no longer
// does under r. A key moved to the other slot, or a slot that was empty, invalidates
// nothing.
func (r *record) outdated(old *record) bool {
	if r.method != old.method {
		return true
	}
	for _, key := range old.keys {
		if len(key) > 0 && !slices.ContainsFunc(r.keys[:], func(k []byte) bool { return bytes.Equal(k, key) }) {
			return true
		}
	}
	for _, thumb := range old.thumbs {
		if thumb != "" && !slices.ContainsFunc(r.thumbs[:], func(t string) bool { return strings.EqualFold(t, thumb) }) {
			return true
		}
	}
	return false
}
