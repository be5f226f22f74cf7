package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// digestKeySize is the size of the key that digests are made with.
const digestKeySize = 32

// digest recognises the same token again within this start of the hub and tells nothing
// else of it: half an HMAC-SHA256, under a key that nobody knows.
type digest [16]byte

func (d digest) equal(o digest) bool { return hmac.Equal(d[:], o[:]) }

// hash is the digest as Proof.TokenHash tells it: never 0.
func (d digest) hash() uint64 { return max(1, binary.LittleEndian.Uint64(d[:])) }

// digests makes digests.
type digests struct{ makers sync.Pool }

// maker makes one digest after the other.
type maker struct {
	mac hash.Hash
	buf []byte
}

func newDigests(key []byte) *digests {
	return &digests{makers: sync.Pool{New: func() any { return &maker{mac: hmac.New(sha256.New, key)} }}}
}

// of gives the digest of a token.
func (d *digests) of(token string) digest {
	m, _ := d.makers.Get().(*maker)
	defer d.makers.Put(m)
	m.mac.Reset()
	m.buf = append(m.buf[:0], token...)
	m.mac.Write(m.buf)
	clear(m.buf)
	m.buf = m.mac.Sum(m.buf[:0])
	return digest(m.buf[:16])
}
