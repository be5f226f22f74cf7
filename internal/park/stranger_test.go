package park

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-iot/berth/internal/device"
)

// A handshake computes in its turn, and has none while it waits for its peer: as many
// silent ones as you like stand in nobody's way.
func TestHandshakesTakeTurns(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{})
		var now, most int
		var mu sync.Mutex
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			now += n
			most = max(most, now)
		}
		ln := q.listen(func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
			for range 2 { // two flights
				if _, err := nc.Read(make([]byte, 1)); err != nil {
					return nil, nil, nil, err
				}
				count(1)
				time.Sleep(time.Second) // computes
				count(-1)
			}
			return bare(ctx, nc)
		})
		turns := q.door.turnstile.free
		silent := make([]net.Conn, 10*turns)
		for i := range silent {
			silent[i] = q.dial(ln)
			if i%2 == 0 { // is silent in the middle
				if _, err := silent[i].Write([]byte{1}); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(6 * time.Second) // five turns
		start := time.Now()
		peer := q.dial(ln)
		if _, err := peer.Write([]byte{1, 2}); err != nil {
			t.Fatal(err)
		}
		q.says(peer, "open", "ping")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("a handshake of two seconds took %v", took)
		}
		if most > turns {
			t.Errorf("%d computed at once, want at most %d", most, turns)
		}
	})
}

// First come, first served; but who is in the middle goes before who begins, and nobody
// begins without a seat.
func TestTurnstileIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turnstile := turnstile{free: 1, seats: 3}
		enter := func(p pass) (full bool) {
			turn, full := turnstile.line(p)
			if turn != nil {
				<-turn
			}
			return full
		}
		enter(first)
		var order []string
		var wg sync.WaitGroup
		for _, want := range []struct {
			name string
			pass pass
		}{{"c", first}, {"d", first}, {"e", first}, {"a", again}, {"b", again}} {
			wg.Go(func() {
				enter(want.pass)
				order = append(order, want.name)
				turnstile.leave()
			})
			synctest.Wait()
		}
		if turnstile.full() {
			t.Error("full with two seats free")
		}
		turnstile.leave()
		synctest.Wait()
		if got := strings.Join(order, ""); got != "abcd" {
			t.Errorf("served %q, want abcd", got)
		}
		if !turnstile.full() {
			t.Error("not full, though somebody waits for a seat")
		}
		enter(again) // a seat is not a turn: who has one may go on
		turnstile.done()
		wg.Wait()
		if got := strings.Join(order, ""); got != "abcde" || turnstile.free != 1 || turnstile.seats != 0 {
			t.Errorf("served %q, %d turns and %d seats free", got, turnstile.free, turnstile.seats)
		}
	})
}

// As many handshakes as there are seats, and those who keep theirs too long make room when
// somebody waits for one.
func TestSlowHandshakesMakeRoom(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{MaxArriving: 6 * seatPart})
		ln := q.listen(func(ctx context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
			if _, err := io.ReadFull(nc, make([]byte, 2)); err != nil { // two flights
				return nil, nil, nil, err
			}
			return bare(ctx, nc)
		})
		slow := make([]net.Conn, 6)
		for i := range slow {
			slow[i] = q.dial(ln)
			if _, err := slow[i].Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		start := time.Now()
		peer := q.dial(ln)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := peer.Write([]byte{1, 2}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		q.says(peer, "open", "ping")
		if took := time.Since(start); took < pressedFor || took > pressedFor+2*pressureEvery {
			t.Errorf("it took %v, want a moment after %v", took, pressedFor)
		}
		for _, one := range slow {
			if took := q.gone(one); took > 0 {
				t.Error("a slow one is still there")
			}
		}
	})
}

