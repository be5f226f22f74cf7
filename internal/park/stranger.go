package park

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// stranger is a peer that a Door let in and that has not yet shown who it is. Until it is
// served it is the stage of its socket, if that can be parked: there is a goroutine for it
// only while it shakes hands.
type stranger struct {
	// fixed

	host  *reception
	addr  netip.Addr // what counts as one
	until time.Time  // when its time is over
	end   func()     // ends it early; nil: that is not ours to do
	begin func(bool) // lets it in from the line of its address, or turns it away; nil: it cannot wait

	// shared

	since  atomic.Int64 // since when we wait for it, Unix nanoseconds; 0: we do not
	waited atomic.Int64 // how long we have waited for it before, in nanoseconds
	hoard  atomic.Int64 // how much of what it has sent counts against all strangers'

	// owned by whoever serves it

	phase  phase
	raw    *budget
	kept   []byte // what it has said, until that is a whole packet
	conn   net.Conn
	facts  *device.Conn
	certs  []*x509.Certificate
	inTurn bool // it has a turn at the turnstile
}

// phase is how far a stranger has come.
type phase uint8

const (
	hailing  phase = iota // the first record of its handshake is awaited
	speaking              // it has shaken hands, and its first packet is awaited
)

// step goes on with an arrival as far as what the peer has sent allows.
func (st *stranger) step(s *socket, bits uint32) bool {
	st.settle(time.Now())
	err := st.arrive(s, bits)
	if errors.Is(err, errNothing) {
		st.since.Store(time.Now().UnixNano())
		s.wakeAt(s.lot.at(st.until))
		return false
	}
	st.serve(err)
	over := s.stage == st
	if over {
		_ = s.Close() // harmless if it is closed
	}
	st.host.over()
	return over || s.stage.step(s, s.take())
}

// arrive goes on until the peer has said enough to be served. errNothing: that is all for
// now.
func (st *stranger) arrive(s *socket, bits uint32) error {
	if bits&cut != 0 || !time.Now().Before(st.until) {
		return net.ErrClosed
	}
	if st.phase == hailing {
		if err := st.raw.await(); err != nil {
			return err
		}
		s.parked = false
		err := st.shake()
		s.parked = true
		if err != nil {
			return err
		}
	}
	d := s.lot.desks.Get().(*desk) // the pool holds nothing else
	defer s.lot.desks.Put(d)
	d.lend(s, st.conn)
	err := st.gather(&d.tray, st.conn, st.host.protocol.Whole)
	if err != nil {
		d.reclaim(s, st.conn)
	}
	return err
}

// run takes a peer through its arrival, and serves it, on the plain path.
func (st *stranger) run(stop func() bool) {
	st.settle(time.Now())
	_ = st.raw.SetDeadline(st.until) // a socket that refuses fails at the first read
	err := st.raw.await()
	if err == nil {
		err = st.shake()
	}
	if err == nil {
		err = st.gather(&tray{home: make([]byte, plainHome)}, st.conn, st.host.protocol.Whole)
	}
	if !stop() && err == nil {
		err = net.ErrClosed
	}
	st.serve(err)
	if err != nil {
		_ = st.raw.Close()
	}
}

// gather reads, into what is kept, until whole says that it is enough.
func (st *stranger) gather(t *tray, from net.Conn, whole func(in []byte) bool) error {
	t.begin(st.kept)
	defer func() { st.kept = t.keep(st.kept) }()
	for len(t.unread()) == 0 || !whole(t.unread()) {
		room, err := t.room(MaxArrival + 1) // the budget is smaller
		if err != nil {
			return err
		}
		n, err := from.Read(room)
		t.landed(n)
		if st.facts != nil && n > 0 {
			st.facts.Traffic.In(time.Now(), n)
		}
		if err == nil {
			err = st.hoards(len(t.unread()))
		}
		if err != nil && (n == 0 || !whole(t.unread())) {
			return err
		}
	}
	return nil
}

// hoards counts n bytes that are kept for the peer against all strangers', but for what an
// honest one needs.
func (st *stranger) hoards(n int) error {
	if st == nil || st.host == nil {
		return nil
	}
	more := int64(n-freeInput) - st.hoard.Load()
	if more <= 0 {
		return nil
	}
	st.hoard.Add(more)
	if st.host.door.hoard.Add(more) > maxHoard {
		return errHoard
	}
	return nil
}

// shake takes the peer through its handshake. It waits for a turn, which it leaves while
// it waits for the peer.
func (st *stranger) shake() (err error) {
	_ = st.raw.SetDeadline(st.until) // a socket that refuses fails at the first read
	st.host.door.turn(first)
	growStack(0)
	st.inTurn = true
	st.conn, st.facts, st.certs, err = st.host.shake(st.raw)
	st.inTurn = false
	st.host.door.turnstile.done()
	if err == nil {
		st.phase = speaking
		_ = st.conn.SetDeadline(st.until) // the handshake has lifted it
	}
	return err
}

// serve hands the peer to its protocol, unless err has ended its arrival.
func (st *stranger) serve(err error) {
	if err != nil {
		st.host.door.log.Debug("arrival failed", slog.String("op", "park.arrive"),
			slog.String("remote", st.raw.RemoteAddr().String()), slog.String("err", err.Error()))
		return
	}
	in := st.kept
	st.kept, st.raw.rationed = nil, false
	if _, own := st.raw.Conn.(*socket); own { // elsewhere it may be admitted by another than who reads
		st.raw.arrived = st.raw.left.Load()
	}
	if st.host.protocol.Relayed {
		st.raw.left.Store(-1)
	}
	st.host.serve(st.until, Peer{Conn: st.conn, In: in, Facts: st.facts, Certs: st.certs, Admitted: st.admitted})
}

// admitted ends being a stranger.
func (st *stranger) admitted() {
	st.raw.lift()
	_ = st.raw.SetDeadline(time.Time{}) // a socket that refuses fails at the next read
	st.leave()
	if s := under(st.raw); s != nil {
		s.guest = nil
	}
}

// leave gives back what it holds as a stranger.
func (st *stranger) leave() {
	st.host.door.hoard.Add(-st.hoard.Swap(0)) // a relayed peer may be admitted just as its time is over
	st.host.door.gate.leave(st)
}

// waits notes that from now on we wait for the peer: somebody else may have the turn.
func (st *stranger) waits() {
	if st == nil {
		return
	}
	st.since.Store(time.Now().UnixNano())
	if st.inTurn {
		st.host.door.turnstile.leave()
	}
}

// resumes notes that the peer has let us go on, and waits for a turn.
func (st *stranger) resumes() {
	if st == nil {
		return
	}
	st.settle(time.Now())
	if st.inTurn {
		st.host.door.turn(again)
	}
}

// settle adds up how long we have waited.
func (st *stranger) settle(now time.Time) {
	if since := st.since.Swap(0); since != 0 {
		st.waited.Add(now.UnixNano() - since)
	}
}

// letWait is how long we have waited for the peer.
func (st *stranger) letWait(now time.Time) time.Duration {
	waited := st.waited.Load()
	if since := st.since.Load(); since != 0 {
		waited += now.UnixNano() - since
	}
	return time.Duration(waited)
}
