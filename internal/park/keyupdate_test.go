package park

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// writer writes TLS 1.3 records of the client's, which crypto/tls would not: it has the
// secret from the key log. It must be the only one to write.
type writer struct {
	t      *testing.T
	to     net.Conn
	secret []byte
	seq    uint64
}

// The content types, and a KeyUpdate that asks for one in return (RFC 8446 4.6.3, 5.1).
const (
	typeHandshake   = 22
	typeApplication = 23
)

func updateRequested() []byte    { return []byte{24, 0, 0, 1, 1} }
func updateNotRequested() []byte { return []byte{24, 0, 0, 1, 0} }

func (w *writer) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(append(info, byte(len(label))), label...), 0)
	out, err := hkdf.Expand(sha256.New, w.secret, string(info), n)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// record appends one encrypted record to b.
func (w *writer) record(b []byte, content byte, plain []byte) []byte {
	block, err := aes.NewCipher(w.expand("key", 16))
	if err != nil {
		w.t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		w.t.Fatal(err)
	}
	nonce := w.expand("iv", 12)
	for i, x := range binary.BigEndian.AppendUint64(nil, w.seq) {
		nonce[4+i] ^= x
	}
	w.seq++
	inner := append(append([]byte(nil), plain...), content)
	header := append([]byte{typeApplication, 3, 3}, binary.BigEndian.AppendUint16(nil, uint16(len(inner)+aead.Overhead()))...)
	return append(b, aead.Seal(header, nonce, inner, header)...)
}

// update appends a KeyUpdate and goes on with the next key.
func (w *writer) update(b, message []byte) []byte {
	b = w.record(b, typeHandshake, message)
	w.secret, w.seq = w.expand("traffic upd", sha256.Size), 0
	return b
}

// keyed is a client whose records a test writes, and what it reads.
func (p path) keyed(lot *Lot, k Conversation) (*writer, *tls.Conn) {
	p.Helper()
	here, peer := p.wire()
	cert := certificate(p.T)
	serve(p.T, lot, here, func(nc net.Conn) {
		server := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
		if err := server.Handshake(); err != nil {
			p.Error(err)
		}
		run(p.T, lot, server, k)
	})
	var log bytes.Buffer
	client := tls.Client(peer, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &log})
	if err := client.Handshake(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		_ = peer.Close()
		_ = lot.Shutdown(context.Background())
	})
	synctest.Wait()
	if suite := client.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		p.Skipf("without AES in hardware cipher suite %x is agreed on: the test's records are of AES-128-GCM", suite)
	}
	w := &writer{t: p.T, to: peer}
	for line := range strings.Lines(log.String()) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			w.secret, _ = hex.DecodeString(f[2])
		}
	}
	return w, client
}

func (w *writer) write(b []byte) {
	w.t.Helper()
	if _, err := w.to.Write(b); err != nil {
		w.t.Error(err)
	}
}

// A peer may change its keys, and ask for ours to be changed, whenever it likes.
func TestKeysMayBeUpdated(t *testing.T) {
	bothPaths(t, func(p path) {
		k := newTalk(nil)
		w, client := p.keyed(p.lot(Config{}), k)
		for range 3 {
			time.Sleep(2 * DefaultWriteTimeout) // no deadline of an earlier write counts
			go func() {
				w.write(w.update(nil, updateRequested()))
				w.write(w.record(w.update(nil, updateNotRequested()), typeApplication, []byte("ping")))
			}()
			got := make([]byte, packet)
			if _, err := io.ReadFull(client, got); err != nil || string(got) != "ping" {
				p.Fatalf("read %q, %v", got, err)
			}
		}
		select {
		case why := <-k.closed:
			p.Errorf("closed: %v", why)
		default:
		}
	})
}

// Updates without end and without anything else are not listened to (threat class 22).
func TestKeyUpdateFlood(t *testing.T) {
	bothPaths(t, func(p path) {
		lot := p.lot(Config{})
		k := newTalk(nil)
		w, client := p.keyed(lot, k)
		go func() { _, _ = io.Copy(io.Discard, client) }()
		var flood []byte
		for range 1000 {
			flood = w.update(flood, updateNotRequested())
		}
		go func() { _, _ = w.to.Write(flood) }()
		if why := <-k.closed; why == nil || !strings.Contains(why.Error(), "non-advancing") {
			p.Errorf("Closed(%v), want TLS to have had enough", why)
		}
	})
}

// Who asks for updates and reads none of them is cut off like anybody who does not read,
// and meanwhile costs one owner and no memory; others are served.
func TestKeyUpdatesThatNobodyReads(t *testing.T) {
	onMemory(t, func(p path, m *memory) {
		m.buffer = 2048 // a socket that is full soon
		lot := p.lot(Config{})
		k := newTalk(func(turn *Turn) error { turn.Used = len(turn.In); return nil })
		w, _ := p.keyed(lot, k)
		neighbour, _ := p.open(p.T, lot, newTalk(nil))
		go func() {
			for {
				flood := w.update(nil, updateRequested())
				for range 10 {
					flood = w.update(flood, updateRequested())
				}
				if _, err := w.to.Write(w.record(flood, typeApplication, []byte("data"))); err != nil { // else TLS would have had enough
					return
				}
			}
		}()
		synctest.Wait()
		start := time.Now()
		if _, err := neighbour.Write([]byte("ping")); err != nil {
			p.Fatal(err)
		}
		if _, err := io.ReadFull(neighbour, make([]byte, packet)); err != nil {
			p.Fatal(err)
		}
		if took := time.Since(start); took > 0 {
			p.Errorf("the neighbour waited %v", took)
		}
		<-k.closed
		if took := time.Since(start); took > DefaultWriteTimeout {
			p.Errorf("it was cut off after %v", took)
		}
	})
}