// A relayed peer stays with package net, so that whoever serves it may read and write at
// once. It is a stranger until it is admitted, and while it is silent it takes no seat.
func TestRelayedPeers(t *testing.T) {
	onMemory(t, func(p path, m *memory) {
		q := p.quay(DoorConfig{MaxArriving: seatPart, MaxArrivingPerAddress: 3}) // one seat
		admit := make(chan struct{})
		protocol := q.protocol()
		protocol.Relayed = true
		protocol.Serve = func(ctx context.Context, peer Peer) {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = peer.Conn.Write(peer.In)
				_, _ = io.Copy(peer.Conn, peer.Conn)
			}()
			select {
			case <-admit:
				peer.Admitted()
			case <-ctx.Done():
				_ = peer.Conn.Close()
			}
			<-ended
			_ = peer.Conn.Close()
		}
		m.setFail(errors.New("a relayed peer was taken out of package net"))
		ln := q.listenTo(bare, protocol)
		dial := func() net.Conn {
			here, peer := net.Pipe()
			ln.conns <- descriptor{here}
			q.Cleanup(func() { _ = peer.Close() })
			return peer
		}
		silent, speaking := dial(), dial()
		echoed := func(word string) {
			t.Helper()
			go func() { _, _ = speaking.Write([]byte(word)) }()
			got := make([]byte, len(word))
			if _, err := io.ReadFull(speaking, got); err != nil || string(got) != word {
				t.Fatalf("read %.10q, %v; want %.10q", got, err, word)
			}
		}
		echoed("open")
		echoed("ping")
		echoed(strings.Repeat("much", MaxArrival)) // who serves it bounds that
		if n := q.door.Strangers(); n != 3 {
			t.Errorf("%d places taken, want two and the listener's own", n)
		}
		close(admit)
		synctest.Wait()
		if n := q.door.Strangers(); n != 2 {
			t.Errorf("%d places taken, want one and the listener's own", n)
		}
		if took := q.gone(silent); took != ArriveWithin {
			t.Errorf("the silent one was closed after %v, want %v", took, ArriveWithin)
		}
		time.Sleep(ArriveWithin)
		echoed("more")
		_ = speaking.Close()
	})
}

// descriptor is a connection that says it has a descriptor.
type descriptor struct{ net.Conn }

func (descriptor) SyscallConn() (syscall.RawConn, error) { return nil, syscall.EINVAL }

// Before it is admitted, TLS is given whole records only, because it takes the whole size
// of one for its header; and between two of them nothing is kept for it.
func TestHalfARecordCostsHalfARecord(t *testing.T) {
	onMemory(t, func(p path, _ *memory) {
		q := p.quay(DoorConfig{})
		cert := certificate(t)
		var server *tls.Conn
		ln := q.listen(func(_ context.Context, nc net.Conn) (net.Conn, *device.Conn, []*x509.Certificate, error) {
			server = tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})
			return server, new(device.Conn), nil, server.Handshake()
		})
		peer := q.dial(ln)
		client := tls.Client(&trickles{peer}, &tls.Config{InsecureSkipVerify: true})
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte("op")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := held(q.lot, server); n != 0 {
			t.Errorf("TLS keeps %d bytes for half a packet", n)
		}
		if _, err := client.Write([]byte("en")); err != nil {
			t.Fatal(err)
		}
		q.says(client, "ping")

		peer = q.dial(ln)
		client = tls.Client(peer, &tls.Config{InsecureSkipVerify: true})
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write([]byte{23, 3, 3, 0x40, 0}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := held(q.lot, server); n != 0 {
			t.Errorf("TLS keeps %d bytes for a header", n)
		}
	})
}

// trickles is a connection that writes byte by byte.
type trickles struct{ net.Conn }

func (c *trickles) Write(p []byte) (int, error) {
	for i := range p {
		if n, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i + n, err
		}
		synctest.Wait()
	}
	return len(p), nil
}

// What strangers may send is bounded for all of them together; who sends no more than an
// honest peer does is not concerned.
func TestStrangersHoardTogether(t *testing.T) {
	onMemory(t, func(p path, _ *memory) {
		const each = MaxArrival - 1
		q := p.quay(DoorConfig{})
		ln := q.listen(bare)
		q.whole = func(in []byte) bool { return in[0] != 0 && len(in) >= packet }
		var hoarders []net.Conn
		for range maxHoard/(each-freeInput) + 1 {
			peer := q.dial(ln)
			if _, err := peer.Write(make([]byte, each)); err != nil {
				t.Fatal(err)
			}
			hoarders = append(hoarders, peer)
			synctest.Wait() // of two that come to the bound at once, both may be sent away
		}
		if n := q.door.Strangers() - 1; n != len(hoarders)-1 {
			t.Errorf("%d of %d hoarders are inside, want all but the last", n, len(hoarders))
		}
		q.says(q.dial(ln), "open", "ping")
		for _, peer := range hoarders {
			_ = peer.Close()
		}
		synctest.Wait()
		if n := q.door.hoard.Load(); n != 0 {
			t.Errorf("%d bytes are counted against nobody", n)
		}
	})
}

