package park

import (
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// errBudget: a peer sent more than MaxArrival raw bytes before it was authenticated.
var errBudget = errors.New("park: too much input before the peer was authenticated")

// errHoard: all strangers together have sent too much.
var errHoard = errors.New("park: too much input of peers that are not authenticated")

// budget is the socket of a stranger: it gives MaxArrival bytes and no more, which is less
// than crypto/tls alone would take, and no deadline later than the stranger's.
type budget struct {
	net.Conn

	left atomic.Int64 // bytes that may still be read; negative without a bound
	host atomic.Pointer[stranger]

	// owned by who reads

	unread   []byte // has come, and is not yet read
	whole    int    // how much of it is of records of which all has come
	rationed bool   // nothing else is given out
	arrived  int64  // what was left when the arrival was over, if what comes then is counted
}

func newBudget(nc net.Conn, st *stranger) *budget {
	b := &budget{Conn: nc}
	b.left.Store(MaxArrival)
	b.host.Store(st)
	return b
}

// lift ends the bounds: the peer is authenticated. On the plain path somebody else reads
// meanwhile; it has not been rationed since the arrival was over.
func (b *budget) lift() {
	b.left.Store(-1)
	b.host.Store(nil)
}

// Read reads at most what is left. While it is rationed it reads whole TLS records only:
// crypto/tls takes the whole size of a record when it has seen its header.
func (b *budget) Read(p []byte) (int, error) {
	if !b.rationed {
		if len(b.unread) == 0 {
			return b.fresh(p)
		}
		b.whole = len(b.unread)
	}
	if err := b.await(); err != nil {
		return 0, err
	}
	n := copy(p, b.unread[:b.whole])
	b.whole -= n
	if b.unread = b.unread[n:]; len(b.unread) == 0 {
		b.unread = nil
	}
	return n, nil
}

// await reads until there is a whole record, or something else.
func (b *budget) await() error {
	for b.whole == 0 {
		if b.whole = record(b.unread); b.whole > 0 {
			break
		}
		b.unread = slices.Grow(b.unread, leastRead)
		n, err := b.fresh(b.unread[len(b.unread):cap(b.unread)])
		b.unread = b.unread[:len(b.unread)+n]
		if err == nil {
			err = b.host.Load().hoards(len(b.unread))
		}
		if err != nil && (n == 0 || record(b.unread) == 0) {
			return err
		}
	}
	return nil
}

// fresh reads what has not been read before.
func (b *budget) fresh(p []byte) (int, error) {
	left := b.left.Load()
	if left == 0 {
		return 0, errBudget
	}
	b.waits()
	defer b.resumes()
	if left < 0 {
		return b.Conn.Read(p)
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), left)])
	b.left.CompareAndSwap(left, left-int64(n)) // fails only if lifted meanwhile
	// A conversation with a stranger may keep all that it is told.
	if b.arrived > 0 {
		if full := b.host.Load().hoards(int(b.arrived - left + int64(n))); full != nil {
			return n, full
		}
	}
	return n, err
}

// Write writes all of p.
func (b *budget) Write(p []byte) (int, error) {
	b.waits()
	defer b.resumes()
	return b.Conn.Write(p)
}

// waits tells the stranger that its peer may have to be waited for; a socket of our own
// knows when it really is, and tells that itself.
func (b *budget) waits() {
	if _, own := b.Conn.(*socket); !own {
		b.host.Load().waits()
	}
}

func (b *budget) resumes() {
	if _, own := b.Conn.(*socket); !own {
		b.host.Load().resumes()
	}
}

// SetDeadline sets both deadlines.
func (b *budget) SetDeadline(t time.Time) error { return b.Conn.SetDeadline(b.bound(t)) }

// SetReadDeadline sets until when a read waits.
func (b *budget) SetReadDeadline(t time.Time) error { return b.Conn.SetReadDeadline(b.bound(t)) }

// SetWriteDeadline sets until when a write waits.
func (b *budget) SetWriteDeadline(t time.Time) error { return b.Conn.SetWriteDeadline(b.bound(t)) }

// bound is t, or the end of the stranger's time if that is earlier.
func (b *budget) bound(t time.Time) time.Time {
	st := b.host.Load()
	if st == nil || !t.IsZero() && t.Before(st.until) {
		return t
	}
	return st.until
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
