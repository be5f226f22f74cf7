package registry

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/berth-iot/berth/internal/fault"
	"github.com/berth-iot/berth/internal/iot"
)

// source is randomness for many goroutines.
type source struct {
	// guarded by mu

	mu sync.Mutex
	r  io.Reader
}

// bytes gives n random bytes.
func (s *source) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := io.ReadFull(s.r, b)
	return b, err
}

// newKey makes a symmetric key.
func (r *Registry) newKey(op string) ([]byte, error) {
	key, err := r.random.bytes(iot.KeySize)
	if err != nil {
		return nil, fault.Wrap(err, fault.ServerError, op, "no random bytes for a key")
	}
	return key, nil
}

// firstETag gives the etag counter of a new identity: random, as Azure's are, so that
// an etag of a deleted identity does not match the one that took its id.
func (r *Registry) firstETag(op string) (uint64, error) {
	b, err := r.random.bytes(4)
	if err != nil {
		return 0, fault.Wrap(err, fault.ServerError, op, "no random bytes for an etag")
	}
	return uint64(binary.BigEndian.Uint32(b)>>2) + 1, nil
}