// What a conversation is told by somebody who has not shown who he is counts like what he
// said before: it may keep all of it.
func TestStrangersHoardInConversations(t *testing.T) {
	onMemory(t, func(p path, _ *memory) {
		const each = MaxArrival - 64
		q := p.quay(DoorConfig{})
		q.late = true
		ln := q.listen(bare)
		var hoarders []net.Conn
		for range maxHoard/(each-freeInput-leastRead) + 1 { // what is read before the conversation begins counts by itself
			peer := q.dial(ln)
			q.says(peer, "open")
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = io.Copy(io.Discard, peer) })
			_, _ = peer.Write(bytes.Repeat([]byte("ping"), each/4))
			hoarders = append(hoarders, peer)
			synctest.Wait()
		}
		if n := q.door.Strangers() - 1; n >= len(hoarders) || n < maxHoard/MaxArrival {
			t.Errorf("%d of %d hoarders are inside, want all but the last ones", n, len(hoarders))
		}
		q.says(q.dial(ln), "open", "ping")
		for _, peer := range hoarders {
			_ = peer.Close()
		}
		synctest.Wait()
		if n := q.door.hoard.Load(); n != 0 {
			t.Errorf("%d bytes are counted against nobody", n)
		}
	})
}

// A conversation that is not yet admitted remains a stranger: it has a place, a budget and
// half a minute; from then on it has neither.
func TestAdmittedByTheConversation(t *testing.T) {
	bothPaths(t, func(p path) {
		q := p.quay(DoorConfig{})
		q.late = true
		ln := q.listen(bare)
		start := time.Now()
		silent, speaking := q.dial(ln), q.dial(ln)
		q.says(silent, "open", "ping")
		q.says(speaking, "open", "ping")
		if n := q.door.Strangers(); n != 3 {
			t.Errorf("%d places taken, want 3", n)
		}
		q.says(speaking, "name")
		if n := q.door.Strangers(); n != 2 {
			t.Errorf("%d places taken, want 2", n)
		}
		q.gone(silent)
		if took := time.Since(start); took < ArriveWithin || took > ArriveWithin+time.Second {
			t.Errorf("closed after %v, want %v", took, ArriveWithin)
		}
		time.Sleep(ArriveWithin)
		q.says(speaking, "ping")
		synctest.Wait()
		if n := q.door.Strangers(); n != 1 {
			t.Errorf("%d places taken, want the listener's own", n)
		}
	})
}

// A peer whose credential is judged beside the owner is admitted in a turn for which nothing
// came: on the plain path its reader reads meanwhile.
func TestAdmittedWhileSomebodyReads(t *testing.T) {
	here, peer := net.Pipe()
	defer here.Close()
	b := newBudget(here, nil)
	var reader sync.WaitGroup
	reader.Go(func() {
		if n, err := b.Read(make([]byte, 8)); n != 4 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
	b.lift() // the race detector judges
	if _, err := peer.Write([]byte("ping")); err != nil {
		t.Error(err)
	}
	reader.Wait()
}

// No bytes make a record of what is none, or none of what is one.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{"", "\x16", "\x16\x03\x01\x00\x02ab", "\x17\x03\x03\xff\xff", "CONNECT", "\x13\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := record(b)
		if n < 0 || n > len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		if n == 0 && len(b) >= recordHeader+maxRecord {
			t.Fatalf("%d bytes are not enough", len(b))
		}
		if again := record(b[:n]); again != n {
			t.Fatalf("a record of %d bytes is one of %d without what follows", n, again)
		}
	})
}
