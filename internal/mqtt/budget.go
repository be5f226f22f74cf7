package mqtt

import (
	"errors"
	"net"
	"sync/atomic"
)

// errBudget: a peer sent more than maxArrival raw bytes before its CONNECT was answered.
var errBudget = errors.New("mqtt: too much input before CONNECT was answered")

// budget is a socket that gives a stranger maxArrival bytes and no more; crypto/tls
// alone would take several times as much before it refuses.
type budget struct {
	net.Conn

	left atomic.Int64 // bytes that may still be read; negative once lifted
}

func newBudget(nc net.Conn) *budget {
	b := &budget{Conn: nc}
	b.left.Store(maxArrival)
	return b
}

// lift ends the bound: the peer is authenticated.
func (b *budget) lift() { b.left.Store(-1) }

// Read reads at most what is left.
func (b *budget) Read(p []byte) (int, error) {
	left := b.left.Load()
	if left < 0 {
		return b.Conn.Read(p)
	}
	if left == 0 {
		return 0, errBudget
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), left)])
	b.left.CompareAndSwap(left, left-int64(n)) // fails only if lifted meanwhile
	return n, err
}

// NetConn gives the socket itself.
func (b *budget) NetConn() net.Conn { return b.Conn }

// CloseWrite ends our side of the stream, where the socket can.
func (b *budget) CloseWrite() error {
	half, ok := b.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
